"""KEVENT_TIMER: the id is the interval, as in 2006.

First times, clocks and ids of one's own are kevent_timer's: test_kevent_timer.py.
"""
import errno
import time

import pytest

import kevent
from kevent import KEVENT_REQ_ONESHOT, KEVENT_RET_DONE, KEVENT_TIMER, KEVENT_TIMER_FIRED

MS = 1_000_000


def test_interval(queue):
    """The id is the interval; what is late is counted, never early."""
    start = time.monotonic_ns()
    queue.add((0, 2 * MS), KEVENT_TIMER)
    fired = 0
    while fired < 5:
        [event] = queue.get_events()
        fired += 1 + event.ret_data[1]
        assert time.monotonic_ns() - start >= fired * 2 * MS


def test_many_of_nearly_one_interval(queue):
    """Each is a timer of its own, and they come in the order of their times."""
    intervals = [2 * MS + i for i in range(50)]
    for i in reversed(range(50)):
        queue.add((0, intervals[i]), KEVENT_TIMER, req_flags=KEVENT_REQ_ONESHOT, user=i)
    with pytest.raises(OSError) as raised:
        queue.add((0, intervals[7]), KEVENT_TIMER)
    assert raised.value.errno == errno.EEXIST
    events = queue.get_events(min_nr=50)
    assert sorted(e.user for e in events) == list(range(50))
    assert sorted(e.raw[1] for e in events) == intervals


def test_oneshot(queue):
    """Told once, then not registered; it can be added again."""
    for _ in range(2):
        queue.add((0, MS), KEVENT_TIMER, req_flags=KEVENT_REQ_ONESHOT, user=3)
        [event] = queue.get_events()
        assert (event.ret_flags, event.ret_data, event.user) == (
            KEVENT_RET_DONE, (KEVENT_TIMER_FIRED, 0), 3)


def test_modify_and_remove(queue):
    """MODIFY starts the interval anew and takes a report back, REMOVE ends it."""
    queue.add((1000, 0), KEVENT_TIMER)
    queue.ready((1000, 0), KEVENT_TIMER)
    queue.modify((1000, 0), KEVENT_TIMER)
    assert queue.get_events(timeout=0) == []
    queue.add((0, MS), KEVENT_TIMER)
    queue.remove((0, MS), KEVENT_TIMER)
    assert queue.get_events(timeout=3 * MS) == []
    with pytest.raises(OSError) as raised:
        queue.modify((0, MS), KEVENT_TIMER)
    assert raised.value.errno == errno.ENOENT


@pytest.mark.parametrize("id", [0, (0, 10**9), (5, 2**32 - 1)])
def test_no_interval(queue, id):
    """None at all, and nanoseconds that are a second: EINVAL."""
    with pytest.raises(OSError) as raised:
        queue.add(id, KEVENT_TIMER)
    assert raised.value.errno == errno.EINVAL


def test_unknown_bits(queue):
    """EINVAL; with none it is registered and says nothing."""
    for event, flags in ((2, 0), (1, 0x40), (1, kevent.KEVENT_REQ_ET | kevent.KEVENT_REQ_LEVEL)):
        with pytest.raises(OSError) as raised:
            queue.add((0, MS), KEVENT_TIMER, event, flags)
        assert raised.value.errno == errno.EINVAL
    queue.add((0, MS), KEVENT_TIMER, 0)
    assert queue.get_events(timeout=3 * MS) == []


def test_no_descriptor_is_left(queue, no_descriptor):
    """EMFILE, and it is not registered."""
    with no_descriptor(), pytest.raises(OSError) as raised:
        queue.add((0, MS), KEVENT_TIMER)
    assert raised.value.errno == errno.EMFILE
    queue.add((0, MS), KEVENT_TIMER)
    assert len(queue.get_events()) == 1
