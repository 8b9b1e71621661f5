"""What a person sees: a line that moves while it runs, and a table after it."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from tqdm import tqdm

BAR = "{bar:24} {n_fmt}/{total_fmt} {remaining} left{postfix}"


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
    """A context: tqdm's bar on stderr says how far a run is.

    Where stderr is no terminal, one line for each round instead.
    """

    def __init__(self, total: int, stream: TextIO = sys.stderr) -> None:
        self.stream = stream
        self.is_live = stream.isatty()
        self._bar = tqdm(total=max(total, 1), file=stream, disable=not self.is_live,
                         leave=False, dynamic_ncols=True, bar_format=BAR)
        self._title = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.close()

    def title(self, text: str) -> None:
        """Say what comes next: in the bar, or as a line where it changed."""
        if not self.is_live and text != self._title:
            self.stream.write(f"{text}\n")
            self.stream.flush()
        self._title = text

    def show(self, text: str) -> None:
        """Say what runs now."""
        self._bar.set_postfix_str(f"{self._title}: {text}")

    def step(self, count: int = 1) -> None:
        """So many parts are done."""
        self._bar.update(count)
