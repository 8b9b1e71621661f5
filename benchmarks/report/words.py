"""Numbers and tables as Markdown."""
from __future__ import annotations


def number(value: float | None) -> str:
    """Three figures or so."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.1f}" if value >= 100 \
        else f"{value:.2f}"


def times(value: float | None) -> str:
    """A ratio."""
    return "–" if value is None else f"{value:.2f}"


def span(values: list[float]) -> str:
    """From the least to the most."""
    return f"{number(min(values))}–{number(max(values))}" if values else "–"


def table(heads: list[str], lines: list[list[str]], left: int = 1) -> str:
    """A table of Markdown."""
    rule = ["---" if i < left else "---:" for i in range(len(heads))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rule, *lines))
