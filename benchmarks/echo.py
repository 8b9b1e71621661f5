"""Server CPU of an echo request on each loop, beside a server in C on epoll.

Every measurement has a new server process on one CPU and its clients on
another; the loops take turns, and the medians of the rounds are compared.
"""
from __future__ import annotations

import tempfile

from .lib import cells, machine, main, show
from .lib.load import Load, LoadError
from .lib.loops import Lineup
from .lib.process import Server, ServerError
from .servers.echo import APIS, READS

C_EPOLL = "c-epoll"


def measure(names: list[str], start, load: Load, row: str, rounds: int,
            places: machine.Places, progress: show.Progress) -> cells.Cells:
    """One row: every server in every round.  start(name) makes a Server."""
    found = cells.Cells()
    for turn, name in cells.rotated(names, rounds):
        progress.title(f"round {turn + 1}/{rounds}")
        progress.show(name)
        try:
            with start(name) as server:
                found.add(row, name, load.run(server, places))
        except (ServerError, LoadError) as error:
            found.fail(row, name, error)
        progress.step()
    return found


def table(found: cells.Cells, row: str, names: list[str]) -> str:
    """One line for each server."""
    heads = ["server", "CPU/request us", "least-most", f"over {C_EPOLL}", "of uvloop's",
             "requests/s", "p50 us", "p99 us", "p99.9 us"]
    lines = []
    for name in names:
        def value(of, digits=1, name=name):
            return show.number(found.median(row, name, of), digits)

        lines.append([
            name, show.number(found.cpu(row, name)), found.spread(row, name),
            show.number(found.ratio(row, name, C_EPOLL)),
            show.number(found.ratio(row, name, "uvloop")),
            value(lambda result: result.per_second, 0),
            value(lambda result: result.p50 / 1e3), value(lambda result: result.p99 / 1e3),
            value(lambda result: result.p999 / 1e3)])
    return show.table(heads, lines)


def title(options) -> str:
    """The row's name."""
    read = f" {options.read}" if options.read != "read" else ""
    parts = [f"echo {options.api}{read}", f"{options.size:,} B",
             f"{options.connections} connection{'s' * (options.connections != 1)}"]
    parts += [f"{options.depth} deep"] if options.depth != 1 else []
    parts += ["Unix socket"] if options.unix else []
    return ", ".join(parts)


def server_options(options) -> tuple[str, ...]:
    """What a server in Python is started with."""
    return ("--api", options.api, "--read", options.read, "--size", str(options.size))


def add_options(parser) -> None:
    """The options that describe one echo workload."""
    parser.add_argument("--api", choices=APIS, default="protocol")
    parser.add_argument("--read", choices=READS, default="read",
                        help="how streams read; with readline the messages are lines")
    parser.add_argument("--size", type=main.positive, default=1024, metavar="BYTES")
    parser.add_argument("--connections", type=main.positive, default=10)
    parser.add_argument("--unix", action="store_true", help="over a Unix socket")


def add_depth(parser) -> None:
    """The option for pipelined requests."""
    parser.add_argument("--depth", "--pipeline", type=main.positive, default=1,
                        help="requests under way on each connection")


def run() -> int:
    """Measure, print the table, return the exit status."""
    parser = main.parser("echo", __doc__.splitlines()[0], rounds=5, seconds=1.0)
    add_options(parser)
    add_depth(parser)
    parser.add_argument("--edge", action="store_true", help="the C server edge-triggered")
    parser.add_argument("--check", action="store_true",
                        help="fail unless kevent needs less CPU per request than uvloop")
    options = parser.parse_args()
    main.prepare("loadgen", "cepoll")
    lineup = Lineup.of(options.loops)
    places = machine.places()
    loops = {loop.name: loop for loop in lineup.running}
    names = [C_EPOLL, *loops]
    row = title(options)
    load = Load(connections=options.connections, size=options.size, depth=options.depth,
                lines=options.read == "readline", duration=options.seconds)
    with tempfile.TemporaryDirectory(prefix="kevent-echo-") as folder, \
            machine.awake() as trouble:
        path = f"{folder}/socket" if options.unix else None

        def start(name: str) -> Server:
            if name == C_EPOLL:
                edge = ("--edge",) if options.edge else ()
                return Server.c_epoll(*edge, cpu=places.server, unix=path)
            return Server.python(loops[name], "echo", *server_options(options),
                                 cpu=places.server, unix=path)

        print(main.heading(places, lineup, trouble))
        print(f"{row}; medians of {options.rounds} rounds of {options.seconds} s\n", flush=True)
        with show.Progress(len(names) * options.rounds) as progress:
            found = measure(names, start, load, row, options.rounds, places, progress)
    print(table(found, row, names), end="\n\n")
    status = main.finish(found, options.json, lineup.missing, set())
    if options.check and not main.is_below(found, row, "kevent", "uvloop"):
        status = main.FAILED
    return status


if __name__ == "__main__":
    main.run(run)
