"""Build of kevent._core, the one C extension; everything else is in pyproject.toml.

Environment: KEVENT_DEBUG=1 (assertions, -Og), KEVENT_SANITIZE=address,undefined,
KEVENT_COVERAGE=1, KEVENT_WERROR=1 (warnings are errors: CI).
"""
import os
import sys
from glob import glob

from setuptools import Extension, setup

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
macros = []
if flag("KEVENT_DEBUG"):
    compile_args += ["-Og", "-g3", "-UNDEBUG"]
    macros.append(("KEV_DEBUG", "1"))
else:
    # Calls into Python go through the table of addresses, not by a stub to it.
    compile_args += ["-O3", "-g", "-fno-plt"]
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

setup(
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
