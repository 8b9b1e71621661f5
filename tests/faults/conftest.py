"""Builds inject.c, the library through which calls fail."""
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="session")
def inject(tmp_path_factory):
    """The path of the library; the extension was built with the same compiler."""
    compiler = os.environ.get("CC", "cc").split()
    if shutil.which(compiler[0]) is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("faults") / "inject.so"
    subprocess.run([*compiler, "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
                    "-fno-builtin", "-shared", "-fPIC", os.path.join(HERE, "inject.c"),
                    "-o", str(library), "-ldl"], check=True)
    return str(library)
