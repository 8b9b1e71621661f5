"""Markdown and pictures out of a file of results."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..instructions import BASELINE
from ..lib.results import Results
from . import beside, markdown


def command(arguments: list[str]) -> int:
    """python -m benchmarks report FILE: write the report.  Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report",
                                     description=__doc__)
    parser.add_argument("results", type=Path, metavar="RESULTS.json")
    parser.add_argument("--out", type=Path, default=Path("build/report/benchmarks.md"),
                        metavar="FILE.md", help="the pictures go beside it, into benchmarks/ "
                                                "(default: %(default)s)")
    parser.add_argument("--suites", type=Path, metavar="PYTEST.json",
                        help="what pytest-benchmark wrote about the queues (default: "
                             "suites.json beside the results)")
    options = parser.parse_args(arguments)
    try:
        results = Results.from_json(json.loads(options.results.read_text()))
    except (OSError, ValueError) as error:
        print(f"failed: {options.results}: {error}", file=sys.stderr)
        return 2
    folder = options.out.parent / options.out.stem
    folder.mkdir(parents=True, exist_ok=True)
    try:
        from . import pictures
    except ImportError as error:
        print(f"note: no pictures: {error} (pip install matplotlib)")
        drawn = {}
    else:
        drawn = pictures.draw_all(results, folder)
    sections = [*beside.queues(options.suites or options.results.parent / "suites.json"),
                *beside.instructions(BASELINE, results.python)]
    options.out.write_text(markdown.report(results, drawn, sections))
    print(f"{options.out}: {len(results.rows)} rows, {len(drawn)} pictures")
    return 0
