"""Instructions in user space of an echo request, counted by callgrind.

The same server runs twice under valgrind with different numbers of requests;
what the longer run needed beyond the shorter, divided by the difference, is
free of start-up and of noise.  The kernel's instructions are not in it.
"""
from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path

from .lib import loops, machine, main, show
from .lib.load import Load, LoadError
from .lib.loops import Lineup
from .lib.process import Server, ServerError
from .echo import C_EPOLL, add_options

START_SECONDS = 120.0


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


def run() -> int:
    """Count, print the table, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--loops", type=loops.parse_all, metavar="LOOP,...",
                        default=[loops.Loop.parse(name) for name in loops.DEFAULT])
    parser.add_argument("--requests", type=main.positive, default=2000)
    add_options(parser)
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed (Debian, Ubuntu: apt-get install valgrind)")
        return main.FAILED
    main.prepare("loadgen", "cepoll")
    lineup = Lineup.of(options.loops)
    places = machine.places()
    running = {loop.name: loop for loop in lineup.running}
    load = Load(connections=options.connections, size=options.size, timeout=60.0)
    rows, failures = [], list(lineup.complaints())
    with tempfile.TemporaryDirectory(prefix="kevent-instructions-") as folder:
        common = {
            "cpu": places.server, "timeout": START_SECONDS,
            "unix": f"{folder}/socket" if options.unix else None,
            # Otherwise dicts and the order of imports differ between the runs.
            "env": {"PYTHONHASHSEED": "0"},
        }
        for name in (C_EPOLL, *running):
            def start(prefix, name=name):
                if name == C_EPOLL:
                    return Server.c_epoll(prefix=prefix, **common)
                return Server.python(running[name], "echo", "--api", options.api,
                                     prefix=prefix, **common)
            try:
                value = per_request(start, load, options.requests, places, Path(folder))
                rows.append([name, f"{value:,.0f}"])
            except (ServerError, LoadError) as error:
                failures.append(f"{name} failed: {error}")
    print(f"echo {options.api}, {options.size:,} B, {options.connections} connections\n")
    print(show.table(["server", "user instructions/request"], rows))
    for line in failures:
        print(line)
    return main.FAILED if len(rows) < 1 + len(options.loops) else 0


if __name__ == "__main__":
    main.run(run)
