"""The pictures of the report, as SVG."""
from __future__ import annotations

import math
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import LinearSegmentedColormap  # noqa: E402

from ..inside import PENDING  # noqa: E402
from ..lib.results import C_EPOLL, OURS, Results  # noqa: E402
from ..lib.rows import SCALE  # noqa: E402

COLOURS = {C_EPOLL: "#555555", "asyncio": "#e0a100", "uvloop": "#2f6fb4", OURS: "#c8102e"}
OTHERS = ("#5ba55b", "#8d6bb8", "#b07a4a", "#d57fb5", "#7f7f7f", "#a8a838", "#4fb3bf")
QUANTILES = ("p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999")
HEAT = LinearSegmentedColormap.from_list("heat", ("#f7fbf2", "#fdd49e", "#d7301f"))
# Of a row's name, by what kevent has in it.
MARKS = {"won": "#1a7431", "LOST": "#c8102e", "FAILED": "#c8102e"}
MOST = 5.0                  # the heat map's darkest colour


def settle() -> None:
    """Sizes and a fixed salt: the same results give the same file."""
    matplotlib.rcParams.update({
        "svg.hashsalt": "kevent", "svg.fonttype": "path", "font.size": 10,
        "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.color": "#dddddd", "axes.axisbelow": True,
        "legend.frameon": False})


def colours(results: Results) -> dict[str, str]:
    """One for each loop, the same in every picture."""
    others = [name for name in results.names() if name not in COLOURS]
    return {**COLOURS, **dict(zip(others, OTHERS * 3))}


def save(figure, folder: Path, name: str) -> str:
    """Write the file; returns its path as the report names it."""
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None},
                   facecolor="white")
    pyplot.close(figure)
    return f"{folder.name}/{name}.svg"


def base_of(results: Results, row: str) -> str | None:
    """C where it has a number, else the best loop."""
    if results.value(row, C_EPOLL):
        return C_EPOLL
    values = [(value, name) for name in results.names() if (value := results.value(row, name))]
    return min(values)[1] if values else None


def heat_map(results: Results, rows: list[dict], title: str):
    """Loops by rows, coloured by the ratio; None when there is nothing to show.

    Where no row has a limit in C, every ratio is over the best loop.
    """
    names = [name for name in results.names() if name != C_EPOLL]
    rows = [row for row in rows if base_of(results, row["name"])]
    if not rows or not names:
        return None
    figure, axes = pyplot.subplots(figsize=(2.6 + 0.72 * len(names), 1.2 + 0.33 * len(rows)))
    is_inside = not any(results.value(row["name"], C_EPOLL) for row in rows)
    grid = []
    for row in rows:
        base = base_of(results, row["name"])
        grid.append([results.ratio(row["name"], name, base) or math.nan for name in names])
    axes.imshow([[math.log(max(value, 1.0)) if value == value else math.nan for value in line]
                 for line in grid], cmap=HEAT, vmin=0.0, vmax=math.log(MOST), aspect="auto")
    for y, line in enumerate(grid):
        limit = results.value(rows[y]["name"], C_EPOLL)
        for x, value in enumerate(line):
            failed = value != value and results.cells.get(rows[y]["name"], {}).get(names[x])
            if failed:
                axes.add_patch(pyplot.Rectangle((x - 0.5, y - 0.5), 1, 1, color="#dddddd"))
            text = f"{value:.2f}" if value == value and value < 10 else f"{value:.0f}" \
                if value == value else "failed" if failed else ""
            best = value == value and value == min(v for v in line if v == v)
            axes.text(x, y, text, ha="center", va="center", fontsize=8.5,
                      fontweight="bold" if best else "normal",
                      color="white" if value == value and value > 3.4 else "#222222")
        rows[y] = {**rows[y], "label": rows[y]["title"] + ("" if limit or is_inside else " ¹")}
    axes.set_xticks(range(len(names)), names, rotation=35, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    for label in axes.get_xticklabels():
        label.set_fontweight("bold" if label.get_text() == OURS else "normal")
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows):
        verdict = results.verdict(row["name"])
        label.set_color(MARKS.get(verdict, "#222222"))
        label.set_fontweight("bold" if verdict in ("LOST", "FAILED") else "normal")
    axes.tick_params(length=0)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
    limits = [results.value(row["name"], C_EPOLL) is not None for row in rows]
    note = ("number in bold: the best loop; grey: the loop failed\n"
            "row in bold red: kevent has lost; in green: won; in black: level"
            + ("\n¹ nothing measured in C: over the best loop" if any(limits) and not all(limits) else ""))
    axes.set_xlabel(note, fontsize=8.5, color="#555555")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=12)
    return figure


def scale_up(axes) -> None:
    """A logarithmic axis upwards, with marks at 1, 2 and 5 in plain figures."""
    axes.set_yscale("log")
    axes.minorticks_off()
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high / low < 1e3 else (1,)
    marks = [m * 10 ** e for e in range(-3, 9) for m in steps if low <= m * 10 ** e <= high]
    axes.set_yticks(marks, [f"{mark:,g}" for mark in marks])


def beside_c(results: Results, row: str, name: str) -> float | None:
    """A loop's value in a minute in which C had its median; where there is no C, its own."""
    ratio, limit = results.ratio(row, name, C_EPOLL), results.value(row, C_EPOLL)
    return ratio * limit if ratio and limit else results.value(row, name)


def lines(results: Results, points: list[tuple[int, str]], title: str, across: str,
          up: str):
    """One line for each loop over rows that differ in a number."""
    figure, axes = pyplot.subplots(figsize=(7.6, 4.2))
    is_empty = True
    for name, colour in colours(results).items():
        found = [(x, value) for x, row in points
                 if (value := beside_c(results, row, name)) is not None]
        if not found:
            continue
        is_ours = name == OURS
        axes.plot(*zip(*found), marker="o", markersize=5 if is_ours else 3.5, color=colour,
                  linewidth=2.6 if is_ours else 1.3, zorder=3 if is_ours else 2,
                  linestyle="--" if name == C_EPOLL else "-", label=name)
        is_empty = False
    if is_empty:
        pyplot.close(figure)
        return None
    axes.set_xscale("log")
    axes.set_xticks([x for x, _ in points], [f"{x:,}" for x, _ in points])
    scale_up(axes)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def latency(results: Results):
    """Quantiles of the echo rows, one panel for each."""
    rows = [row for row in results.rows if row["name"] in ("echo_10", "echo_1000", "streams")]
    if not rows:
        return None
    figure, panels = pyplot.subplots(1, len(rows), figsize=(4.0 * len(rows), 4.0),
                                     squeeze=False)
    for axes, row in zip(panels[0], rows):
        for name, colour in colours(results).items():
            found = [results.of(row["name"], name, "latency_ns", key) for key in QUANTILES]
            if None in found or not results.values(row["name"], name):
                continue
            is_ours = name == OURS
            axes.plot(range(len(QUANTILES)), [value / 1e3 for value in found], color=colour,
                      linewidth=2.6 if is_ours else 1.3, zorder=3 if is_ours else 2,
                      linestyle="--" if name == C_EPOLL else "-", label=name)
        scale_up(axes)
        axes.set_xticks(range(len(QUANTILES)),
                        ["10", "25", "50", "75", "90", "95", "99", "99.9"])
        axes.set_xlabel("% of the requests were faster")
        axes.set_title(row["title"], loc="left", fontsize=9.5)
    panels[0][0].set_ylabel("µs")
    panels[0][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle("Latency of a request", x=0.07, ha="left", fontsize=11, fontweight="bold")
    figure.tight_layout()
    return figure


def memory(results: Results):
    """Bars, least first."""
    row = next((row["name"] for row in results.rows if row["group"] == "memory"), None)
    found = sorted((value, name) for name in results.names()
                   if row and (value := results.value(row, name)) is not None)
    if not found:
        return None
    figure, axes = pyplot.subplots(figsize=(7.0, 0.9 + 0.36 * len(found)))
    palette = colours(results)
    lost = [name for name in results.names() if name not in [one for _, one in found]
            and results.cells.get(row, {}).get(name)]
    axes.barh([name for _, name in found] + lost,
              [value for value, _ in found] + [0.0] * len(lost),
              color=[palette[name] for _, name in found] + ["#dddddd"] * len(lost))
    for y, (value, _) in enumerate([*found, *((None, name) for name in lost)]):
        axes.text(value or 0.0, y, " failed" if value is None else f" {value:,.0f}",
                  va="center", fontsize=9)
    axes.invert_yaxis()
    axes.grid(False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("bytes of resident memory a connection")
    axes.set_title("10,000 idle connections", loc="left", fontsize=11, fontweight="bold")
    return figure


def draw_all(results: Results, folder: Path) -> dict[str, str]:
    """Write every picture for which there are numbers; returns name -> path."""
    settle()
    servers = [row for row in results.rows if row["group"] in ("echo", "http")]
    inside = [row for row in results.rows if row["group"] not in ("echo", "http", "memory")]
    figures = {
        "heat": heat_map(results, servers, "Server CPU of a request, over C on epoll"),
        "inside": heat_map(results, inside, "Time of an operation, over the best loop"),
        "latency": latency(results),
        "scaling": lines(results, [(count, f"echo_{count}") for count in SCALE],
                         "Echo of 1 KiB", "connections", "µs of server CPU a request"),
        "timers": lines(results, [(count, f"timers_among_{count}") for count in PENDING],
                        "call_later and cancel", "other timers pending", "ns for both"),
        "memory": memory(results),
    }
    return {name: save(figure, folder, name) for name, figure in figures.items()
            if figure is not None}
