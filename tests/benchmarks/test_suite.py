"""The whole comparison in its shortest form, its report, and what judges numbers."""
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import inside, instructions
from benchmarks.lib.results import Results
from benchmarks.report import beside, markdown
from benchmarks.lib.rows import QUICK, ROWS

ROOT = Path(__file__).resolve().parents[2]


def command(*options, timeout=120):
    """Run python -m benchmarks ...; returns status and text."""
    done = subprocess.run([sys.executable, "-m", "benchmarks", *options], cwd=ROOT,
                          capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout + done.stderr


def test_rows_of_every_kind_and_their_report(tmp_path):
    """TCP, UDP, Unix, TLS, churn and a workload inside a process, on two loops
    and in C; the report names each row and the file can be read again."""
    path, page = tmp_path / "results.json", tmp_path / "page.md"
    rows = ("echo_10", "udp", "unix", "tls", "churn", "kstreams", "kstreams_line", "streams_100k", "add_remove_reader")
    status, text = command("--rounds", "1", "--seconds", "0.05", "--loops", "asyncio,kevent",
                           "--rows", ",".join(rows), "--json", str(path))
    assert status == 0, text
    results = Results.from_json(json.loads(path.read_text()))
    for row in rows:
        for loop in ("asyncio", "kevent"):
            assert results.value(row, loop) > 0, (row, loop)
        assert bool(results.value(row, "c-epoll")) == ROWS[row].has_limit
    assert not results.failures()
    status, text = command("report", str(path), "--out", str(page))
    assert status == 0, text
    written = page.read_text()
    for row in rows:
        assert ROWS[row].title in written
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "page" / "heat.svg").read_text().count("<svg") == 1
    else:
        assert "no pictures" in text


def test_a_loop_that_does_not_work_is_reported():
    """A loop whose servers fail keeps its place, without a number; kevent's
    absence fails the run."""
    status, text = command("--rounds", "1", "--seconds", "0.05", "--rows", "echo_10",
                           "--loops", "asyncio,kevent=nowhere:factory")
    assert status == 1 and "kevent is not measured" in text, text


def test_wrong_use_is_explained():
    """A row that does not exist, a file that is none, a peer that nobody knows."""
    assert command("--rows", "nothing")[0] == 2
    assert command("report", str(ROOT / "pyproject.toml"))[0] == 2
    assert command("peers", "nobody")[0] == 2


def made(**values):
    """Results with one row "r" and the given rounds of each loop."""
    results = Results(loops=[{"name": name} for name in values if name != "c_epoll"],
                      rows=[{"name": "r", "group": "echo", "title": "r", "unit": "us"}])
    for name, rounds in values.items():
        for value in rounds:
            results.add("r", name.replace("_", "-"), {"value": value})
    return results


def test_verdicts():
    """Won, level and lost are against the best other loop, not against the usual one."""
    assert made(kevent=[1.0], asyncio=[5.0], uvloop=[2.0]).verdict("r") == "won"
    assert made(kevent=[1.0], asyncio=[5.0], uvloop=[1.01]).verdict("r") == "level"
    assert made(kevent=[1.0], asyncio=[0.9], uvloop=[2.0]).verdict("r") == "LOST"
    assert made(kevent=[1.0], uvloop=[2.0], other=[0.5]).verdict("r") == "LOST"
    assert made(kevent=[1.0], c_epoll=[0.5]).verdict("r") == "none"
    assert made(uvloop=[1.0]).verdict("r") == "FAILED"


def test_what_failed_once_counts_for_nothing():
    """A number beside a failure is not used, for us and against us."""
    results = made(kevent=[1.0], uvloop=[0.5])
    results.fail("r", "uvloop", "wrong bytes")
    assert results.verdict("r") == "none" and results.value("r", "uvloop") is None
    assert results.failures() == ["uvloop, r: wrong bytes"]


def test_a_row_that_asks_the_same_is_not_measured_twice():
    """It takes each round of its twin once, and the twin's failure; without any it is
    measured itself."""
    results = made(uvloop=[2.0], other=[1.0])
    assert not results.take("again", "elsewhere", "uvloop")
    assert results.take("again", "r", "uvloop") and results.value("again", "uvloop") == 2.0
    assert not results.take("again", "r", "uvloop")
    results.fail("r", "other", "wrong bytes")
    assert results.take("again", "r", "other") and results.has_failed("again", "other")
    assert set(results.cells) == {"r", "again"}


def test_the_report_marks_what_is_lost_and_what_failed():
    """Won, lost and failed rows and loops are all in the page, each with its mark,
    and so are the least and the most of every cell."""
    results = made(kevent=[1.0, 1.2], uvloop=[2.0, 2.2], other=[9.0])
    results.rows += [{"name": name, "group": "echo", "title": f"row {name}", "unit": "us"}
                     for name in ("lost", "gone")]
    for loop, value in (("kevent", 3.0), ("uvloop", 2.0)):
        results.add("lost", loop, {"value": value})
    results.fail("gone", "kevent", "died")
    results.fail("lost", "other", "5 wrong answers")
    page = markdown.report(results, {})
    assert "**won 1**" in page and "**lost 1**" in page
    assert "* **LOST** echo: row lost: 1.50 x uvloop" in page
    assert "* **FAILED** row gone" in page
    assert "* other: row lost (`lost`): 5 wrong answers" in page
    assert "1.00–1.20 | 2.00–2.20" in page


def test_the_report_has_what_the_suites_found(tmp_path):
    """Queues and selectors are compared pair by pair, and without a file there is
    no such section; a record of instructions is shown for its own Python only."""
    path = tmp_path / "suites.json"
    assert beside.queues(path) == []
    path.write_text(json.dumps({
        "datetime": "2026-01-02T03:04:05", "machine_info": {"python_version": "3.99.0"},
        "benchmarks": [
            {"group": "ready", "extra_info": {"kind": kind},
             "stats": {"median": value, "min": value, "max": value}}
            for kind, value in (("select.epoll", 2e-6), ("kevent-ring", 1e-6),
                                ("EpollSelector", 1e-6), ("KeventSelector", 2e-6))]
        + [{"group": "loops", "extra_info": {"loop": "kevent"}, "stats": {}}]}))
    page = "\n".join(beside.queues(path))
    assert "| kevent-ring | 1.00 | 1.00–1.00 | select.epoll | 2.00 | 2.00–2.00 | 0.50 | won |" in page
    assert "| 2.00 | **LOST** |" in page and "loops" not in page.partition("| row")[2]
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"CPython 3.99.0 by X": {"kevent": {"echo": 7000}}}))
    assert "| echo | 7,000 |" in "\n".join(beside.instructions(record, "3.99.0"))
    assert beside.instructions(record, "3.99") == []


def test_rounds_are_compared_one_by_one():
    """A machine that is twice as slow in one round moves no ratio; a row that is won
    in one round and lost in another is told."""
    results = made(kevent=[1.0, 2.0, 1.1], uvloop=[1.25, 2.5, 1.0], other=[3.0, 3.0, 3.0])
    assert results.ratio("r", "kevent", "uvloop") == 0.8 and results.rival("r") == "uvloop"
    assert results.wavers("r") and results.verdict("r") == "won"
    assert not made(kevent=[1.0, 2.0], uvloop=[1.5, 4.0]).wavers("r")
    assert made(uvloop=[2.0], other=[1.0]).rival("r") == "other"


def test_instructions_are_judged(tmp_path):
    """Up to 3 % more passes, beyond it does not, nor does what was never recorded;
    another loop's growth is told and not judged."""
    path = tmp_path / "record.json"
    assert "no record" in instructions.check({"kevent": {"echo": 1000}}, path)[0]
    instructions.record({"kevent": {"echo": 1000.0}, "uvloop": {"echo": 2000.0}}, path)
    assert not instructions.check({"kevent": {"echo": 1029.0}}, path)
    others = {"kevent": {"echo": 900.0}, "uvloop": {"echo": 9e9}, "uvloop 2": {"echo": 1.0}}
    assert not instructions.check(others, path)
    assert [line.partition(",")[0] for line in instructions.told(others, path)] == [
        "uvloop", "uvloop 2: no record"]
    assert "+3.1%" in instructions.check({"kevent": {"echo": 1031.0}}, path)[0]
    assert instructions.check({"kevent": {"other": 1.0}}, path)
    assert instructions.check({"uvloop": {"echo": 1.0}}, path)


def test_instructions_without_a_record_are_told(tmp_path, monkeypatch, capsys):
    """On another Python or compiler nothing is judged, and how to record is said;
    a kevent that was not counted, and a file that is lost, are failures all the same."""
    path = tmp_path / "record.json"
    assert instructions.judge({"kevent": {"echo": 1.0}}, path)
    instructions.record({"kevent": {"echo": 1000.0}}, path)
    assert not instructions.judge({"kevent": {"echo": 1010.0}}, path)
    assert instructions.judge({"kevent": {"echo": 1040.0}}, path)
    assert "check passed" in capsys.readouterr().out
    monkeypatch.setattr(instructions, "surroundings", lambda: "elsewhere")
    assert not instructions.judge({"kevent": {"echo": 1040.0}}, path)
    said = capsys.readouterr().out
    assert "NOT CHECKED" in said and "elsewhere" in said and "--record" in said
    assert instructions.judge({"uvloop": {"echo": 1.0}}, path)


def test_a_record_names_the_compilers(tmp_path):
    """Python's and the extension's, which may differ."""
    library = tmp_path / "library.so"
    library.write_bytes(b"\0GCC: (Debian 12.2.0-14) 12.2.0\0Debian clang version 14.0.6\0")
    assert instructions.compiler_of(library) == "clang 14.0.6"
    library.write_bytes(b"\0GCC: (GNU) 16.2.0\0")
    assert instructions.compiler_of(library) == "GCC 16.2.0"
    assert "kevent by " in instructions.surroundings()


def test_the_quick_rows_exist():
    """The short list is made of rows."""
    assert set(QUICK) <= set(ROWS) and set(inside.WORKLOADS) <= set(ROWS)


@pytest.mark.parametrize("name", [name for name in inside.WORKLOADS
                                  if not name.endswith("00000")])
def test_workloads_count_what_they_do(name):
    """Each workload runs on kevent and takes some time for each operation."""
    import kevent

    found = inside.measure(name, kevent.new_event_loop, 1, 0.01)
    assert found["ns"] > 0 and found["count"] >= 5


@pytest.mark.skipif(not importlib.util.find_spec("pytest_benchmark"),
                    reason="pytest-benchmark is not installed")
def test_the_pytest_suites_run():
    """One test of each file, on two loops where there are loops."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "benchmarks",
         "--loops", "asyncio,kevent", "-k", "call_soon_fanout or test_register"],
        cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kevent-ring" in done.stdout and "call_soon_fanout" in done.stdout
