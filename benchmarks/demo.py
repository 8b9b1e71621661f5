"""An unmodified aiohttp application under load, on asyncio, uvloop and kevent.

The application (servers/web.py) runs in a process of its own on one CPU;
concurrent keep-alive clients on another CPU drive each of its routes, then all
of them in turn.  Every byte of every response is verified.
"""
from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from .lib import cells, machine, main, show
from .lib.load import Load, LoadError
from .lib.loops import Lineup, Loop
from .lib.process import Server, ServerError
from .servers import content

MIXED = "all of them in turn"
WARMUP_SECONDS = 0.15


@dataclass(frozen=True)
class Workload:
    """A row of the table and the requests behind it."""

    title: str
    routes: tuple[str, ...]


def workloads(folder: Path) -> list[Workload]:
    """The demo's rows; what has to come back is put into files in the folder."""
    def expect(name: str, body: bytes) -> str:
        path = folder / name
        path.write_bytes(body)
        return f"expect={path}"

    routes = {
        "GET small JSON": f"GET /json {expect('json', content.JSON_BODY)}",
        "GET 100 KiB": f"GET /large {expect('large', content.LARGE_BODY)}",
        "GET stream, 16 x 1 KiB":
            f"GET /stream chunked=1 {expect('stream', content.STREAM_BODY)}",
        "POST 4 KiB, echoed": f"POST /echo body={content.POST_BYTES}",
        "WebSocket message": f"WS /ws size={content.WEBSOCKET_BYTES}",
    }
    rows = [Workload(title, (route,)) for title, route in routes.items()]
    return [*rows, Workload(MIXED, tuple(routes.values()))]


def measure(loops: list[Loop], rows: list[Workload], options, places: machine.Places,
            progress: show.Progress) -> cells.Cells:
    """Every row on every loop in every round; a new server for each loop and round."""
    found = cells.Cells()
    for turn, loop in cells.rotated(loops, options.rounds):
        progress.title(f"round {turn + 1}/{options.rounds}")
        progress.show(f"{loop.name}: starting")
        done = 0
        try:
            with Server.python(loop, "web", cpu=places.server) as server:
                for row in rows:
                    progress.show(f"{loop.name}: {row.title}")
                    load = Load(mode="http", connections=options.connections,
                                routes=row.routes, duration=options.seconds,
                                warmup=WARMUP_SECONDS, seed=turn + 1)
                    found.add(row.title, loop.name, load.run(server, places))
                    progress.step()
                    done += 1
                    if not server.is_alive():
                        raise ServerError(f"the server died: {server.complaint()}")
        except (ServerError, LoadError) as error:
            found.fail(rows[min(done, len(rows) - 1)].title, loop.name, error)
            progress.step(len(rows) - done)
    return found


def table(found: cells.Cells, rows: list[Workload], loops: list[Loop]) -> str:
    """Requests/s, latencies and CPU for each row and loop."""
    base = next((name for name in ("uvloop", "asyncio")
                 if name in [loop.name for loop in loops]), loops[0].name)
    heads = ["request", "loop", "requests/s", "p50 ms", "p99 ms",
             "server CPU/request us", f"of {base}'s"]
    lines: list[list[str] | None] = []
    for row in rows:
        if lines:
            lines.append(None)
        for place, loop in enumerate(loops):
            at = row.title, loop.name
            p50 = found.median(*at, lambda result: result.p50 / 1e6)
            p99 = found.median(*at, lambda result: result.p99 / 1e6)
            lines.append([
                row.title if place == 0 else "", loop.name,
                show.number(found.median(*at, lambda result: result.per_second), 0),
                show.number(p50), show.number(p99), show.number(found.cpu(*at), 1),
                show.number(found.ratio(*at, base))])
    return show.table(heads, lines, left=2)


def run() -> int:
    """Measure, print the table, return the exit status."""
    parser = main.parser("demo", __doc__.splitlines()[0], rounds=3, seconds=0.7)
    parser.add_argument("--connections", type=main.positive, default=50,
                        help="concurrent keep-alive clients (default: %(default)s)")
    parser.add_argument("--check", action="store_true",
                        help="fail unless kevent needs less CPU per request than uvloop, mixed")
    options = parser.parse_args()
    main.prepare("loadgen")
    lineup = Lineup.of(options.loops, "aiohttp")
    places = machine.places()
    if not lineup.running:
        print("\n".join(lineup.complaints()))
        return main.FAILED
    with tempfile.TemporaryDirectory(prefix="kevent-demo-") as folder, \
            machine.awake() as trouble:
        rows = workloads(Path(folder))
        total = len(lineup.running) * len(rows) * options.rounds
        print(main.heading(places, lineup, trouble))
        print(f"{options.connections} keep-alive clients, medians of {options.rounds} rounds "
              f"of {options.seconds} s\n", flush=True)
        with show.Progress(total) as progress:
            found = measure(lineup.running, rows, options, places, progress)
    print(table(found, rows, lineup.running), end="\n\n")
    status = main.finish(found, options.json, lineup.missing, {"kevent"} & {
        loop.name for loop in options.loops})
    if options.check and not main.is_below(found, MIXED, "kevent", "uvloop"):
        status = main.FAILED
    return status


if __name__ == "__main__":
    main.run(run)
