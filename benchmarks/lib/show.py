"""What a person sees: a line that moves while it runs, and a table after it."""
from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str] | None],
          left: int = 1) -> str:
    """Columns under their heads; the first `left` ones begin at the left.

    A row that is None is a line between groups.
    """
    lines = [heads, *(row for row in rows if row is not None)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) if i < left else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(cells, widths))).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(heads), rule, *(rule if row is None else line(row) for row in rows)])


class Progress:
    """A context: one line on stderr that says how far a run is.

    Where stderr is no terminal, one line for each round instead.
    """

    BAR = 24

    def __init__(self, total: int, stream: TextIO = sys.stderr) -> None:
        self.total = max(total, 1)
        self.done = 0
        self.stream = stream
        self.is_live = stream.isatty()
        self._begin = time.monotonic()
        self._title = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.is_live:
            self.stream.write("\r\033[K")
            self.stream.flush()

    def title(self, text: str) -> None:
        """Say what comes next: in the line, or as a line where it changed."""
        if not self.is_live and text != self._title:
            self.stream.write(f"{text}\n")
            self.stream.flush()
        self._title = text

    def show(self, text: str) -> None:
        """Say what runs now."""
        if not self.is_live:
            return
        filled = self.BAR * self.done // self.total
        spent = time.monotonic() - self._begin
        left = f"{spent / self.done * (self.total - self.done):3.0f} s left" if self.done else ""
        line = (f"[{'=' * filled}{' ' * (self.BAR - filled)}] "
                f"{self.done}/{self.total} {left}  {self._title}: {text}")
        width = shutil.get_terminal_size().columns - 1
        self.stream.write(f"\r\033[K{line[:width]}")
        self.stream.flush()

    def step(self, count: int = 1) -> None:
        """So many parts are done."""
        self.done += count
