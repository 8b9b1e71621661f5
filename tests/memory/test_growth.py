"""Nothing grows with use: memory blocks, descriptors, objects."""
import os
import subprocess
import sys

import pytest

from .scenarios import scenarios

ROUNDS = int(os.environ.get("KEVENT_REFLEAK_ROUNDS", "40"))
SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))


@pytest.mark.parametrize("name", scenarios)
def test_growth(name):
    """In a process of its own, the least growth of several windows: what is
    lost each round is lost in every window, a cache fills in one of them.
    More rounds tell a loss that is in doubt from caches that fill slowly."""
    for rounds in (ROUNDS, 4 * ROUNDS):
        done = subprocess.run(
            [sys.executable, "-m", "tests.memory.scenarios", name, str(rounds)],
            capture_output=True, text=True, timeout=240 * SLOWNESS)
        assert done.returncode == 0, done.stderr
        blocks, descriptors, objects = map(int, done.stdout.split()[-3:])
        if blocks < rounds and objects < rounds and descriptors <= 0:
            return
    raise AssertionError(f"{rounds} rounds of {name} cost {blocks} blocks, {descriptors} "
                         f"descriptors, {objects} objects")
