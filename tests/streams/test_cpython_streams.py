"""CPython's own test_streams, as shipped with the interpreter, on kevent.streams."""
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("loop", ["kevent", "asyncio"])
def test_cpython_streams(loop):
    """Not one test of it fails, on our loop or on the stdlib's."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.streams.cpython", loop], cwd=ROOT,
        capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip("this Python has no test.test_asyncio")
    assert done.returncode == 0, done.stdout + done.stderr
