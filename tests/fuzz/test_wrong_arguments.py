"""Everything that kevent._core has is called with everything that is wrong."""
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FULL = os.environ.get("KEVENT_FULL") == "1"
SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))


@pytest.mark.parametrize("seed", range(12 if FULL else 1))
@pytest.mark.parametrize("where", ["here", "closed", "thread", "forked", "finalizer", "shutdown"])
def test_wrong_arguments(where, seed):
    """Some 40,000 calls: in a program, on what is closed, from another thread,
    in a child after fork, from __del__, and while the interpreter ends."""
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.wrong", where, str(seed)], cwd=ROOT,
                          capture_output=True, text=True, timeout=100 * SLOWNESS)
    assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-3000:])
    assert "survived" in done.stdout
