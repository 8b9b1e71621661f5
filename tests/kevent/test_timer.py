"""Timers: intervals by kevent_ctl, times and clocks by kevent_timer."""
import errno
import time

import pytest

import kevent
from kevent import (
    KEVENT_CTL_ADD,
    KEVENT_CTL_MODIFY,
    KEVENT_FLAGS_ABSTIME,
    KEVENT_FLAGS_BOOTTIME,
    KEVENT_FLAGS_REALTIME,
    KEVENT_POSIX_TIMER,
    KEVENT_TIMER,
    ukevent,
)

MS = 1_000_000
SECOND = 1_000_000_000
CLOCKS = [(time.CLOCK_MONOTONIC, 0), (time.CLOCK_REALTIME, KEVENT_FLAGS_REALTIME),
          (time.CLOCK_BOOTTIME, KEVENT_FLAGS_BOOTTIME)]


def test_interval(queue):
    """The id is the interval; what is late is counted, never early."""
    start = time.monotonic_ns()
    queue.add((0, 2 * MS), KEVENT_TIMER)
    fired = 0
    while fired < 5:
        [event] = queue.get_events()
        fired += 1 + event.ret_data[1]
        assert time.monotonic_ns() - start >= fired * 2 * MS


@pytest.mark.parametrize("clock, flags", CLOCKS)
def test_absolute(queue, clock, flags):
    """At that time of that clock, once, and it stays registered."""
    due = time.clock_gettime_ns(clock) + 3 * MS
    queue.add_timer(17, due, flags=flags | KEVENT_FLAGS_ABSTIME, user=5)
    [event] = queue.get_events()
    assert time.clock_gettime_ns(clock) >= due
    assert (event.id, event.user, event.ret_data) == (17, 5, (1, 0))
    assert queue.get_events(timeout=0) == []
    queue.modify_timer(17, MS, flags=flags)
    assert [e.id for e in queue.get_events()] == [17]
    queue.remove(17, KEVENT_TIMER)


@pytest.mark.parametrize("clock, flags", CLOCKS)
def test_a_past_time_counts_overruns(queue, clock, flags):
    """As many intervals as have passed besides the one that is told."""
    now = time.clock_gettime_ns(clock)
    queue.add_timer(1, max(now - 10 * SECOND, 1), 4 * SECOND,
                    flags | KEVENT_FLAGS_ABSTIME)
    [event] = queue.get_events()
    assert event.ret_data[1] == min(now, 10 * SECOND) // (4 * SECOND)


def test_posix_timer(queue):
    """Has a number, rests until it is set, and again when it is not."""
    queue.add_timer(3, type=KEVENT_POSIX_TIMER)
    assert queue.get_events(timeout=0) == []
    queue.modify_timer(3, MS, MS, type=KEVENT_POSIX_TIMER)
    assert queue.get_events()[0].type == KEVENT_POSIX_TIMER
    queue.modify_timer(3, type=KEVENT_POSIX_TIMER)
    assert queue.get_events(timeout=5 * MS) == []


def test_the_call(fd):
    """kevent_timer on a descriptor."""
    event = ukevent(9, KEVENT_POSIX_TIMER, 1, 0, 9)
    kevent.kevent_timer(fd, KEVENT_CTL_ADD, event, interval=MS)
    kevent.kevent_timer(fd, KEVENT_CTL_MODIFY, event, initial=MS)
    assert [e.user for e in kevent.kevent_get_events(fd, 1, 1)] == [9]


def test_errors(queue):
    """ENOENT, EEXIST, and EINVAL for flags, clocks and POSIX_TIMER by ctl."""
    queue.add_timer(1, SECOND)
    cases = [
        (errno.EEXIST, lambda: queue.add_timer(1, SECOND)),
        (errno.ENOENT, lambda: queue.modify_timer(2, SECOND)),
        (errno.EINVAL, lambda: queue.add_timer(2, SECOND, flags=2)),
        (errno.EINVAL, lambda: queue.add_timer(
            2, SECOND, flags=KEVENT_FLAGS_REALTIME | KEVENT_FLAGS_BOOTTIME)),
        (errno.EINVAL, lambda: queue.add_timer(2, 1, type=kevent.KEVENT_POLL)),
        (errno.EINVAL, lambda: queue.add(2, KEVENT_POSIX_TIMER)),
    ]
    for number, call in cases:
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == number
    with pytest.raises(OverflowError):
        queue.add_timer(2, -1)
