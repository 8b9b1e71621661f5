"""python -m tests.conformance: see the package's docstring.

Exit status: 0 no regression; 1 regressions, stale exclusions, a loop that
was never used, or a stdlib side that could not be run; 2 wrong usage; 77 this interpreter has no test package.
"""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time

from . import bind, report, run

LOOP = "kevent:EventLoop"
SELECTOR = "kevent:KeventSelector"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description="CPython's own asyncio and selectors tests, on the stdlib "
                    "and on another loop: nothing may get worse.")
    parser.add_argument("--loop", metavar="MODULE:FACTORY", default=LOOP,
                        help=f"loop under test ({LOOP})")
    parser.add_argument("--selector", metavar="MODULE:CLASS",
                        help="selector under test, for test_selectors "
                             f"({SELECTOR} with kevent's loop, else none)")
    parser.add_argument("--modules", metavar="M,M...",
                        help="only these, e.g. test_events,test_selectors")
    parser.add_argument("--quick", action="store_true",
                        help="only the modules that talk to the loop most")
    parser.add_argument("-k", metavar="PATTERN", dest="pattern",
                        help="only tests whose id has it (a glob with *)")
    parser.add_argument("--list", action="store_true", help="name the tests")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--timeout", type=float, default=60.0,
                        metavar="SECONDS", help="of one test (60)")
    parser.add_argument("--json", metavar="FILE", help="write everything there")
    parser.add_argument("--no-cache", action="store_true",
                        help="run the stdlib's side too, if it is known or not")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="whole tracebacks, every difference")
    options = parser.parse_args()
    if options.selector is None and options.loop == LOOP:
        options.selector = SELECTOR
    return options


def chosen_modules(options, package) -> list[str]:
    """The modules to run; ValueError for one that is not there."""
    known = run.modules_of(package)
    if options.selector:
        known.append("test_selectors")
    if options.modules:
        wanted = options.modules.split(",")
        if "test_selectors" in wanted and not options.selector:
            raise ValueError("test_selectors needs --selector")
        unknown = set(wanted) - set(known)
        if unknown:
            raise ValueError(f"no such module: {', '.join(sorted(unknown))}")
        return wanted
    if options.quick:
        return [name for name in known if name in run.QUICK]
    return known


def main() -> int:
    options = arguments()
    package = run.test_package()
    if package is None:
        print(f"{sys.executable} has no test.test_asyncio: nothing to run")
        return 77
    is_kevent = options.loop.partition(":")[0] == "kevent"
    try:
        modules = chosen_modules(options, package)
        module = sys.modules[bind.resolve(options.loop).__module__]
        policy = bind.policy_of(options.loop)
        if options.selector:
            bind.resolve(options.selector)
        exclusions = report.read_exclusions(report.EXCLUSIONS) if is_kevent else []
    except (ImportError, AttributeError, ValueError) as exc:
        print(f"conformance: {exc}", file=sys.stderr)
        return 2

    print(f"CPython {sys.version.split()[0]}, {options.loop} "
          f"({getattr(module, '__file__', 'built in')}), policy "
          f"{'its own' if policy else 'the stdlib one'}, tests of {package}")
    stdlib = run.Side("stdlib")
    tested = run.Side("tested", options.loop, options.selector)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(
            prefix="conf-", ignore_cleanup_errors=True) as scratch:
        runner = run.Runner(run.Options(
            options.jobs, options.timeout, options.pattern,
            not options.no_cache), scratch)
        if options.list:
            for name in modules:
                print(*runner.list(tested, name), sep="\n")
            return 0
        if options.verbose or sys.stderr.isatty():
            runner.progress = lambda text: print(text, file=sys.stderr)
        before, after = runner.both(stdlib, tested, modules)
        unfinished = report.unfinished(before)
        doubts = report.suspects(before, after)
        retried = run.retry(runner, stdlib, tested, before, after, doubts)

    verdicts = report.classify(before, after, retried, exclusions)
    complete = not (options.modules or options.quick or options.pattern)
    stale = report.stale(exclusions, verdicts, complete)
    report.show(before, after, verdicts, stale, options.verbose)
    print(f"{time.perf_counter() - began:.0f} s")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report.as_json(before, after, verdicts, stale), file, indent=1)
    if not any(record.made for record in after.values()):
        print("the loop under test was never made: nothing was tested")
        return 1
    if unfinished:
        print("the stdlib's side did not get to its end: "
              + ", ".join(unfinished[:5]))
        return 1
    failing = sum(1 for verdict in verdicts.values() if verdict in report.FAILING)
    return 1 if failing or stale else 0


if __name__ == "__main__":
    sys.exit(main())
