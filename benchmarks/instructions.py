"""Instructions in user space of an echo request and of a callback, by callgrind.

The same server runs twice under valgrind with different numbers of requests;
what the longer run needed beyond the shorter, divided by the difference, is
free of start-up and of noise.  The kernel's instructions are not in it.  A
callback is one link of a chain of call_soon, counted in the same way.

--check compares with instructions.json, which was recorded on this code by
--record, and fails when kevent needs over 3 % more.  Counts depend on Python's
build, on the compiler and on libc: each combination has its own record.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .lib import loops, machine, main, show
from .lib.load import Load, LoadError
from .lib.loops import Lineup, Loop
from .lib.native import HERE
from .lib.process import Server, ServerError
from .echo import C_EPOLL, add_depth, add_options, server_options, title

START_SECONDS = 120.0
BASELINE = HERE / "instructions.json"
TOLERANCE = 0.03
# What --streams counts as well.
STREAMS = [
    {"api": "streams", "read": "read", "size": 1024, "depth": 1},
    {"api": "streams", "read": "readline", "size": 1024, "depth": 1},
    *({"api": "kstreams", **how} for how in (
        {"read": "read", "size": 1024, "depth": 1},
        {"read": "readline", "size": 1024, "depth": 1},
        {"read": "readline", "size": 1024, "depth": 16},
        {"read": "readexactly", "size": 102_400, "depth": 1})),
]
# Otherwise dicts and the order of imports differ between the runs.
SAME = {"PYTHONHASHSEED": "0"}


def total(path: Path) -> int:
    """The instructions that a callgrind file sums up to."""
    found = re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.MULTILINE)
    if found is None:
        raise ServerError("callgrind left no sum")
    return int(found[1])


def count(start, load: Load, places: machine.Places, folder: Path) -> int:
    """The instructions of one whole life of a server.  start(prefix) makes it."""
    out = folder / "callgrind.out"
    out.unlink(missing_ok=True)
    prefix = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]
    with start(prefix) as server:
        result = load.run(server, places)
        if not result.ok:
            raise LoadError(result.error)
        server.stop(patience=60.0)
        return total(out)


def per_request(start, load: Load, requests: int, places: machine.Places,
                folder: Path) -> float:
    """Two runs, subtracted."""
    warm = 20 * load.connections
    short = count(start, load.exactly(requests, warm), places, folder)
    long = count(start, load.exactly(3 * requests, warm), places, folder)
    return (long - short) / (2 * requests)


def per_callback(loop: Loop, callbacks: int, folder: Path) -> float:
    """Two runs of a chain of call_soon, subtracted."""
    out = folder / "callgrind.out"

    def chain(length: int) -> int:
        out.unlink(missing_ok=True)
        command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}",
                   loop.python, "-m", "benchmarks.inside", "--loop", loop.factory,
                   "--exactly", str(length), "call_soon_chain"]
        done = subprocess.run(command, cwd=HERE.parent, env={**os.environ, **SAME},
                              capture_output=True, text=True, timeout=2 * START_SECONDS)
        if done.returncode:
            raise ServerError((done.stderr.strip().splitlines() or ["it died"])[-1])
        return total(out)

    return (chain(3 * callbacks) - chain(callbacks)) / (2 * callbacks)


def surroundings() -> str:
    """What the counts depend on beside our code."""
    compiler = re.sub(r"\s+", " ", platform.python_compiler()).strip()
    return (f"CPython {platform.python_version()} by {compiler}, {platform.machine()}, "
            f"{' '.join(platform.libc_ver())}")


def check(found: dict[str, dict[str, float]], path: Path = BASELINE) -> list[str]:
    """What has grown beyond the record; a check that cannot be made has failed.

    Only kevent is judged: another loop may change as it likes.
    """
    recorded = json.loads(path.read_text()) if path.exists() else {}
    ours = recorded.get(surroundings(), {}).get("kevent")
    if ours is None:
        return [f"no record for {surroundings()}: make one with --record, on code that is "
                "known to be good"]
    wrong = []
    for what, value in found.get("kevent", {}).items():
        before = ours.get(what)
        if before is None:
            wrong.append(f"kevent, {what}: no record")
        elif value > before * (1 + TOLERANCE):
            wrong.append(f"kevent, {what}: {value:,.0f} instructions, recorded were "
                         f"{before:,.0f}: {value / before - 1:+.1%}")
    return wrong or ([] if found.get("kevent") else ["kevent was not counted"])


def record(found: dict[str, dict[str, float]], path: Path = BASELINE) -> None:
    """Keep the counts as what later ones are compared with."""
    recorded = json.loads(path.read_text()) if path.exists() else {}
    before = recorded.setdefault(surroundings(), {})
    for name, values in found.items():
        before.setdefault(name, {}).update(
            (what, round(value)) for what, value in values.items())
    path.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


def count_all(options, running: dict[str, Loop], folder: Path,
              failures: list[str]) -> dict[str, dict[str, float]]:
    """name -> what -> instructions; what did not work is put into failures."""
    places = machine.places()
    common = {"cpu": places.server, "timeout": START_SECONDS, "env": SAME,
              "unix": str(folder / "socket") if options.unix else None}
    kinds = [options]
    if options.streams:
        kinds += [argparse.Namespace(**{**vars(options), **changed}) for changed in STREAMS]
    found: dict[str, dict[str, float]] = {}
    for name in (C_EPOLL, *running):
        values = found.setdefault(name, {})
        try:
            for kind in kinds:
                if name != C_EPOLL:
                    def start(prefix, name=name, kind=kind):
                        return Server.python(running[name], "echo", *server_options(kind),
                                             prefix=prefix, **common)
                elif kind is options:
                    def start(prefix):
                        return Server.c_epoll(prefix=prefix, **common)
                else:
                    continue
                load = Load(connections=kind.connections, size=kind.size, depth=kind.depth,
                            lines=kind.read == "readline", timeout=60.0)
                values[title(kind)] = per_request(start, load, options.requests, places, folder)
            if name != C_EPOLL:
                values["callback"] = per_callback(running[name], 5 * options.requests, folder)
        except (ServerError, LoadError, subprocess.TimeoutExpired) as error:
            failures.append(f"{name} failed: {error}")
    return found


def run() -> int:
    """Count, print the table, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--loops", type=loops.parse_all, metavar="LOOP,...",
                        default=[loops.Loop.parse(name) for name in loops.DEFAULT])
    parser.add_argument("--requests", type=main.positive, default=2000)
    parser.add_argument("--check", action="store_true",
                        help="fail when kevent needs over 3 %% more than is recorded")
    parser.add_argument("--record", action="store_true", help="keep the counts for --check")
    parser.add_argument("--streams", action="store_true",
                        help="count asyncio's streams and kevent.streams as well")
    add_options(parser)
    add_depth(parser)
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed (Debian, Ubuntu: apt-get install valgrind)")
        return main.FAILED
    main.prepare("loadgen", "cepoll")
    lineup = Lineup.of(options.loops)
    running = {loop.name: loop for loop in lineup.running}
    failures = list(lineup.complaints())
    with tempfile.TemporaryDirectory(prefix="kevent-instructions-") as folder:
        found = count_all(options, running, Path(folder), failures)
    kinds = list(dict.fromkeys(what for values in found.values() for what in values))
    print(f"Instructions in user space; {surroundings()}\n")
    print(show.table(["server", *kinds], [
        [name, *(show.number(values.get(what), 0) for what in kinds)]
        for name, values in found.items()]))
    if options.record:
        record(found)
    if options.check:
        failures += [f"CHECK FAILED: {line}" for line in check(found)]
    for line in failures:
        print(line)
    if options.check and not failures:
        print(f"check passed: nothing is over {TOLERANCE:.0%} above the record")
    return main.FAILED if failures else 0


if __name__ == "__main__":
    main.run(run)
