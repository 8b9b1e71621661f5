"""Results by (row, loop), gathered over rounds in which every loop has its turn."""
from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

from . import machine
from .load import Result

T = TypeVar("T")


def rotated(items: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Each item once a round, each round beginning with another.

    What drifts, the clock of a warm processor or the neighbours of a virtual
    machine, then falls on all of them.
    """
    for turn in range(rounds):
        start = turn % len(items)
        for item in (*items[start:], *items[:start]):
            yield turn, item


@dataclass
class Cells:
    """All results and all failures of one run."""

    results: dict[tuple[str, str], list[Result]] = field(
        default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)

    def add(self, row: str, loop: str, result: Result) -> None:
        """Keep a result; a wrong one is a failure as well."""
        self.results[row, loop].append(result)
        if not result.ok:
            self.fail(row, loop, f"{result.wrong} wrong answers; {result.error}")

    def fail(self, row: str, loop: str, why: object) -> None:
        """Keep a failure."""
        self.failures.append(f"{loop}, {row}: {why}")

    def median(self, row: str, loop: str, value: Callable[[Result], float]) -> float | None:
        """Over the rounds; None if there is no good result."""
        values = [value(result) for result in self.results.get((row, loop), ())
                  if result.requests]
        return median(values) if values else None

    def cpu(self, row: str, loop: str) -> float | None:
        """Median server CPU per request in microseconds."""
        return self.median(row, loop, lambda result: result.cpu / 1e3)

    def spread(self, row: str, loop: str) -> str:
        """The least and the most server CPU per request over the rounds."""
        values = [result.cpu / 1e3 for result in self.results.get((row, loop), ())
                  if result.requests]
        return f"{min(values):,.2f}-{max(values):,.2f}" if values else ""

    def ratio(self, row: str, loop: str, base: str) -> float | None:
        """Server CPU per request over that of another loop."""
        ours, theirs = self.cpu(row, loop), self.cpu(row, base)
        return ours / theirs if ours and theirs else None

    @property
    def answers(self) -> int:
        """How many answers were verified."""
        return sum(result.answers for row in self.results.values() for result in row)

    def noise(self) -> str | None:
        """A sentence about a machine that did other things meanwhile."""
        every = [result for row in self.results.values() for result in row]
        if not every:
            return None
        waited = median(result.waited_share for result in every)
        if waited < 0.02:
            return None
        return (f"The server was ready and had no CPU {waited:.0%} of the time: other "
                "processes ran. Requests/s and latencies suffer; CPU per request much less.")

    def as_json(self) -> dict:
        """Everything, for a file."""
        return {
            "machine": machine.describe(),
            "python": platform.python_version(),
            "cells": [{"row": row, "loop": loop, "rounds": [one.raw for one in rounds]}
                      for (row, loop), rounds in self.results.items()],
            "failures": self.failures,
        }
