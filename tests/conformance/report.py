"""Compare the two sides, honour exclusions.txt, and say it in few lines."""
from __future__ import annotations

import fnmatch
import re
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from .run import Record

EXCLUSIONS = Path(__file__).with_name("exclusions.txt")
EXCLUSIONS_MAX = 10
SHOWN_MAX = 40  # tests of one verdict, without --verbose
FAILING = ("regression", "unbound")
ORDER = ("regression", "unbound", "unstable", "flaky", "excluded",
         "improvement", "both", "other")


@dataclass(frozen=True)
class Exclusion:
    """A line `test-id [3.13-3.15] # reason`; versions are optional and may be as
    exact as 3.13.5, the id may be a glob."""
    pattern: str
    first: tuple[int, ...]
    last: tuple[int, ...]
    reason: str

    def here(self) -> bool:
        now = sys.version_info[:3]
        return self.first <= now and now[:len(self.last)] <= self.last

    def matches(self, name: str) -> bool:
        return self.here() and fnmatch.fnmatchcase(name, self.pattern)


LINE = re.compile(
    r"(?P<id>\S+)(?:\s+\[(?P<first>3(?:\.\d+)+)(?:-(?P<last>3(?:\.\d+)+)?)?\])?"
    r"\s+#\s*(?P<why>.+)")


def read_exclusions(path: Path) -> list[Exclusion]:
    """The lines of `path`; ValueError for a line without a reason or too many
    lines. Empty lines and lines that begin with # are prose."""
    found = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        match = LINE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{path.name}:{number}: not `test-id # reason`")
        first, last = match["first"], match["last"]
        if first and not last:
            last = "3.99" if "-]" in text else first
        found.append(Exclusion(match["id"], _version(first or "3.0"),
                               _version(last or "3.99"), match["why"]))
    if len(found) > EXCLUSIONS_MAX:
        raise ValueError(f"{path.name}: {len(found)} lines, "
                         f"at most {EXCLUSIONS_MAX} are allowed")
    return found


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def suspects(before: dict[str, Record], after: dict[str, Record]) -> list[str]:
    """The ids that may be regressions: run on the stdlib, not passed on ours.

    A test that is there on one side only is given a record on the other:
    missing on ours, passed on the stdlib (a fixture that did not fail).
    """
    for name in after.keys() - before.keys():
        before[name] = Record("pass", "only there on the loop under test")
    for name in before.keys() - after.keys():
        after[name] = Record("missing", "not there on the loop under test")
    return sorted(name for name in before
                  if not after[name].passed and before[name].outcome != "skip")


def unfinished(before: dict[str, Record]) -> list[str]:
    """Ids on the stdlib's side that were not run, or modules of which it did
    not survive: there is nothing to compare with then."""
    return sorted(name for name, record in before.items()
                  if record.outcome == "missing" or name.endswith(")")
                  and not record.passed and record.outcome != "skip")


def classify(before, after, retried: dict[str, str],
             exclusions: list[Exclusion]) -> dict[str, str]:
    """{id: verdict} for every test; see ORDER, and pass and skip."""
    verdicts = {}
    for name, ours in after.items():
        stdlib = before[name]
        if name in retried:
            verdict = retried[name]
            if verdict in FAILING and any(e.matches(name) for e in exclusions):
                verdict = "excluded"
        elif ours.passed and stdlib.passed:
            # A loop was made, and it was not ours: nothing was tested.
            verdict = "unbound" if stdlib.made and not ours.made else "pass"
        elif ours.passed:
            verdict = "improvement"
        else:
            verdict = "skip" if ours.outcome == stdlib.outcome else "other"
        verdicts[name] = verdict
    return verdicts


def stale(exclusions: list[Exclusion], verdicts: dict[str, str],
          complete: bool) -> list[Exclusion]:
    """Lines that excuse nothing any more. Those that match no test at all are
    only told from those that were not asked for if the run is `complete`."""
    found = []
    for line in exclusions:
        hits = [v for name, v in verdicts.items() if line.matches(name)]
        # A flaky one has neither passed nor failed.
        excuses = {"excluded", "flaky", "unstable"} & set(hits)
        if line.here() and not excuses and (hits or complete):
            found.append(line)
    return found


def reason_of(verdict: str, record: Record) -> str:
    """The last line of a traceback that says something, cut to a line."""
    if verdict == "unbound":
        return "passed on a stdlib loop: the loop under test was not made"
    if record.outcome == "hang":
        return "hang"
    lines = [line for line in record.detail.splitlines() if line.strip()]
    return f"{record.outcome}: {lines[-1].strip()[:110]}" if lines else record.outcome


def show(before, after, verdicts, stale_lines, verbose: bool) -> None:
    """Print the tests that need a reader, a table by module, and the totals."""
    for verdict in ORDER:
        names = sorted(n for n, v in verdicts.items() if v == verdict)
        if verdict in ("improvement", "both", "other") and not verbose:
            continue
        for name in names if verbose else names[:SHOWN_MAX]:
            print(f"{verdict.upper():11} {name}\n{'':11} "
                  f"{reason_of(verdict, after[name])}")
            if verbose and verdict in ("regression", "unstable", "excluded"):
                print(after[name].detail)
        if len(names) > SHOWN_MAX and not verbose:
            print(f"{'':11} and {len(names) - SHOWN_MAX} more, see -v or --json")
    for line in stale_lines:
        print(f"STALE       {line.pattern}: nothing fails there any more")
    print(f"\n{'':26}{'tests':>6}{'on ours':>9}{'passed':>8}{'regr.':>7}{'s':>8}")
    for module in sorted({name.partition(".")[0] for name in verdicts}):
        _row(module, before, after, {n: v for n, v in verdicts.items()
                                     if n.partition(".")[0] == module})
    _row("total", before, after, verdicts)
    counts = Counter(verdicts.values())
    strays = sum(1 for r in after.values() if r.strays)
    print(", ".join(f"{counts[v]} {text}" for v, text in (
        ("pass", "pass on both"), ("regression", "regressions"),
        ("unbound", "unbound"), ("unstable", "unstable"),
        ("flaky", "flaky on the stdlib"), ("excluded", "excluded"),
        ("improvement", "improvements"), ("both", "fail on both"),
        ("skip", "skipped"), ("other", "not run on the stdlib"))),
        end=f"; {strays} tests also made a stdlib loop\n")


def _row(title, before, after, verdicts) -> None:
    bound = sum(1 for name in verdicts if after[name].made)
    passed = sum(1 for name in verdicts if after[name].passed)
    seconds = sum(after[name].seconds for name in verdicts)
    regressions = sum(1 for v in verdicts.values() if v in FAILING)
    print(f"{title:26}{len(verdicts):6}{bound:9}{passed:8}{regressions:7}"
          f"{seconds:8.1f}")


def as_json(before, after, verdicts, stale_lines) -> dict:
    return {
        "python": sys.version,
        "tests": {name: {"verdict": verdict,
                         "stdlib": asdict(before[name]),
                         "tested": asdict(after[name])}
                  for name, verdict in sorted(verdicts.items())},
        "totals": dict(Counter(verdicts.values())),
        "stale": [line.pattern for line in stale_lines],
    }
