"""One test module in one process: a line of JSON per event, into a file.

The order on the command line is a JSON object (see `run.Order`). The lines are

    {"plan": [id, ...]}          what will run, in this order
    {"start": id}                its end is missing: the process died in it
    {"id": id, "outcome": ..., "seconds": ..., "made": n, "strays": n, "detail": ...}
    {"whole": outcome, "detail": ...}   the module could not be imported

Outcomes: pass, skip, fail, error, xfail (failed as it should), xpass, missing.
A test that lasts longer than the order's timeout ends the process with a
traceback of every thread on stderr.
"""
from __future__ import annotations

import faulthandler
import fnmatch
import importlib
import json
import os
import re
import sys
import time
import traceback
import unittest

from . import bind

DETAIL_MAX = 6000  # characters of a traceback that are kept


class Lines:
    """The results file. A forked child that escapes a test writes nothing."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", encoding="utf-8", errors="replace")
        self._pid = os.getpid()

    def write(self, **line) -> None:
        if os.getpid() == self._pid:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


class Recorder(unittest.TestResult):
    """Writes a line when a test starts and one when it ends."""

    def __init__(self, lines: Lines, census: bind.Census, timeout: float):
        super().__init__()
        self._lines = lines
        self._census = census
        self._timeout = timeout
        self.begun: set[str] = set()
        self.unmet: list[tuple[str, str, str, str]] = []
        # (fixture, scope, outcome, detail)
        self._fresh()

    def _fresh(self) -> None:
        self._outcome = ("pass", "")
        self._began = time.perf_counter()
        self._census.reset()

    def arm(self) -> None:
        faulthandler.dump_traceback_later(
            self._timeout, exit=True, file=sys.__stderr__)

    def startTest(self, test):
        super().startTest(test)
        self._lines.write(start=short_id(test))
        self._fresh()
        self.arm()

    def stopTest(self, test):
        # 3.12.1 comes here without startTest for a test that is skipped.
        self.begun.add(short_id(test))
        outcome, detail = self._outcome
        self.write(short_id(test), outcome, detail,
                   time.perf_counter() - self._began)
        self._fresh()
        self.arm()
        super().stopTest(test)

    def write(self, name, outcome, detail, seconds=0.0):
        self._lines.write(
            id=name, outcome=outcome, detail=detail[-DETAIL_MAX:],
            seconds=round(seconds, 4), made=self._census.made,
            strays=self._census.strays)

    def _note(self, test, outcome, detail):
        """Keep a test's first bad news; a fixture's belong to its tests."""
        if not isinstance(test, unittest.TestCase):
            fixture, scope = re.match(r"(\w+) \((.*)\)", test.id()).groups()
            self.unmet.append((fixture, strip(scope), outcome, detail))
        elif self._outcome[0] in ("pass", "skip"):
            self._outcome = (outcome, detail)

    def addError(self, test, err):
        self._note(test, "error", format_error(err))

    def addFailure(self, test, err):
        self._note(test, "fail", format_error(err))

    def addSkip(self, test, reason):
        if not hasattr(test, "test_case"):  # not of a part of a test
            self._note(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        self._note(test, "xfail", format_error(err))

    def addUnexpectedSuccess(self, test):
        self._note(test, "xpass", "passed, and is marked as failing")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            kind = "fail" if issubclass(err[0], test.failureException) else "error"
            self._note(test, kind, f"{subtest}\n{format_error(err)}")


def format_error(err) -> str:
    return "".join(traceback.format_exception(*err))


def strip(name: str) -> str:
    """A test's name without the packages it is in."""
    return re.sub(r"^test\.(test_asyncio\.)?", "", name)


def short_id(test) -> str:
    return strip(test.id())


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def matches(name: str, pattern: str | None) -> bool:
    """Like unittest's -k: a substring, or a glob if there is a star."""
    if not pattern:
        return True
    if "*" in pattern:
        return fnmatch.fnmatchcase(name, pattern)
    return pattern in name


def select(tests, order):
    """The tests of the order, each once, without the duplicate classes."""
    only = None if order["only"] is None else set(order["only"])
    seen = set(order["skip"])
    for test in tests:
        name = short_id(test)
        if type(test).__name__ in bind.DUPLICATES or name in seen:
            continue
        if only is not None and name not in only:
            continue
        if matches(name, order["pattern"]):
            seen.add(name)
            yield test


def settle(recorder: Recorder, plan: list[str]) -> None:
    """Give an outcome to the tests that a class or module fixture kept from
    running, and to a fixture that failed after its tests had run."""
    recorder._census.reset()
    for fixture, scope, outcome, detail in recorder.unmet:
        kept = [name for name in plan if name not in recorder.begun
                and name.startswith(scope + ".")]
        for name in kept:
            recorder.begun.add(name)
            recorder.write(name, outcome, f"{fixture}: {detail}")
        if not kept and outcome != "skip":
            recorder.write(f"{scope}.({fixture})", outcome, detail)


def prepare() -> None:
    """What CPython's own runner sets before it runs a test."""
    from test import support
    support.use_resources = {"cpu", "subprocess", "walltime"}
    support.verbose = 0


def main(text: str) -> None:
    order = json.loads(text)
    sys.argv = ["worker"]
    faulthandler.enable(all_threads=True)
    lines = Lines(order["results"])
    census = bind.Census()
    recorder = Recorder(lines, census, order["timeout"])
    recorder.arm()
    module_name = order["module"]
    prepare()
    try:
        if module_name == "test_selectors":
            bind.bind_selector(order["binding"], census)
            module = importlib.import_module("test.test_selectors")
        else:
            factory = bind.bind_loop(order["binding"], census)
            module = importlib.import_module(f"test.test_asyncio.{module_name}")
            bind.bind_classes(module, factory)
        suite = unittest.defaultTestLoader.loadTestsFromModule(module)
        tests = list(select(flatten(suite), order))
    except unittest.SkipTest as exc:
        lines.write(whole="skip", detail=str(exc))
        return
    except Exception:
        lines.write(whole="error", detail=traceback.format_exc())
        return
    plan = [short_id(test) for test in tests]
    lines.write(plan=plan)
    if not order["list"]:
        unittest.TestSuite(tests).run(recorder)
        settle(recorder, plan)
