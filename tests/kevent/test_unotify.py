"""KEVENT_UNOTIFY: events that a program makes itself."""
import errno

import pytest

import kevent
from kevent import KEVENT_CTL_READY, KEVENT_UNOTIFY, ukevent


def test_any_id_and_any_data(queue):
    """64 bits of id, what READY says in ret_data, the cookie."""
    for number in (0, 7, 2**64 - 2):
        queue.add(number, KEVENT_UNOTIFY, user=number // 2)
        event = ukevent(number, KEVENT_UNOTIFY)
        event.ret_data = (3, 4)
        assert queue.ctl(KEVENT_CTL_READY, [event]) == []
        [got] = queue.get_events()
        assert (got.id, got.user, got.ret_data) == (number, number // 2, (3, 4))


def test_queued_once(queue):
    """READY of what waits already adds nothing; afterwards it does."""
    queue.add(1, KEVENT_UNOTIFY)
    for _ in range(3):
        queue.ready(1, KEVENT_UNOTIFY)
    assert len(queue.get_events(0, 8, 0)) == 1
    queue.ready(1, KEVENT_UNOTIFY)
    assert len(queue.get_events(0, 8, 0)) == 1


def test_ready_at_add(queue):
    """With REQ_READY; with ONESHOT it is gone once told."""
    flags = kevent.KEVENT_REQ_READY | kevent.KEVENT_REQ_ONESHOT
    assert queue.add(1, KEVENT_UNOTIFY, req_flags=flags) is None
    assert len(queue.get_events(0, 8, 0)) == 1
    with pytest.raises(OSError) as raised:
        queue.ready(1, KEVENT_UNOTIFY)
    assert raised.value.errno == errno.ENOENT


def test_ready_of_other_types(queue, pair):
    """A descriptor and a timer can be made ready, too."""
    queue.add(pair[0], kevent.KEVENT_POLL)
    queue.add((1000, 0), kevent.KEVENT_TIMER)
    queue.ready(pair[0], kevent.KEVENT_POLL)
    queue.ready((1000, 0), kevent.KEVENT_TIMER)
    assert [e.type for e in queue.get_events(2, 8, 0)] == [kevent.KEVENT_POLL,
                                                          kevent.KEVENT_TIMER]


def test_replace(queue):
    """ADD of a taken id is EEXIST, with REPLACE a new cookie."""
    queue.add(1, KEVENT_UNOTIFY, user=1)
    with pytest.raises(OSError) as raised:
        queue.add(1, KEVENT_UNOTIFY, user=2)
    assert raised.value.errno == errno.EEXIST
    queue.add(1, KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_REPLACE, user=3)
    queue.ready(1, KEVENT_UNOTIFY)
    assert [e.user for e in queue.get_events()] == [3]
