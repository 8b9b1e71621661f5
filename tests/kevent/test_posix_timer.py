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
