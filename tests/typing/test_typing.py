"""The types that kevent/*.pyi gives: true to the code, and of use to a checker."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def mypy(tmp_path, *arguments, module="mypy"):
    """The finished process of mypy, whose cache goes to tmp_path."""
    extra = ["--cache-dir", str(tmp_path)] if module == "mypy" else []
    return subprocess.run([sys.executable, "-m", module, *extra, *arguments], cwd=ROOT,
                          capture_output=True, text=True, timeout=300)


def test_stubs_say_what_is_there(tmp_path):
    """Names, signatures and defaults of the stubs are those of the modules."""
    done = mypy(tmp_path, "kevent", "--allowlist", str(HERE / "allowed.txt"),
                "--ignore-unused-allowlist", "--mypy-config-file",
                str(HERE / "stubtest.ini"), module="mypy.stubtest")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_has_the_types_it_says(tmp_path):
    """program.py passes mypy --strict, and it runs."""
    done = mypy(tmp_path, "--strict", str(HERE / "program.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run([sys.executable, str(HERE / "program.py")], check=True, cwd=ROOT, timeout=60)


def test_mistakes_are_found(tmp_path):
    """Each line of wrong.py is refused, with the code that it names."""
    lines = (HERE / "wrong.py").read_text().splitlines()
    wanted = {number: line.rpartition("# ")[2] for number, line in enumerate(lines, 1)
              if "  # " in line}
    assert len(wanted) == 8
    done = mypy(tmp_path, "--strict", str(HERE / "wrong.py"))
    found = {int(number): code for number, code
             in re.findall(r"wrong\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.M)}
    assert found == wanted, done.stdout
