"""The words and tables of the report."""
from __future__ import annotations

from ..lib.results import C_EPOLL, LEVEL, OURS, Results
from .words import number, span, table, times

GROUPS = {
    "echo": "Servers: echo", "http": "Servers: HTTP", "memory": "Memory",
    "handles": "Inside a process: handles", "timers": "Inside a process: timers",
    "tasks": "Inside a process: tasks", "threads": "Inside a process: threads",
    "descriptors": "Inside a process: descriptors", "life": "Inside a process: life",
}
CAPTIONS = {
    "heat": "Server CPU of a request over what C on epoll needs; where C has no server for a "
            "row, over the best loop. A grey cell has failed.",
    "inside": "Time of an operation inside a process over the best loop's.",
    "latency": "Latency of an echo request: where the quantiles of a loop lie.",
    "scaling": "Server CPU of an echo request from 1 to 10,000 connections: what C needs, times "
               "the ratio to C of the same round.",
    "timers": "A timer that comes and is cancelled while others are pending.",
    "memory": "Resident memory of an idle connection that has echoed once.",
}
METHOD = """\
Each cell is a new process. The server has one CPU, the clients another, which the load generator polls without sleeping;
in a round each row is measured on every loop before the next row, and each round begins with another loop. A number is
the median over the rounds; a ratio is the median of the ratios within each round, because the machine itself is by a
quarter faster in one minute than in the next. *Server CPU* is the CPU clock of the whole server process, kernel included, over the measured
window, divided by the requests answered in it: it moves little when the machine is busy. The clients compare every byte
of every answer; a server with one wrong answer, a lost connection or a stall gets no number. *Inside a process* a number
is the best of three runs in one process, wall clock. Smaller is better in every table. A row *with kevent.streams* asks the
same of every other loop as the row above it, and has that row's numbers of them."""
NOT_SHOWN = """\
* A loopback connection on one machine: no network card, no loss, no distance. In a real service the kernel's share is
  larger, and your own code's far larger; what a loop saves is a smaller part of the whole there.
* Two CPUs of a virtual machine. The hypervisor gives and takes them without saying so, other processes may have run
  (see *Noise*), and nothing here says how a loop behaves with 32 cores or without a hypervisor.
* CPU for a request is not latency. A loop may be cheap and still make one client wait; the latencies here are those of
  a closed loop of clients, which send nothing while they wait, so that a stall is undercounted.
* The C limit is one way to write an echo server in C: level-triggered, one `recv` of 256 KiB, one `send`. It is not a law
  of nature; with other buffers it is faster at large messages, and a loop can beat it there.
* One interpreter, one kernel, one compiler. Another Python moves all rows in which Python code runs.
* A run of less than a second for each cell: nothing is said about a server after a day (`make soak` is about that), nor
  about rare stalls; the 99.9th percentile of such a run stands on few requests.
* Each loop is used as it comes. What an option of a loop or of the kernel would change is not looked for.
* Nothing here is a program of yours. Run it: `python -m benchmarks --loops asyncio,kevent` or `make demo`."""


def verdict(results: Results, row: str) -> str:
    """What a reader looks for first."""
    found = results.verdict(row)
    near = " (not in every round)" if results.wavers(row) and found in ("won", "LOST") else ""
    return {"won": f"won{near}", "level": "level", "LOST": f"**LOST**{near}",
            "FAILED": "**FAILED**", "none": ""}[found]


def verdicts(results: Results) -> str:
    """One line a row: ours, and ours over everybody's."""
    lines = []
    for row in results.rows:
        name = row["name"]
        values, best = results.values(name, OURS), results.best_peer(name)
        lines.append([
            f"{row['title']}", row["unit"].replace("us of", "µs of"),
            number(results.value(name, OURS)), span(values),
            *(times(results.ratio(name, OURS, base)) for base in (C_EPOLL, "asyncio", "uvloop")),
            f"{times(results.ratio(name, OURS, best))} ({best})" if best else "–",
            verdict(results, name)])
    return table(["row", "unit", "kevent", "least–most", "over C", "over asyncio",
                  "over uvloop", "over the best peer", "kevent has"], lines, left=2)


def counted(count: int, noun: str) -> str:
    """One round, two rounds."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def present(results: Results, rows: list[dict]) -> list[str]:
    """The loops that have a cell in one of the rows, C among them, failed or not."""
    return [name for name in results.names()
            if any(results.cells.get(row["name"], {}).get(name) for row in rows)]


def spreads(results: Results) -> str:
    """The least and the most of the rounds of every cell."""
    names = present(results, results.rows)
    return table(["row", "unit", *names], [
        [row["title"], row["unit"].replace("us of", "µs of"),
         *(span(results.values(row["name"], name)) for name in names)]
        for row in results.rows], left=2)


def numbers(results: Results, group: str) -> str:
    """Every loop's number in the rows of a group; the best in bold."""
    rows = [row for row in results.rows if row["group"] == group]
    names = present(results, rows)
    lines = []
    for row in rows:
        found = {name: results.value(row["name"], name) for name in names}
        good = [value for name, value in found.items() if value and name != C_EPOLL]
        cells = []
        for name in names:
            cell = results.cells.get(row["name"], {}).get(name)
            if cell and cell["failure"]:
                cells.append("failed")
            elif found[name] is not None and good and found[name] == min(good):
                cells.append(f"**{number(found[name])}**")
            else:
                cells.append(number(found[name]))
        lines.append([row["title"], *cells])
    unit = rows[0]["unit"].replace("us of", "µs of")
    return f"In {unit}.\n\n" + table(["row", *names], lines)


def latencies(results: Results) -> str:
    """Quantiles and requests a second of the echo rows."""
    lines = []
    for row in results.rows:
        if row["name"] not in ("echo_10", "echo_1000", "streams", "httptools", "aiohttp"):
            continue
        for name in results.names():
            if not results.values(row["name"], name):
                continue
            at = row["name"], name
            quantiles = [results.of(*at, "latency_ns", key) for key in ("p50", "p99", "p999")]
            lines.append([row["title"], name, number(results.of(*at, "per_second")),
                          *(number(value / 1e3 if value else None) for value in quantiles)])
    return table(["row", "loop", "requests/s", "p50 µs", "p99 µs", "p99.9 µs"], lines, left=2)


def summary(results: Results) -> str:
    """How many rows are won, level and lost, and which ones are lost."""
    found: dict[str, list[str]] = {}
    for row in results.rows:
        found.setdefault(results.verdict(row["name"]), []).append(row["name"])
    titles = {row["name"]: row for row in results.rows}
    won = found.get("won", ())
    unsure = sum(results.wavers(name) for name in won)
    said = [f"Of {counted(len(results.rows), 'row')} kevent has **won {len(won)}**"
            + (f" ({unsure} of them not in every round)" if unsure else "")
            + f", is level (within {LEVEL:.0%}) in {len(found.get('level', ()))} and has **lost "
            f"{len(found.get('LOST', ()))}** against the best other loop of that row, whichever "
            "that is: no single one is the rival in all of them.", ""]
    ours_only = [name for name in won if name.startswith("kstreams")]
    if ours_only:
        said += [f"{len(ours_only)} of the rows won compare `kevent.streams` with asyncio's "
                 "streams on the other loops: that is another interface, which a program has "
                 "to be written for.", ""]
    for name in found.get("LOST", ()):
        rival = results.rival(name)
        ratio = results.ratio(name, OURS, rival)
        near = ", not in every round" if results.wavers(name) else ""
        row = titles[name]
        said.append(f"* **LOST** {row['group']}: {row['title']}: {ratio:.2f} x {rival}{near}")
    for name in found.get("FAILED", ()):
        said.append(f"* **FAILED** {titles[name]['title']}")
    return "\n".join(said)


def noise(results: Results) -> str:
    """How far the rounds lie apart, and who else was there."""
    apart = sorted(max(values) / min(values) - 1
                   for row in results.rows for name in results.names()
                   if len(values := results.values(row["name"], name)) > 1)
    said = [f"{counted(results.rounds, 'round')} of {results.seconds} s a cell, "
            f"{results.minutes:.1f} minutes in all."]
    if apart:
        said.append(f"The worst round of a cell is {apart[len(apart) // 2]:.0%} above its best "
                    f"in half of the cells or less, and {apart[len(apart) * 9 // 10]:.0%} or "
                    "more in a tenth of them; the least and the most of every cell are at the "
                    "end of this page.")
    else:
        said.append("One round shows no noise: these numbers are an impression.")
    waited = results.waited()
    said.append(f"A server that was ready to run had to wait for its CPU {waited:.0%} of the "
                "time (median)" + (": **other processes were running**. Requests a second and "
                                   "latencies of this run say little; CPU of a request is a "
                                   "few per cent too high through cold caches, and the "
                                   "numbers inside a process are too high where no undisturbed "
                                   "run was among them." if waited > 0.02 else "."))
    if results.trouble:
        said.append(results.trouble)
    return " ".join(said)


def failed(results: Results) -> str:
    """One line for each row and loop that have no number, with the reason."""
    lines = [f"* {name}: {row['title']} (`{row['name']}`): {cell['failure']}"
             for row in results.rows
             for name, cell in results.cells.get(row["name"], {}).items() if cell["failure"]]
    return "\n".join(lines) or "Nothing."


def report(results: Results, drawn: dict[str, str], beside: list[str] = ()) -> str:
    """The whole page; `drawn` maps names of pictures to paths beside it, and
    `beside` are sections of what a run has not measured."""
    def picture(name: str) -> list[str]:
        return [f"![{CAPTIONS[name]}]({drawn[name]})", "", f"*{CAPTIONS[name]}*", ""] \
            if name in drawn else []

    loops = ", ".join(f"{loop['name']} {loop.get('version', '')}".strip() for loop in results.loops)
    said = [
        "# Benchmarks", "",
        "kevent beside a server in C, asyncio, uvloop and whatever other loop could be "
        "installed. This page is written by `python -m benchmarks report`; `make bench` makes "
        "another one on your machine.", "",
        "## In short", "", summary(results), "", *picture("heat"), *picture("inside"),
        "## What these numbers do not show", "", NOT_SHOWN, "",
        "## Where and how", "",
        f"* {results.made} UTC; {results.machine}; {results.places}",
        f"* CPython {results.python}; {loops}",
        *(f"* not measured: {name}: {why}" for name, why in results.missing.items()), "",
        METHOD, "", "### Noise", "", noise(results), "",
        "## kevent in each row", "",
        f"Ratios below 1 are in kevent's favour. *Won* and *lost* are against the best other "
        f"loop, asyncio included, with {LEVEL:.0%} between them at least. The best peer is the "
        "best of the loops that are neither asyncio nor kevent.", "",
        verdicts(results), "", "## All numbers", ""]
    groups = dict.fromkeys(row["group"] for row in results.rows)
    for group in groups:
        said += [f"### {GROUPS.get(group, group)}", "", numbers(results, group), ""]
        if group == "echo":
            said += [*picture("scaling"), *picture("latency")]
        if group in ("memory", "timers"):
            said += picture(group)
    said += ["### Requests a second and latencies", "", latencies(results), "", *beside,
             "## What failed", "",
             "A loop that has failed in a row, be it with one wrong byte, has no number there.",
             "", failed(results), "",
             f"{results.answers:,} answers were verified byte for byte.", "",
             "## Least and most of every cell", "", spreads(results), ""]
    return "\n".join(said)
