"""The soak in its short form, and whether it would notice."""
import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .census import Census
from .ledger import Ledger

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("KEVENT_SOAK_SECONDS", "20"))


def test_soak():
    """Mixed random use with Ctrl-C, seeded: nothing lost, nothing left."""
    seed = os.environ.get("KEVENT_SOAK_SEED", "1")
    finished = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--seconds", str(SECONDS),
         "--seed", seed, "--verbose"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=SECONDS + 90)
    assert finished.returncode == 0, finished.stdout
    assert "kevent: 0 wrong" in finished.stdout


@pytest.fixture
def ledger():
    return Ledger()


def test_a_lost_callback_is_noticed(ledger):
    """What never came is told by name."""
    ledger.promise("call_soon")
    ledger.close()
    assert ledger.wrong == ["1 lost: call_soon"]


def test_a_second_run_is_noticed(ledger):
    """What came twice is told."""
    token = ledger.promise("call_soon")
    ledger.came(token)
    ledger.came(token)
    ledger.close()
    assert len(ledger.wrong) == 1 and "twice" in ledger.wrong[0]


def test_a_cancelled_run_is_noticed(ledger):
    """What ran after cancel() is told; what ran before it is not."""
    token = ledger.promise("call_later")
    ledger.cancel(token, lambda: None)
    ledger.came(token)
    other = ledger.promise("call_later")
    ledger.came(other)
    ledger.cancel(other, lambda: None)
    ledger.close()
    assert ledger.wrong == ["ran though cancelled: call_later"]


def test_leaks_are_noticed():
    """A descriptor and a future that stay are told."""
    loop = asyncio.SelectorEventLoop()
    before = Census(loop)
    fd = os.open("/dev/null", os.O_RDONLY)
    future = loop.create_future()
    future.add_done_callback(lambda _: fd)
    leaks = Census(loop).leaks_since(before)
    os.close(fd)
    loop.close()
    assert any("/dev/null" in leak for leak in leaks)
    assert any("Future" in leak for leak in leaks)
