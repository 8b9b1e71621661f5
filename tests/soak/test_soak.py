"""The soak in its short form, and whether it would notice."""
import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import lateness
from .census import Census, has_children
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


class Deaf(asyncio.SelectorEventLoop):
    """Drops a wake-up now and then."""

    calls = 0

    def _write_to_self(self):
        self.calls += 1
        if self.calls % 20:
            super()._write_to_self()


class Forgetful(asyncio.SelectorEventLoop):
    """Loses a timer now and then."""

    calls = 0

    def call_at(self, when, callback, *arguments, **context):
        self.calls += 1
        if self.calls % 19 == 0:
            callback, arguments = int, ()
        return super().call_at(when, callback, *arguments, **context)


@pytest.fixture
def late(monkeypatch):
    """With bounds that are met soon; each of these defects exceeds them."""
    monkeypatch.setattr(lateness, "WORST_S", 0.2)
    monkeypatch.setattr(lateness, "P99_S", 0.1)
    monkeypatch.setattr(lateness, "GUARD_S", 0.5)
    return lateness.Lateness()


@pytest.mark.parametrize("kind, told", [(Deaf, "quiet thread"),
                                        (Forgetful, "quiet timer")])
def test_a_lost_wake_up_is_noticed(late, kind, told):
    """Only the guard wakes the loop, and it is told which kind was lost."""
    with asyncio.Runner(loop_factory=kind) as runner:
        runner.run(late.when_quiet(random.Random(1)))
    assert any(each.startswith(told) for each in late.stalls()), str(late)


def test_a_loop_that_is_held_up_is_noticed(late):
    """What blocks the loop makes a timer and a thread late."""
    loop = asyncio.SelectorEventLoop()
    loop.call_later(0.05, time.sleep, 0.5)
    loop.call_later(0.6, loop.stop)
    with late.under_load(loop):
        loop.run_forever()
    loop.close()
    assert {each.split(":")[0] for each in late.stalls()} == {"timer", "thread"}


def test_a_timer_that_never_came_is_noticed(late):
    """It is late at the end, though it never ran."""
    loop = Forgetful()
    with late.under_load(loop):
        ends = loop.time() + 1
        while loop.time() < ends:
            loop.call_soon(loop.stop)
            loop.run_forever()
    loop.close()
    assert any(each.startswith("timer") for each in late.stalls()), str(late)


def test_the_machine_s_lateness_is_allowed_for(late):
    """What a process that only sleeps feels as well is not the loop's fault."""
    late.add("timer", 2.1)
    assert len(late.stalls()) == len(late.sluggish()) == 1
    late.bystander = 2.0
    assert late.stalls() == late.sluggish() == []


def test_a_bystander_ends_with_its_round(late):
    """It says a number, and no process is left."""
    with late.beside_a_bystander():
        pass
    assert late.bystander >= 0
    assert not has_children()


def test_quantiles():
    """Of known numbers, to the width of a bucket."""
    histogram = lateness.Histogram()
    for number in range(1, 1001):
        histogram.add(number / 1000)
    assert 0.5 <= histogram.quantile(0.5) <= 0.52
    assert 0.99 <= histogram.quantile(0.99) <= 1.0
    assert histogram.worst == histogram.quantile(1) == 1.0
