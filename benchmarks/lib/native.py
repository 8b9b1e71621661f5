"""Compiles the C programs beside this package when they are first needed.

A program's file carries a digest of its sources, of the compiler's name and of
the C library, so a change makes a new one, two processes never disturb each
other, and neither do two systems that have the checkout in common.
"""
from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
PROGRAMS = {
    "loadgen": ("loadgen.c", "load/*.c", "load/*.h", "tls/*"),
    "cepoll": ("cepoll.c", "tls/*"),
}


class CompileError(Exception):
    """There is no C compiler, or it refused."""


def _folder() -> Path:
    folder = HERE.parent / "build" / "benchmarks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="kevent-benchmarks-"))


def program(name: str) -> str:
    """Return the path of a compiled program.  Raises CompileError."""
    sources = [path for pattern in PROGRAMS[name] for path in sorted(HERE.glob(pattern))]
    compiler = shlex.split(os.environ.get("CC") or "cc")
    digest = hashlib.sha256(repr((compiler, platform.machine(), platform.libc_ver())).encode())
    for path in sources:
        digest.update(path.read_bytes())
    folder = _folder()
    target = folder / f"{name}-{digest.hexdigest()[:12]}"
    if target.exists():
        return str(target)
    unfinished = folder / f"{target.name}.{os.getpid()}"
    command = [*compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-o", str(unfinished),
               *(str(path) for path in sources if path.suffix == ".c"), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        raise CompileError(f"no C compiler: {compiler[0]} (set CC, or install gcc)") from None
    except subprocess.CalledProcessError as error:
        raise CompileError(f"{shlex.join(command)} failed:\n{error.stderr}") from None
    unfinished.rename(target)
    return str(target)
