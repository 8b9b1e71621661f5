"""python -m kevent script.py [args…]: run any asyncio program on the kevent loop.

Also `-m module` and `-c code`, as python itself takes them.  With --streams in
front of that, asyncio's streams are those of kevent.streams.
"""
from __future__ import annotations

import os
import runpy
import sys

import kevent

USAGE = ("usage: python -m kevent [--streams] "
         "(script.py | -m module | -c code) [args...]")


def main(argv: list[str]) -> int:
    streams = argv[:1] == ["--streams"]
    argv = argv[streams:]
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    if argv[0] in ("-m", "-c") and len(argv) < 2:
        print(USAGE, file=sys.stderr)
        return 2
    kevent.install(streams=streams)
    # Python put the current directory in front for `-m kevent` itself.
    if argv[0] == "-m":
        sys.argv[:] = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif argv[0] == "-c":
        sys.argv[:] = ["-c", *argv[2:]]
        sys.path[0] = ""
        namespace = {"__name__": "__main__", "__builtins__": __builtins__}
        exec(compile(argv[1], "<string>", "exec"), namespace)
    else:
        sys.argv[:] = argv
        sys.path[0] = os.path.dirname(os.path.abspath(argv[0]))
        runpy.run_path(argv[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
