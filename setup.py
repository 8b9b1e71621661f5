"""Build of kevent._core, the one C extension; everything else is in pyproject.toml.

Environment: KEVENT_DEBUG=1 (assertions, -Og), KEVENT_SANITIZE=address,undefined,
KEVENT_COVERAGE=1, KEVENT_WERROR=1 (warnings are errors: CI).
"""
import os
import sys
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

if not sys.platform.startswith("linux"):
    raise SystemExit("kevent is for Linux only: it stands on epoll")


def flag(name):
    return os.environ.get(name, "") not in ("", "0")


compile_args = [
    "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wconversion",
    "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wshadow",
    "-Wno-cast-function-type",  # the method tables of CPython
    "-Wno-unused-parameter",    # slots have fixed signatures
]
link_args = []
whole_args = []
macros = []
if flag("KEVENT_DEBUG"):
    compile_args += ["-Og", "-g3", "-UNDEBUG"]
    macros.append(("KEV_DEBUG", "1"))
else:
    # Calls into Python go through the table of addresses, not by a stub to it.
    compile_args += ["-O3", "-g", "-fno-plt"]
    if not flag("KEVENT_SANITIZE") and not flag("KEVENT_COVERAGE"):
        whole_args = ["-flto=auto", "-O3"]
if flag("KEVENT_WERROR"):
    compile_args.append("-Werror")
if flag("KEVENT_COVERAGE"):
    compile_args.append("--coverage")
    link_args.append("--coverage")
if flag("KEVENT_SANITIZE"):
    wanted = "-fsanitize=" + os.environ["KEVENT_SANITIZE"]
    compile_args += [wanted, "-fno-omit-frame-pointer"]
    link_args.append(wanted)
    macros.append(("KEV_NO_FREELIST", "1"))


class BuildExt(build_ext):
    """Optimizes all files as one where the compiler and its linker can."""

    def build_extensions(self):
        if whole_args and self.can(whole_args):
            for extension in self.extensions:
                extension.extra_compile_args += whole_args
                extension.extra_link_args += whole_args
        super().build_extensions()

    def can(self, args):
        """Whether a library can be built with these arguments."""
        with TemporaryDirectory() as folder:
            source = Path(folder, "empty.c")
            source.write_text("int empty(void);\nint empty(void) { return 0; }\n")
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir="/", extra_postargs=[*args, "-Werror"])
                self.compiler.link_shared_object(
                    objects, str(source.with_suffix(".so")), extra_postargs=args)
            except (CompileError, LinkError):
                return False
        return True


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=[
        Extension(
            "kevent._core",
            sources=sorted(glob("csrc/*/*.c")),
            depends=sorted(glob("csrc/*/*.h")),
            include_dirs=["csrc"],
            define_macros=macros,
            extra_compile_args=compile_args,
            extra_link_args=link_args,
        )
    ]
)
