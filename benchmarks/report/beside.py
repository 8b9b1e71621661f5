"""What the report has beside a run: the queues' pytest suites, instruction counts."""
from __future__ import annotations

import json
from pathlib import Path

from ..lib.results import LEVEL
from .words import number, table, times

# Ours, and what it is to be compared with.
PAIRS = (("kevent-ring", "select.epoll"), ("KeventSelector", "EpollSelector"))
QUEUES = """\
Not loops but what is below them, by the pytest suite `benchmarks/test_queues.py` ({made} UTC, CPython {python}): 10,000
eventfds are watched in every row. The ring is used without an object for each event, and `select.epoll` is the module of
the standard library, so that both are called from Python. Medians of the rounds in µs; a round of a row with *x N* is N
operations."""
COUNTS = """\
Instructions in user space of one request or callback, by callgrind: free of noise, and without the kernel's. They are
those that `make instructions` compares with (`benchmarks/instructions.json`): {where}."""


def of_queues(path: Path) -> dict[str, dict[str, dict]]:
    """group -> kind -> statistics in seconds, out of a file of pytest-benchmark."""
    found: dict[str, dict[str, dict]] = {}
    for one in json.loads(path.read_text())["benchmarks"]:
        if kind := one["extra_info"].get("kind"):
            found.setdefault(one["group"], {})[kind] = one["stats"]
    return found


def verdict(ours: dict, theirs: dict) -> str:
    """As in the other tables, with the same distance and the same doubt."""
    ratio = ours["median"] / theirs["median"]
    overlap = ours["min"] <= theirs["max"] and theirs["min"] <= ours["max"]
    near = " (rounds overlap)" if overlap else ""
    return f"won{near}" if ratio < 1 - LEVEL else "level" if ratio <= 1 + LEVEL \
        else f"**LOST**{near}"


def queues(path: Path) -> list[str]:
    """The section about queues and selectors; nothing where the suites did not run."""
    try:
        raw = json.loads(path.read_text())
        found = of_queues(path)
    except (OSError, ValueError, KeyError):
        return []
    lines = []
    for group, kinds in found.items():
        for ours, theirs in PAIRS:
            if ours not in kinds or theirs not in kinds:
                continue
            mine, other = kinds[ours], kinds[theirs]
            lines.append([
                group, ours, number(mine["median"] * 1e6),
                f"{number(mine['min'] * 1e6)}–{number(mine['max'] * 1e6)}", theirs,
                number(other["median"] * 1e6),
                f"{number(other['min'] * 1e6)}–{number(other['max'] * 1e6)}",
                times(mine["median"] / other["median"]), verdict(mine, other)])
    if not lines:
        return []
    has = [line[-1] for line in lines]
    count = {name: sum(name in one for one in has) for name in ("won", "level", "LOST")}
    info = raw["machine_info"]
    return ["## Queues and selectors", "",
            QUEUES.format(made=raw["datetime"][:16].replace("T", " "),
                          python=info["python_version"]),
            f"Of {len(lines)} rows kevent has **won {count['won']}**, is level in "
            f"{count['level']} and has **lost {count['LOST']}**.", "",
            table(["row", "ours", "µs", "least–most", "theirs", "µs", "least–most", "ratio",
                   "kevent has"], lines), ""]


def instructions(path: Path, python: str) -> list[str]:
    """The section about instruction counts of that Python, if there is a record of it."""
    try:
        records = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    said: list[str] = []
    for where, record in records.items():
        if not where.startswith(f"CPython {python} "):
            continue
        names = list(record)
        rows = dict.fromkeys(what for values in record.values() for what in values)
        said += [COUNTS.format(where=where), "", table(["what", *names], [
            [what, *(number(record[name].get(what)) for name in names)] for what in rows]), ""]
    return ["## Instruction counts", "", *said] if said else []
