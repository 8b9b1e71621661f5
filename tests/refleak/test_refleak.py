"""The hunter notices what is lost, and accuses nobody else."""
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from . import plugin

ROOT = Path(__file__).resolve().parents[2]
SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))


def hunt(tmp_path, body, form="short"):
    """Runs a file with that test under the plugin; what it printed."""
    path = tmp_path / "test_planted.py"
    path.write_text(textwrap.dedent(body))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "-p", "tests.refleak.plugin", f"--refleak={form}", "--rootdir", str(tmp_path),
         str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120 * SLOWNESS)
    return done.returncode, done.stdout + done.stderr


def test_clean(tmp_path):
    """A test that leaves nothing behind passes, whatever it does meanwhile."""
    status, text = hunt(tmp_path, """
    import os, weakref
    def test_it():
        kept = [object() for _ in range(1000)]
        fd = os.open("/dev/null", os.O_RDONLY)
        os.close(fd)
        cycle = []
        cycle.append(cycle)
    """)
    assert status == 0 and "1 passed" in text, text


@pytest.mark.parametrize("body, what", [
    ("kept.append(bytearray(100))", "memory blocks"),
    ("os.open('/dev/null', os.O_RDONLY)", "descriptors"),
    pytest.param("kept.append(None)", "references", marks=pytest.mark.skipif(
        not hasattr(sys, "gettotalrefcount"),
        reason="only a debug build of Python counts references")),
])
def test_planted(tmp_path, body, what):
    """A lost object, descriptor or bare reference is found and named."""
    if what == "references":
        body = "import ctypes, sys\n        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))"
    status, text = hunt(tmp_path, f"""
    import os
    kept = []
    def test_it():
        {body}
    """)
    assert status == 1 and f"loses {what}" in text or f", {what}" in text, text


def test_a_warning_is_no_leak(tmp_path):
    """pytest keeps what nobody catches for its report: that is not the test's."""
    status, text = hunt(tmp_path, """
    import itertools, warnings
    number = itertools.count()
    def test_it():
        warnings.warn(f"number {next(number)}")
    """)
    assert status == 0 and "1 passed" in text, text


def test_every_run_is_the_same(tmp_path):
    """hypothesis makes the same examples in each, so that a leak of few of them
    is one of every run.  (What hypothesis itself keeps is not looked at here.)"""
    pytest.importorskip("hypothesis")
    told = tmp_path / "told"
    hunt(tmp_path, f"""
    import hypothesis
    from hypothesis import strategies as st
    first, made = [], []
    @hypothesis.given(st.binary())
    def make(data):
        made.append(data)
    def test_it():
        made.clear()
        make()
        assert len(made) > 50
        with open({str(told)!r}, "a") as file:
            print("as before" if made == (first or made) else "others", file=file)
        first[:] = made
    """, "full")
    runs = told.read_text().splitlines()
    assert len(runs) > 8 and set(runs) == {"as before"}


def test_cache_is_no_leak():
    """What fills once, or now and then, is not lost; a descriptor always is."""
    assert plugin.loses([[3, 0, 0], [0, 0, 0], [0, 5, 0]]) == []
    assert plugin.loses([[8, 1, 0], [-8, 1, 0], [1, 2, 0]]) == ["memory blocks"]
    assert plugin.loses([[1, 0, 0], [1, 0, 1], [4, 0, 0]]) == ["references", "descriptors"]


def test_only_ours_is_run(tmp_path):
    """Of a body that runs on both loops only the run on ours is counted."""
    status, text = hunt(tmp_path, """
    import pytest
    @pytest.mark.parametrize("loop_name", ["asyncio", "kevent"])
    def test_it(loop_name):
        assert loop_name == "kevent"
    """)
    assert status == 0 and "1 passed" in text, text
