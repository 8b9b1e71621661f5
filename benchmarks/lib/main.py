"""What the commands share: options about loops and rounds, and how they end."""
from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from . import loops, machine
from .cells import Cells
from .load import LoadError
from .native import CompileError, program
from .process import ServerError

FAILED = 1
PROBLEMS = (CompileError, LoadError, ServerError)


def parser(module: str, description: str, *, rounds: int, seconds: float,
           names: tuple[str, ...] = loops.DEFAULT) -> argparse.ArgumentParser:
    """The options that every timed comparison has."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}",
                                   description=description)
    made.add_argument("--loops", type=loops.parse_all, metavar="LOOP,...",
                      default=[loops.Loop.parse(name) for name in names],
                      help=f"{', '.join(loops.KNOWN)} or [NAME=]MODULE:FACTORY[@PYTHON] "
                           f"(default: {','.join(names)})")
    made.add_argument("--rounds", type=positive, default=rounds,
                      help="each loop is measured so often, in turn (default: %(default)s)")
    made.add_argument("--seconds", type=float, default=seconds,
                      help="of one measurement (default: %(default)s)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    return made


def positive(text: str) -> int:
    """An integer above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def run(main: Callable[[], int]) -> None:
    """Exit with what main returns; a known problem is one line, not a traceback."""
    # A terminated benchmark stops its servers on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(main())
    except PROBLEMS as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def prepare(*programs: str) -> None:
    """Compile before anything is timed.  Raises CompileError."""
    for name in programs:
        program(name)


def heading(places: machine.Places, lineup: loops.Lineup, trouble: str | None) -> str:
    """Where and with what a run measures, and what it cannot do."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(
        lineup.versions.items(), key=lambda item: item[0] != "python"))
    lines = [f"{machine.describe()}; {places}", versions]
    lines += [trouble] if trouble else []
    lines += [f"note: {line}" for line in lineup.complaints()]
    return "\n".join(line for line in lines if line)


def finish(cells: Cells, path: Path | None, missing: dict[str, str],
           needed: set[str]) -> int:
    """Say what went wrong, write the file, return the exit status."""
    if path is not None:
        path.write_text(json.dumps(cells.as_json(), indent=1) + "\n")
    noise = cells.noise()
    if noise:
        print(f"note: {noise}")
    for name, reason in missing.items():
        print(f"note: {name} was not measured: {reason}")
    for failure in cells.failures:
        print(f"FAILED: {failure}")
    lacking = needed & set(missing)
    for name in sorted(lacking):
        print(f"FAILED: {name} has to run, and does not")
    print(f"{cells.answers:,} answers verified byte for byte: "
          f"{'not all were right' if cells.failures else 'all right'}.")
    return FAILED if cells.failures or lacking else 0


def is_below(cells: Cells, row: str, ours: str, theirs: str) -> bool:
    """Print and return whether one loop needs less CPU per request than another."""
    ratio = cells.ratio(row, ours, theirs)
    if ratio is None:
        print(f"CHECK FAILED: {row}: {ours} and {theirs} were not both measured")
        return False
    verdict = "check passed" if ratio < 1 else "CHECK FAILED"
    print(f"{verdict}: {row}: {ours} needs {ratio:.3f} of {theirs}'s server CPU per request")
    return ratio < 1
