"""kevent_commit: what is released, and every error."""
import errno
import threading

import pytest

import kevent
from kevent import Ring, ukevent
from queue_helpers import ready


@pytest.fixture
def ring(fd):
    """A ring of three slots, attached to fd, all of them filled; one event more
    waits."""
    ring = Ring(3)
    kevent.kevent_ring_init(fd, ring)
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_READY, user=i)
              for i in range(4)]
    assert kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, events) == []
    assert kevent.kevent_wait(fd, 3) == 3
    return ring


def error_of(fd, *arguments):
    with pytest.raises(OSError) as raised:
        kevent.kevent_commit(fd, *arguments)
    return raised.value.errno


def test_without_a_ring(fd):
    """There is nothing to release."""
    assert kevent.kevent_commit(fd, 5, 5) == 0


def test_errors(fd, ring):
    """An index that is none, one beyond what is filled, a generation to come."""
    assert error_of(fd, 3, 0) == errno.EINVAL
    assert error_of(fd, 1, 1) == errno.EOVERFLOW
    assert error_of(fd, 1, 2**32 - 1) == errno.EOVERFLOW
    assert kevent.kevent_commit(fd, 2, 0) == 2
    assert error_of(fd, 1, 0) == errno.EINVAL
    for arguments, error in (((-1, 0), OverflowError), ((2**32, 0), OverflowError),
                             (("1", 0), TypeError), ((1,), TypeError)):
        with pytest.raises(error):
            kevent.kevent_commit(fd, *arguments)


def test_a_whole_lap(fd, ring):
    """On a full ring the unchanged index is all of it."""
    assert kevent.kevent_commit(fd, 0, 0) == 3 and ring.over == 1
    assert kevent.kevent_wait(fd, 3) == 1 and ring[0].user == 3


def test_repeated_and_late(fd, ring):
    """The same commit again does nothing; one that was overtaken past a wrap is
    refused, also from another thread."""
    over = ring.over
    assert kevent.kevent_commit(fd, 1, over) == 1
    assert kevent.kevent_commit(fd, 1, over) == 0
    assert kevent.kevent_wait(fd, 3) == 1
    assert kevent.kevent_commit(fd, 1, over) == 3 and ring.over == over + 1
    errors = []
    thread = threading.Thread(target=lambda: errors.append(error_of(fd, 2, over)))
    thread.start()
    thread.join()
    assert errors == [errno.EOVERFLOW]


@pytest.mark.parametrize("slots", [1, 2])
def test_smallest_rings(fd, slots):
    """Rings of one and two slots: nothing is lost, the order is kept."""
    ring = Ring(slots)
    kevent.kevent_ring_init(fd, ring)
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_READY, user=i)
              for i in range(9)]
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, events)
    seen, begin = [], 0
    while (count := kevent.kevent_wait(fd, slots, timeout=0)) > 0:
        for _ in range(count):
            seen.append(ring[begin].user)
            begin = (begin + 1) % slots
        assert kevent.kevent_commit(fd, begin, ring.over) == count
    assert seen == list(range(9)) and ring.over == 9 // slots


def test_ring_of_one(fd):
    """The smallest ring turns with every event."""
    ring = Ring(1)
    kevent.kevent_ring_init(fd, ring)
    ready(fd, *range(5))
    for i in range(5):
        assert kevent.kevent_wait(fd, 1) == 1
        assert ring[0].id == i
        kevent.kevent_commit(fd, 0, ring.over)


def test_commit_of_an_older_generation_overflows(fd):
    """Who slept through a turn of the ring is told so."""
    ring = Ring(1)
    kevent.kevent_ring_init(fd, ring)
    ready(fd, *range(4))
    for _ in range(3):
        assert kevent.kevent_wait(fd, 1) == 1
        kevent.kevent_commit(fd, 0, ring.over)
    assert kevent.kevent_wait(fd, 1) == 1
    with pytest.raises(OSError) as caught:
        kevent.kevent_commit(fd, 0, ring.over - 2)
    assert caught.value.errno == errno.EOVERFLOW


def test_commit_out_of_range(fd):
    """An index that is no slot is EINVAL."""
    kevent.kevent_ring_init(fd, Ring(2))
    with pytest.raises(OSError) as caught:
        kevent.kevent_commit(fd, 2, 0)
    assert caught.value.errno == errno.EINVAL
