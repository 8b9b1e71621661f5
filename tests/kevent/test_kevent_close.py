"""kevent_close: what ends, and what does not."""
import errno
import os

import pytest

import kevent
from kevent import Ring, ukevent


def test_closed_is_closed():
    """A second close is EBADF, and so is every other call."""
    fd = kevent.kevent_open()
    kevent.kevent_close(fd)
    for call in (kevent.kevent_close,
                 lambda fd: kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, []),
                 lambda fd: kevent.kevent_get_events(fd, 0, 1, 0),
                 lambda fd: kevent.kevent_ring_init(fd, None),
                 lambda fd: kevent.kevent_wait(fd, 1, timeout=0),
                 lambda fd: kevent.kevent_commit(fd, 0, 0),
                 lambda fd: kevent.kevent_timer(fd, 0, ukevent(1, kevent.KEVENT_TIMER), 1),
                 lambda fd: kevent.kevent_record(fd, 1)):
        with pytest.raises(OSError) as raised:
            call(fd)
        assert raised.value.errno == errno.EBADF


def test_other_descriptors_are_left_alone():
    """EINVAL for a descriptor that is no queue's, which stays open."""
    r, w = os.pipe()
    with pytest.raises(OSError) as raised:
        kevent.kevent_close(r)
    assert raised.value.errno == errno.EINVAL
    os.write(w, b"x")
    assert os.read(r, 1) == b"x"
    os.close(r)
    os.close(w)


def test_watched_files_and_the_ring_survive(pair):
    """What was watched stays open; the ring may be attached elsewhere."""
    a, b = pair
    ring = Ring(4)
    for _ in range(2):
        fd = kevent.kevent_init(ring)
        kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(a, kevent.KEVENT_POLL)])
        b.send(b"x")
        assert kevent.kevent_wait(fd, 4) == 1
        assert a.recv(1) == b"x"
        kevent.kevent_close(fd)
