"""A pytest plugin that runs each test again and again and counts what is left.

    python -m pytest -p tests.refleak.plugin --refleak tests/kevent

First some runs that are not counted, in which caches fill; then some that
are.  A test that leaves at least one reference or memory block behind in every
one of them loses it; so does one that leaves a descriptor in any.  References
are counted where Python counts them, which is a debug build; memory blocks and
descriptors everywhere.  A test that is suspected runs as often again before it
is accused.

`--refleak=short` is for a few minutes: fewer runs, and none of a test that
takes longer than a moment.  Of tests that run on asyncio's loop as well as on
ours only ours is looked at; CPython's own leaks are not ours to find, nor
NumPy's, which loses references with every record type that it makes.
hypothesis is told to make the same examples in every run: what only a few of
them lose would otherwise be missing in some.  Warnings that nobody catches are
let go: pytest would keep each of them for its report.
"""
import gc
import os
import sys
import time
import warnings
from array import array

import pytest
from _pytest.runner import runtestprotocol

FORMS = {
    # warm-up runs, counted runs, seconds that one run may take
    "full": (4, 4, 20.0),
    "short": (3, 3, 0.3),
}
OTHERS = ("numpy",)         # in the names of tests that use them
KINDS = ("references", "memory blocks", "descriptors")


def pytest_addoption(parser):
    parser.addoption(
        "--refleak", nargs="?", const="full", choices=sorted(FORMS),
        help="run each test several times and fail those that lose something")


def pytest_configure(config):
    if config.getoption("--refleak"):
        config.pluginmanager.register(Hunter(*FORMS[config.getoption("--refleak")]))
        try:
            import hypothesis
        except ImportError:
            return
        # Before the tests are imported: their settings() start from these.
        hypothesis.settings.register_profile("refleak", derandomize=True, database=None)
        hypothesis.settings.load_profile("refleak")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--refleak"):
        items[:] = [item for item in items
                    if not is_of_asyncio(item)
                    and not any(other in item.name for other in OTHERS)]


def is_of_asyncio(item):
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("loop_name") == "asyncio"


def count(into):
    """References, memory blocks and descriptors now, without keeping anything."""
    gc.collect()
    gc.collect()
    if hasattr(sys, "_clear_internal_caches"):
        sys._clear_internal_caches()
    into[2] = len(os.listdir("/proc/self/fd"))
    into[0] = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    into[1] = sys.getallocatedblocks()


def loses(deltas):
    """Whether what each run left behind says that something is lost: of
    references and blocks some in every run, of descriptors one in any."""
    return [kind for kind, column in zip(KINDS, zip(*deltas))
            if (any(one > 0 for one in column) and sum(column) > 0
                if kind == "descriptors" else all(one > 0 for one in column))]


class Hunter:
    def __init__(self, warmup, runs, longest_s):
        self.warmup = warmup
        self.runs = runs
        self.longest_s = longest_s
        self.before = array("q", [0, 0, 0])
        self.after = array("q", [0, 0, 0])
        self.slow = 0

    def run_once(self, item):
        """One run with all its fixtures, of which nothing is reported."""
        item._report_sections.clear()
        if hasattr(item, "_request"):
            item._initrequest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return any(report.failed or report.skipped
                       for report in runtestprotocol(item, nextitem=None, log=False))

    def left_by(self, item, runs):
        """What each of some runs left behind: [(references, blocks, fds)]."""
        deltas = [[0, 0, 0] for _ in range(runs)]
        count(self.before)
        for delta in deltas:
            self.run_once(item)
            count(self.after)
            for kind in range(3):
                delta[kind] = self.after[kind] - self.before[kind]
            self.before[:] = self.after
        return deltas

    def hunt(self, item):
        """What the test loses, as a text; None if nothing."""
        gc.collect()
        gc.freeze()                 # pytest and the modules are no news
        started = time.monotonic()
        if self.run_once(item):
            return None             # skipped, or fails: the last run tells
        if time.monotonic() - started > self.longest_s:
            self.slow += 1
            return None
        for _ in range(self.warmup - 1):
            self.run_once(item)
        if not loses(self.left_by(item, self.runs)):
            return None
        deltas = self.left_by(item, self.runs + 2)
        lost = loses(deltas)
        if not lost:
            return None
        table = "\n".join("  " + "".join(f"{one:>16}" for one in delta) for delta in deltas)
        head = "".join(f"{kind:>16}" for kind in KINDS)
        return f"{item.nodeid} loses {', '.join(lost)}:\n  {head}\n{table}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        text = self.hunt(item)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        if hasattr(item, "_request"):
            item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in reports:
            if text is not None and report.when == "call" and report.passed:
                report.outcome = "failed"
                report.longrepr = text
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_terminal_summary(self, terminalreporter):
        what = "" if hasattr(sys, "gettotalrefcount") else "; references are not counted here"
        terminalreporter.write_line(
            f"refleak: {self.runs} counted runs of each test, {self.slow} of them too "
            f"slow for this form{what}")
