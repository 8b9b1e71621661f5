"""kevent_close: what ends, and what does not."""
import errno
import os
import threading

import pytest

import kevent
from kevent import Ring, ukevent


CALLS = {
    "ctl ADD": lambda fd: kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(1, 9)]),
    "ctl READY": lambda fd: kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, []),
    "ctl, a buffer": lambda fd: kevent.kevent_ctl(fd, kevent.KEVENT_CTL_REMOVE, bytearray(40)),
    "get_events": lambda fd: kevent.kevent_get_events(fd, 0, 1, 0),
    "get_events, a buffer": lambda fd: kevent.kevent_get_events(fd, 1, 1, buf=bytearray(40)),
    "ring_init": lambda fd: kevent.kevent_ring_init(fd, Ring(1)),
    "ring_init None": lambda fd: kevent.kevent_ring_init(fd, None),
    "wait": lambda fd: kevent.kevent_wait(fd, 1),
    "commit": lambda fd: kevent.kevent_commit(fd, 0, 0),
    "timer": lambda fd: kevent.kevent_timer(fd, 0, ukevent(1, kevent.KEVENT_TIMER), 1),
    "record": lambda fd: kevent.kevent_record(fd, 1),
}


def is_dead(fd):
    """Names of those calls that do not say EBADF."""
    alive = []
    for name, call in CALLS.items():
        try:
            call(fd)
        except OSError as error:
            if error.errno == errno.EBADF:
                continue
        alive.append(name)
    return alive


@pytest.mark.parametrize("ring", [None, Ring(2)])
def test_closed_is_closed(ring):
    """A second close is EBADF, and so is every other call."""
    fd = kevent.kevent_init(ring)
    assert kevent.kevent_close(fd) is None
    assert is_dead(fd) == []
    with pytest.raises(OSError) as raised:
        kevent.kevent_close(fd)
    assert raised.value.errno == errno.EBADF


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ring", [None, Ring(2)])
def test_a_forked_child(ring, pair):
    """Its copy is dead, with a ring and without; to close it leaves the parent's alone."""
    a, b = pair
    fd = kevent.kevent_init(ring)
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(a, kevent.KEVENT_POLL, user=5)])
    pid = os.fork()
    if pid == 0:
        code = 100
        try:
            code = len(is_dead(fd))
            kevent.kevent_close(fd)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    b.send(b"x")
    assert [e.user for e in kevent.kevent_get_events(fd, 1, 1)] == [5]
    kevent.kevent_close(fd)


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


def test_close_wakes_who_waits(fd):
    """A thread in kevent_get_events gets EBADF when the queue is closed."""
    errors = []
    entered = threading.Event()

    def wait():
        entered.set()
        try:
            kevent.kevent_get_events(fd, 1, 1)
        except OSError as error:
            errors.append(error.errno)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    entered.wait()
    kevent.kevent_close(fd)
    for thread in threads:
        thread.join(10)
    assert errors == [errno.EBADF] * 3
