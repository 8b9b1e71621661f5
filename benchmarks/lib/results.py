"""The results of a whole run: kept, compared, and written to a file."""
from __future__ import annotations

import json
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from . import machine, show
from .loops import Lineup

C_EPOLL = "c-epoll"
OURS = "kevent"
USUAL = ("asyncio", "uvloop")
# Nearer than this to the best other loop, neither has won.
LEVEL = 0.03


@dataclass
class Results:
    """What was measured.  Smaller is better in every row."""

    made: str = ""
    machine: str = ""
    python: str = ""
    places: str = ""
    trouble: str | None = None
    seconds: float = 0.0
    minutes: float = 0.0
    rounds: int = 0
    loops: list[dict] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)
    cells: dict[str, dict[str, dict]] = field(default_factory=dict)

    @classmethod
    def begin(cls, lineup: Lineup, rows, places, trouble: str | None,
              seconds: float) -> Results:
        """An empty table for these loops and rows."""
        made = cls(
            made=time.strftime("%Y-%m-%d %H:%M", time.gmtime()), machine=machine.describe(),
            python=platform.python_version(), places=str(places), trouble=trouble,
            seconds=seconds, missing=lineup.missing)
        made.loops = [{"name": loop.name, "factory": loop.factory,
                       "version": lineup.versions.get(loop.factory.partition(":")[0], "")}
                      for loop in lineup.running]
        made.rows = [{"name": row.name, "group": row.group, "title": row.title,
                      "unit": row.unit} for row in rows]
        made._began = time.monotonic()
        return made

    def write(self, path: Path | None) -> None:
        """Note how long it was, and keep everything in the file."""
        self.minutes = (time.monotonic() - self._began) / 60
        if path is not None:
            path.write_text(json.dumps(self.as_json(), indent=1) + "\n")

    def as_json(self) -> dict:
        """Everything, for a file."""
        return {"format": 1, **{name: getattr(self, name)
                                for name in self.__dataclass_fields__}}

    @classmethod
    def from_json(cls, raw: dict) -> Results:
        """What as_json wrote."""
        if raw.get("format") != 1:
            raise ValueError("this is no file of python -m benchmarks --json")
        return cls(**{name: raw[name] for name in cls.__dataclass_fields__ if name in raw})

    # ---- filling

    def _cell(self, row: str, loop: str) -> dict:
        return self.cells.setdefault(row, {}).setdefault(loop, {"rounds": [], "failure": None})

    def add(self, row: str, loop: str, found: dict) -> None:
        """One more round of a cell."""
        self._cell(row, loop)["rounds"].append(found)

    def fail(self, row: str, loop: str, why: str) -> None:
        """This cell counts for nothing: no number of a server that went wrong is used."""
        self._cell(row, loop)["failure"] = " ".join(why.split())[:300]

    def take(self, row: str, twin: str, loop: str) -> bool:
        """Let a row have the latest of another row; False if that has none to give."""
        theirs, ours = self.cells.get(twin, {}).get(loop), self._cell(row, loop)
        if theirs is None:
            return False
        if theirs["failure"]:
            self.fail(row, loop, theirs["failure"])
        elif len(theirs["rounds"]) > len(ours["rounds"]):
            # It is the very same measurement, so its answers are counted once.
            ours["rounds"].append({**theirs["rounds"][-1], "answers": 0})
        else:
            return False
        return True

    def has_failed(self, row: str, loop: str) -> bool:
        """True after fail()."""
        return self._cell(row, loop)["failure"] is not None

    # ---- looking

    def names(self) -> list[str]:
        """C first, then the loops as they were given."""
        return [C_EPOLL, *(loop["name"] for loop in self.loops)]

    def values(self, row: str, loop: str) -> list[float]:
        """One for each round; none after a failure."""
        cell = self.cells.get(row, {}).get(loop)
        if not cell or cell["failure"]:
            return []
        return [one["value"] for one in cell["rounds"]]

    def value(self, row: str, loop: str) -> float | None:
        """The median of the rounds."""
        values = self.values(row, loop)
        return median(values) if values else None

    def of(self, row: str, loop: str, *keys: str) -> float | None:
        """The median of something else in the rounds, by its keys."""
        found = []
        for one in self.cells.get(row, {}).get(loop, {"rounds": ()})["rounds"]:
            for key in keys:
                one = one.get(key, {}) if isinstance(one, dict) else {}
            if isinstance(one, (int, float)):
                found.append(one)
        return median(found) if found else None

    def ratios(self, row: str, loop: str, base: str) -> list[float]:
        """A loop's value over another's, in each round.

        A virtual machine is faster in one minute than in the next; within a round a
        row is measured on all loops one after the other.
        """
        return [ours / theirs for ours, theirs
                in zip(self.values(row, loop), self.values(row, base)) if theirs]

    def ratio(self, row: str, loop: str, base: str) -> float | None:
        """The median of the ratios."""
        found = self.ratios(row, loop, base)
        return median(found) if found else None

    def _best(self, row: str, names: list[str]) -> str | None:
        """Over which of the loops ours has the highest ratio; the fastest if ours failed."""
        found = [(-(self.ratio(row, OURS, name) or 0.0), self.value(row, name), name)
                 for name in names if self.value(row, name)]
        return min(found)[2] if found else None

    def best_peer(self, row: str) -> str | None:
        """The best loop that is neither ours nor asyncio."""
        return self._best(row, [name for name in self.names()
                                if name not in (C_EPOLL, OURS, "asyncio")])

    def rival(self, row: str) -> str | None:
        """The best loop that is not ours, asyncio too."""
        return self._best(row, [name for name in self.names() if name not in (C_EPOLL, OURS)])

    def verdict(self, row: str) -> str:
        """won, level or LOST against the best other loop; none: nothing to compare."""
        rival = self.rival(row)
        ratio = self.ratio(row, OURS, rival) if rival else None
        if ratio is None:
            return "none" if self.value(row, OURS) else "FAILED"
        return "won" if ratio < 1 - LEVEL else "level" if ratio <= 1 + LEVEL else "LOST"

    def wavers(self, row: str) -> bool:
        """True if ours was ahead of the best other loop in one round and behind in another."""
        rival = self.rival(row)
        found = self.ratios(row, OURS, rival) if rival else []
        return bool(found) and min(found) < 1 < max(found)

    def failures(self) -> list[str]:
        """One line for each cell that counts for nothing."""
        return [f"{loop}, {row}: {cell['failure']}" for row, cells in self.cells.items()
                for loop, cell in cells.items() if cell["failure"]]

    @property
    def answers(self) -> int:
        """How many answers were verified byte for byte."""
        return sum(one.get("answers", 0) for cells in self.cells.values()
                   for cell in cells.values() for one in cell["rounds"])

    def waited(self) -> float:
        """The median share of time that servers were ready and had no CPU."""
        every = [one["waited"] for cells in self.cells.values() for cell in cells.values()
                 for one in cell["rounds"] if "waited" in one]
        return median(every) if every else 0.0

    # ---- a table on the terminal

    def text(self) -> str:
        """All rows, all loops, and the verdicts."""
        names = [name for name in self.names()
                 if any(self.value(row["name"], name) for row in self.rows)]
        lines: list[list[str] | None] = []
        group = None
        for row in self.rows:
            if group not in (None, row["group"]):
                lines.append(None)
            group = row["group"]
            lines.append([f"{row['title']}, {row['unit']}",
                          *(show.number(self.value(row["name"], name)) for name in names),
                          self.verdict(row["name"])])
        said = [show.table(["row", *names, "kevent"], lines), ""]
        if self.waited() >= 0.02:
            said.append(f"note: servers were ready and had no CPU {self.waited():.0%} of the "
                        "time: other processes ran.")
        said += [f"FAILED: {line}" for line in self.failures()]
        said.append(f"{self.answers:,} answers verified byte for byte, "
                    f"{self.rounds} rounds, {self.minutes:.1f} minutes.")
        return "\n".join(said)
