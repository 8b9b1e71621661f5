"""KEVENT_POSIX_TIMER: what timer_create would have been asked."""
import errno
import time

import pytest

import kevent
from kevent import KEVENT_POSIX_TIMER, ukevent

MS = 1_000_000


def test_made_by_kevent_timer_only(fd):
    """ADD by kevent_ctl does not know when: EINVAL."""
    failed, = kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(1, KEVENT_POSIX_TIMER)])
    assert 2**32 - failed.ret_data[1] == errno.EINVAL


def test_set_read_and_deleted(queue):
    """timer_settime is MODIFY, timer_delete REMOVE, and a rest is both times 0."""
    queue.add_timer(5, type=KEVENT_POSIX_TIMER, user=50)
    assert queue.get_events(1, 1, MS) == []
    start = time.monotonic_ns()
    queue.modify_timer(5, 2 * MS, 3 * MS, type=KEVENT_POSIX_TIMER)
    fired = 0
    while fired < 3:
        [event] = queue.get_events()
        fired += 1 + event.ret_data[1]
        assert event.user == 50
        assert time.monotonic_ns() - start >= 2 * MS + (fired - 1) * 3 * MS
    queue.remove(5, KEVENT_POSIX_TIMER)
    assert queue.get_events(1, 1, 5 * MS) == []
    with pytest.raises(OSError) as raised:
        queue.modify_timer(5, MS, type=KEVENT_POSIX_TIMER)
    assert raised.value.errno == errno.ENOENT


def test_rests_until_it_is_set(queue):
    """And again when both times are 0."""
    queue.add_timer(3, type=KEVENT_POSIX_TIMER)
    assert queue.get_events(timeout=0) == []
    queue.modify_timer(3, MS, MS, type=KEVENT_POSIX_TIMER)
    assert queue.get_events()[0].type == KEVENT_POSIX_TIMER
    queue.modify_timer(3, type=KEVENT_POSIX_TIMER)
    assert queue.get_events(timeout=5 * MS) == []


def test_beside_a_timer_of_the_same_id(queue):
    """(type, id) is the key; EEXIST for the same type."""
    queue.add_timer(5, MS, type=KEVENT_POSIX_TIMER, user=1)
    queue.add_timer(5, 2 * MS, user=2)
    with pytest.raises(OSError) as raised:
        queue.add_timer(5, MS, type=KEVENT_POSIX_TIMER)
    assert raised.value.errno == errno.EEXIST
    assert {(e.type, e.user) for e in queue.get_events(min_nr=2)} == {
        (KEVENT_POSIX_TIMER, 1), (kevent.KEVENT_TIMER, 2)}


def test_oneshot_and_ready(queue):
    """Gone when told; READY makes it ready before its time."""
    queue.add_timer(5, 10**15, type=KEVENT_POSIX_TIMER, req_flags=kevent.KEVENT_REQ_ONESHOT)
    queue.ready(5, KEVENT_POSIX_TIMER)
    assert [e.type for e in queue.get_events()] == [KEVENT_POSIX_TIMER]
    with pytest.raises(OSError) as raised:
        queue.remove(5, KEVENT_POSIX_TIMER)
    assert raised.value.errno == errno.ENOENT
