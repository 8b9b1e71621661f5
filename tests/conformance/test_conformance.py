"""The harness on loops whose faults are known: it must see each of them.

The whole comparison is not run from here but with `python -m tests.conformance`.
"""
import json
import subprocess
import sys

import pytest

from . import report, run, worker

pytestmark = pytest.mark.skipif(
    run.test_package() is None, reason="this Python has no test.test_asyncio")

SAMPLES = "tests.conformance.samples"


@pytest.fixture
def harness(tmp_path):
    """Run the command on a sample loop; returns exit status and JSON."""
    def call(sample, *arguments):
        output = tmp_path / "result.json"
        process = subprocess.run(
            [sys.executable, "-m", "tests.conformance", "--json", output,
             "--loop", f"{SAMPLES}:{sample}", "--no-cache", *arguments],
            cwd=run.ROOT, capture_output=True, text=True, timeout=300)
        assert output.exists(), process.stdout + process.stderr
        return process.returncode, json.loads(output.read_text())
    return call


def outcomes(result, verdict):
    return {name: test["tested"]["outcome"]
            for name, test in result["tests"].items()
            if test["verdict"] == verdict}


def test_an_unchanged_loop_passes(harness):
    """The stdlib's loop under another name has no difference at all."""
    status, result = harness(
        "Trivial", "--modules", "test_buffered_proto,test_server,test_sock_lowlevel")
    assert status == 0
    assert set(result["totals"]) == {"pass", "skip"}
    assert all(test["tested"]["made"] for test in result["tests"].values()
               if test["stdlib"]["made"])


def test_a_failure_is_a_regression(harness):
    """A method that raises fails the run and names the tests."""
    status, result = harness("Broken", "--modules", "test_sock_lowlevel",
                             "-k", "sock_client_ops")
    assert status == 1
    assert set(outcomes(result, "regression").values()) == {"error"}


def test_a_hang_is_ended_and_the_rest_runs(harness):
    """A test that never returns is a regression, those behind it still run."""
    status, result = harness("Hanging", "--modules", "test_sock_lowlevel",
                             "--timeout", "5", "-k", "*Tests.test_s*")
    assert status == 1
    assert "hang" in outcomes(result, "regression").values()
    assert any(name.endswith("test_sock_client_ops")
               for name in outcomes(result, "pass"))


def test_a_crash_is_survived(harness):
    """A process that aborts is a regression, the tests behind it still run."""
    status, result = harness("Crashing", "--modules", "test_sock_lowlevel")
    assert status == 1
    assert set(outcomes(result, "regression").values()) == {"crash"}
    assert any(name.endswith("test_unix_sock_client_ops")
               for name in outcomes(result, "pass"))


def test_a_crash_after_the_last_test_counts(harness):
    """An interpreter that dies while it ends fails the run, though every
    test has passed."""
    status, result = harness("DyingLate", "--modules", "test_buffered_proto")
    assert status == 1
    assert outcomes(result, "regression") == {"test_buffered_proto.(exit)": "crash"}


def test_a_loop_that_is_not_used_fails(harness):
    """Tests that pass on the stdlib's loop instead of ours prove nothing."""
    status, result = harness("Unbound", "--modules", "test_buffered_proto")
    assert status == 1
    assert list(outcomes(result, "unbound").values()) == ["pass"]


def test_a_selector_that_skips_is_a_regression(harness):
    """A test that passes on the stdlib and is skipped on ours is a
    regression; the other selector tests run on the selector under test."""
    status, result = harness(
        "Trivial", "--selector", f"{SAMPLES}:TrivialSelector",
        "--modules", "test_selectors", "-k", "test_modify")
    assert status == 1
    assert set(outcomes(result, "regression").values()) == {"skip"}
    assert outcomes(result, "pass")


def write(tmp_path, text):
    path = tmp_path / "exclusions.txt"
    path.write_text(text)
    return path


def test_exclusions_need_a_reason_and_stay_few(tmp_path):
    """A line without a reason, and a line too many, are errors."""
    with pytest.raises(ValueError, match="exclusions.txt:2"):
        report.read_exclusions(write(tmp_path, "# prose\ntest_a.B.c\n"))
    with pytest.raises(ValueError, match="at most"):
        report.read_exclusions(write(tmp_path, "a.B.c # why\n" * 21))


def test_exclusions_name_versions(tmp_path):
    """A line holds for all versions, for one, for a range, or from one on."""
    lines = report.read_exclusions(write(tmp_path, (
        "a # why\nb [3.12] # why\nc [3.11-3.13] # why\nd [3.14-] # why\n")))
    assert [(line.first[1], line.last[1]) for line in lines] == [
        (0, 99), (12, 12), (11, 13), (14, 99)]


def test_an_exclusion_that_excuses_nothing_is_stale(tmp_path):
    """Its tests pass, or (in a complete run only) there is none."""
    fine, passing, gone = report.read_exclusions(write(
        tmp_path, "a.* # why\nb.* # why\nc.* # why\n"))
    verdicts = {"a.X.one": "excluded", "a.X.two": "pass", "b.X.one": "pass"}
    lines = [fine, passing, gone]
    assert report.stale(lines, verdicts, complete=False) == [passing]
    assert report.stale(lines, verdicts, complete=True) == [passing, gone]


def test_exclusions_excuse_only_failures(tmp_path):
    """An excluded regression is told apart, an excluded pass stays a pass."""
    lines = report.read_exclusions(write(tmp_path, "a.* # why\n"))
    good, bad = run.Record("pass"), run.Record("fail")
    verdicts = report.classify(
        {"a.X.one": good, "a.X.two": good, "b.X.one": good},
        {"a.X.one": bad, "a.X.two": good, "b.X.one": bad},
        {"a.X.one": "regression", "b.X.one": "regression"}, lines)
    assert verdicts == {
        "a.X.one": "excluded", "a.X.two": "pass", "b.X.one": "regression"}


def test_a_stdlib_side_that_ended_early_is_told():
    """Tests that the stdlib's side never got to are no ground to compare on;
    a failure of its own, or a module that does not apply here, is."""
    assert report.unfinished({
        "t.X.a": run.Record("missing"), "t.(exit)": run.Record("crash"),
        "u.(import)": run.Record("skip"), "t.X.b": run.Record("fail"),
        "t.X.c": run.Record("pass")}) == ["t.(exit)", "t.X.a"]


def test_patterns_are_substrings_or_globs():
    """-k takes what unittest's -k takes."""
    assert worker.matches("test_a.B.test_c", "B.test")
    assert worker.matches("test_a.B.test_c", "*_c")
    assert not worker.matches("test_a.B.test_c", "*_d")


class Scripted:
    """A runner whose answers are written down beforehand."""

    def __init__(self, alone, modules=()):
        self.options = run.Options(jobs=1)
        self._alone = {side: list(answers) for side, answers in alone.items()}
        self._modules = dict(modules)

    def alone(self, side, name):
        return run.Record(self._alone[side.name].pop(0))

    def module(self, side, module):
        return {"t.X.a": run.Record(self._modules[module])}


@pytest.mark.parametrize("ours, stdlib, again, first, verdict", [
    (["fail"], ["pass"], None, "fail", "regression"),
    (["fail"], ["fail", "pass"], None, "fail", "flaky"),
    (["pass"], [], "pass", "fail", "unstable"),
    (["pass"], [], "fail", "fail", "regression"),
    (["pass"], ["pass"], None, "hang", "regression"),
    (["pass"], ["pass"], None, "crash", "regression"),
])
def test_suspects_are_tried_again(ours, stdlib, again, first, verdict):
    """Only what the stdlib passes and ours fails, alone or always in company,
    is a regression; a crash is one however it ends alone."""
    runner = Scripted({"tested": ours, "stdlib": stdlib}, {"t": again})
    assert run.retry(
        runner, run.Side("stdlib"), run.Side("tested"),
        {"t.X.a": run.Record("pass")}, {"t.X.a": run.Record(first)},
        ["t.X.a"]) == {"t.X.a": verdict}
