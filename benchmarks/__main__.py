"""The whole comparison: servers under load, and what happens inside a process.

    python -m benchmarks [--quick] [--peers] [--rows ...] [--json results.json]
    python -m benchmarks peers [NAME ...]       install other loops, each on its own
    python -m benchmarks report results.json    Markdown and pictures

Every round measures each row on each loop once, in a new process, beginning
with another loop each time; medians over the rounds are compared.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from .lib import loops, machine, main, peers, show
from .lib.cells import rotated
from .lib.load import LoadError
from .lib.process import ServerError
from .lib.results import C_EPOLL, OURS, Results
from .lib.rows import QUICK, ROWS, Context, Row


def parse_rows(text: str) -> list[Row]:
    """Rows by name or by group, divided by commas."""
    chosen: dict[str, Row] = {}
    for part in text.split(","):
        found = [row for row in ROWS.values() if part in (row.name, row.group)]
        if not found:
            raise argparse.ArgumentTypeError(
                f"no row or group {part!r}; rows: {', '.join(ROWS)}")
        chosen.update((row.name, row) for row in found)
    return list(chosen.values())


def parser() -> argparse.ArgumentParser:
    """The options of a run."""
    made = main.parser("", __doc__.splitlines()[0], rounds=3, seconds=0.5)
    made.prog = "python -m benchmarks"
    made.add_argument("--rows", type=parse_rows, metavar="ROW,...",
                      help="rows or groups (default: all): "
                           + ", ".join(dict.fromkeys(row.group for row in ROWS.values())))
    made.add_argument("--peers", action="store_true",
                      help="every peer that `python -m benchmarks peers` has installed, too")
    made.add_argument("--quick", action="store_true", help="few rows, one short round")
    made.add_argument("--minutes", type=float, default=25.0,
                      help="begin no new round that would end later (default: %(default)s)")
    return made


def choose(options) -> tuple[list[loops.Loop], list[Row]]:
    """The loops and the rows of a run."""
    chosen = list(options.loops)
    if options.peers:
        names = {loop.name for loop in chosen}
        chosen += [loop for loop in peers.installed() if loop.name not in names]
    rows = options.rows
    if options.quick:
        options.rounds, options.seconds = 1, min(options.seconds, 0.3)
        rows = rows or [ROWS[name] for name in QUICK]
    return chosen, rows or list(ROWS.values())


def measure_cell(results: Results, row: Row, loop: loops.Loop | None,
                 context: Context) -> None:
    """One row on one loop; what failed once is not tried again."""
    name = loop.name if loop else C_EPOLL
    if results.has_failed(row.name, name):
        return
    if row.twin and name != OURS and results.take(row.name, row.twin, name):
        return
    try:
        results.add(row.name, name, row.measure(loop, context))
    except (ServerError, LoadError, OSError) as error:
        results.fail(row.name, name, str(error))


def measure(results: Results, running: list[loops.Loop], rows: list[Row], options,
            context: Context) -> int:
    """Every row on every loop in each round.  Returns how many rounds were made."""
    servers: list[loops.Loop | None] = [None, *running]
    total = sum(len(servers) if row.has_limit else len(running) for row in rows)
    begin = time.monotonic()
    latest = wasted = 0.0
    with show.Progress(total * options.rounds) as progress:
        for turn in range(options.rounds):
            turned = time.monotonic()
            # What has failed, often after a long wait, is not tried again.
            if turn and turned - begin + latest - wasted > options.minutes * 60:
                print(f"note: {turn} of {options.rounds} rounds: the time is up")
                return turn
            wasted = 0.0
            progress.title(f"round {turn + 1}/{options.rounds}")
            order = [item for at, item in rotated(servers, turn + 1) if at == turn]
            for row in rows:
                for loop in order:
                    if loop is None and not row.has_limit:
                        continue
                    name = loop.name if loop else C_EPOLL
                    progress.show(f"{row.title}: {name}")
                    started = time.monotonic()
                    measure_cell(results, row, loop, context)
                    wasted += (time.monotonic() - started) * results.has_failed(row.name, name)
                    progress.step()
                # So that a run which is ended early leaves what it has.
                results.rounds = turn + 1
                results.write(options.json)
            latest = time.monotonic() - turned
    return options.rounds


def run() -> int:
    """Measure, print the tables, return the exit status."""
    options = parser().parse_args()
    chosen, rows = choose(options)
    main.prepare("loadgen", "cepoll")
    lineup = loops.Lineup.of(chosen)
    places = machine.places()
    with tempfile.TemporaryDirectory(prefix="kevent-bench-") as folder, \
            machine.awake() as trouble:
        print(main.heading(places, lineup, trouble), flush=True)
        results = Results.begin(lineup, rows, places, trouble, options.seconds)
        context = Context(places, Path(folder), options.seconds, 0.3 if options.quick else 1.0)
        results.rounds = measure(results, lineup.running, rows, options, context)
    results.write(options.json)
    print(results.text())
    broken = [line for line in results.failures() if line.startswith("kevent,")]
    return main.FAILED if broken or "kevent" in lineup.missing else 0


def dispatch() -> int:
    """The command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "peers":
        return peers.install_all(sys.argv[2:])
    if command == "report":
        from .report import command as report

        return report(sys.argv[2:])
    return run()


if __name__ == "__main__":
    main.run(dispatch)
