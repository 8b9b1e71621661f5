"""Instructions in user space of an echo request and of a callback, by callgrind.

The same server runs twice under valgrind, the second time with ten times the
requests; what the longer run needed beyond the shorter, divided by the
difference, is free of start-up.  The client is in lockstep: it sends only
while the server sleeps, for a loop does other work when the next request is
there before it looks (kevent does not let go of the GIL then), and whether it
is was chance: it moved the count of the very same code by a sixth.  With several
connections that chance is back.  The kernel's instructions are not counted.
A callback is one link of a chain of call_soon, counted in the same way.

--check compares with instructions.json, which --record wrote, and fails when
kevent needs over 3 % more; what has become of another loop is told.  Counts
depend on Python's build, on the compilers, on libc and on the version of a loop
that is not ours: each combination has its own record.  Where there is none the
counts are shown and not judged, and it is said how to have a record.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sysconfig
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
# Of the shorter chain: by then kevent has what lets it leave polls out (lull.h).
CALLBACKS = 4000
# So many times the shorter run's operations has the longer one.
LONGER = 10
# The loop that has to be in every record.
OURS = "kevent"
# What --streams counts as well.  Each batch, of depth requests, fits into one
# segment of the loopback: of two, a server may see one first.
STREAMS = [
    {"api": "streams", "read": "read", "size": 1024, "depth": 1},
    {"api": "streams", "read": "readline", "size": 1024, "depth": 1},
    *({"api": "kstreams", **how} for how in (
        {"read": "read", "size": 1024, "depth": 1},
        {"read": "readline", "size": 1024, "depth": 1},
        {"read": "readline", "size": 1024, "depth": 16},
        {"read": "readexactly", "size": 32_768, "depth": 1})),
]
# Otherwise dicts, sets and the order of imports differ between the runs.
SAME = {"PYTHONHASHSEED": "0"}


def total(path: Path) -> int:
    """The instructions that a callgrind file sums up to."""
    found = re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.MULTILINE)
    if found is None:
        raise ServerError("callgrind left no sum")
    return int(found[1])


def valgrind(out: Path) -> list[str]:
    """What runs a program under callgrind, at the same addresses each time if it may."""
    still = ["setarch", "-R"]
    try:
        may = subprocess.run([*still, "true"], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        may = False
    return [*(still if may else ()), "valgrind", "--quiet", "--tool=callgrind",
            f"--callgrind-out-file={out}"]


def count(start, load: Load, places: machine.Places, folder: Path) -> int:
    """The instructions of one whole life of a server.  start(prefix) makes it."""
    out = folder / "callgrind.out"
    out.unlink(missing_ok=True)
    with start(valgrind(out)) as server:
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
    long = count(start, load.exactly(LONGER * requests, warm), places, folder)
    return (long - short) / ((LONGER - 1) * requests)


def per_callback(loop: Loop, callbacks: int, folder: Path) -> float:
    """Two runs of a chain of call_soon, subtracted."""
    out = folder / "callgrind.out"

    def chain(length: int) -> int:
        out.unlink(missing_ok=True)
        command = [*valgrind(out), loop.python, "-m", "benchmarks.inside", "--loop", loop.factory,
                   "--exactly", str(length), "call_soon_chain"]
        done = subprocess.run(command, cwd=HERE.parent, env={**os.environ, **SAME},
                              capture_output=True, text=True, timeout=2 * START_SECONDS)
        if done.returncode:
            raise ServerError((done.stderr.strip().splitlines() or ["it died"])[-1])
        return total(out)

    return (chain(LONGER * callbacks) - chain(callbacks)) / ((LONGER - 1) * callbacks)


def compiler_of(library: Path) -> str:
    """What has compiled it, by its own words (.comment); the linker's objects are GCC's."""
    found = re.findall(rb"(clang version|GCC:) (?:\([^)]*\) )?([0-9][0-9.]*)",
                       library.read_bytes())
    names = {b"clang version": "clang", b"GCC:": "GCC"}
    said = sorted((names[name] == "GCC", f"{names[name]} {version.decode()}")
                  for name, version in found)
    return said[0][1] if said else "another compiler"


def surroundings() -> str:
    """What the counts depend on beside our code."""
    from kevent import _core

    compiler = re.sub(r"\s+", " ", platform.python_compiler()).strip()
    # Of two builds of one version that with profiles needs far less.
    how = re.findall(r"--(?:enable-optimizations|with-lto|with-pydebug|disable-gil)",
                     sysconfig.get_config_var("CONFIG_ARGS") or "")
    return (f"CPython {platform.python_version()} by {' '.join([compiler, *how])}; "
            f"kevent by {compiler_of(Path(_core.__file__))}; "
            f"{platform.machine()}, {' '.join(platform.libc_ver())}")


def recorded_here(path: Path = BASELINE) -> dict[str, dict[str, int]] | None:
    """The record of this Python and machine: name -> what -> instructions.

    Empty if there is none; None if nothing was ever recorded, anywhere.
    """
    if not path.exists():
        return None
    return json.loads(path.read_text()).get(surroundings(), {})


def grown(name: str, values: dict[str, float], before: dict[str, int]) -> list[str]:
    """One line for each count that is beyond its record."""
    return [f"{name}, {what}: {value:,.0f} instructions, recorded were "
            f"{before[what]:,.0f}: {value / before[what] - 1:+.1%}"
            for what, value in values.items()
            if what in before and value > before[what] * (1 + TOLERANCE)]


def check(found: dict[str, dict[str, float]], path: Path = BASELINE) -> list[str]:
    """What is wrong with kevent's counts; a check that cannot be made has failed.

    Only kevent is judged: another loop may change as it likes, see told().
    """
    before = (recorded_here(path) or {}).get(OURS)
    if before is None:
        return [f"no record for {surroundings()}: make one with --record, on code that is "
                "known to be good"]
    values = found.get(OURS)
    if not values:
        return [f"{OURS} was not counted"]
    return [*grown(OURS, values, before),
            *(f"{OURS}, {what}: no record" for what in values if what not in before)]


def told(found: dict[str, dict[str, float]], path: Path = BASELINE) -> list[str]:
    """What a reader should know of the other loops: grown, or never recorded."""
    before = recorded_here(path) or {}
    lines = []
    for name, values in found.items():
        if name != OURS and values:
            lines += grown(name, values, before.get(name, {}))
            lines += [] if name in before else [f"{name}: no record"]
    return lines


HOW = """\
NOT CHECKED: nothing is recorded for
  %s
The counts above are right, and there is none to compare them with.  On code that is known
to be good (git stash, git worktree, an earlier commit) this makes the record:
  python -m benchmarks.instructions --loops kevent,uvloop --streams --record
It goes into %s; then make instructions compares with it."""


def judge(found: dict[str, dict[str, float]], path: Path = BASELINE) -> bool:
    """Print what the records say of these counts; True if something is wrong."""
    if recorded_here(path) == {} and found.get(OURS):
        print(HOW % (surroundings(), path.relative_to(HERE.parent)
                     if path.is_relative_to(HERE.parent) else path))
        return False
    wrong = check(found, path)
    for line in told(found, path):
        print(f"not judged: {line}")
    for line in wrong:
        print(f"CHECK FAILED: {line}")
    if not wrong:
        print(f"check passed: nothing of {OURS} is over {TOLERANCE:.0%} above the record")
    return bool(wrong)


def record(found: dict[str, dict[str, float]], path: Path = BASELINE) -> None:
    """Keep the counts as what later ones are compared with."""
    recorded = json.loads(path.read_text()) if path.exists() else {}
    for name, values in found.items():
        if values:
            before = recorded.setdefault(surroundings(), {})
            before.setdefault(name, {}).update(
                (what, round(value)) for what, value in values.items())
    path.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


def is_apt(name: str, api: str) -> bool:
    """False for streams where there are none, and for ours on a loop that is not."""
    return name != C_EPOLL and (name == OURS or api != "kstreams")


def count_all(options, running: dict[str, Loop], folder: Path,
              missing: dict[str, str]) -> dict[str, dict[str, float]]:
    """name -> what -> instructions; what did not work is put into missing."""
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
                if kind is not options and not is_apt(name, kind.api):
                    continue
                if name != C_EPOLL:
                    def start(prefix, name=name, kind=kind):
                        return Server.python(running[name], "echo", *server_options(kind),
                                             prefix=prefix, **common)
                else:
                    def start(prefix):
                        return Server.c_epoll(prefix=prefix, **common)
                load = Load(connections=kind.connections, size=kind.size, depth=kind.depth,
                            lines=kind.read == "readline", timeout=60.0,
                            lockstep=kind.connections == 1)
                values[title(kind)] = per_request(start, load, options.requests, places, folder)
            if name != C_EPOLL:
                values["callback"] = per_callback(running[name], CALLBACKS, folder)
        except (ServerError, LoadError, subprocess.TimeoutExpired) as error:
            missing[name] = str(error)
    return found


def run() -> int:
    """Count, print the table, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--loops", type=loops.parse_all, metavar="LOOP,...",
                        default=[loops.Loop.parse(name) for name in loops.DEFAULT])
    parser.add_argument("--requests", type=main.positive, default=480,
                        help="of the shorter run")
    parser.add_argument("--check", action="store_true",
                        help="fail when kevent needs over 3 %% more than is recorded")
    parser.add_argument("--record", action="store_true", help="keep the counts for --check")
    parser.add_argument("--streams", action="store_true",
                        help="count asyncio's streams and kevent.streams as well")
    add_options(parser)
    add_depth(parser)
    parser.set_defaults(connections=1)
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed (Debian, Ubuntu: apt-get install valgrind)")
        return main.FAILED
    main.prepare("loadgen", "cepoll")
    lineup = Lineup.of(options.loops)
    running = {loop.name: loop for loop in lineup.running}
    missing = dict(lineup.missing)
    with tempfile.TemporaryDirectory(prefix="kevent-instructions-") as folder:
        found = count_all(options, running, Path(folder), missing)
    # Another version of a loop has other counts.
    found = {f"{name} {lineup.versions[name]}" if name != OURS and name in lineup.versions
             else name: values for name, values in found.items()}
    kinds = list(dict.fromkeys(what for values in found.values() for what in values))
    print(f"Instructions in user space; {surroundings()}\n")
    print(show.table(["server", *kinds], [
        [name, *(show.number(values.get(what), 0) for what in kinds)]
        for name, values in found.items()]))
    if options.record:
        record(found)
    for name, reason in missing.items():
        print(f"{name} was not counted, or not wholly: {reason}")
    is_bad = OURS in missing
    if options.check:
        is_bad |= judge(found)
    return main.FAILED if is_bad else 0


if __name__ == "__main__":
    main.run(run)
