"""kevent_open, and what a descriptor must be for every call."""
import errno
import os
import select
import socket

import pytest

import kevent
from kevent import ukevent

CALLS = [
    lambda fd: kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, []),
    lambda fd: kevent.kevent_get_events(fd, 0, 1, 0),
    lambda fd: kevent.kevent_wait(fd, 1, None, 0),
    lambda fd: kevent.kevent_ring_init(fd, None),
    lambda fd: kevent.kevent_commit(fd, 0, 0),
    lambda fd: kevent.kevent_timer(fd, kevent.KEVENT_CTL_ADD,
                                   ukevent(1, kevent.KEVENT_TIMER), 1),
    lambda fd: kevent.kevent_record(fd, 1),
    lambda fd: kevent.kevent_close(fd),
]


@pytest.mark.parametrize("call", CALLS)
def test_bad_descriptor_is_ebadf(call):
    """Closed, never opened, or negative."""
    closed = kevent.kevent_open()
    kevent.kevent_close(closed)
    for fd in (closed, 10**6, -1):
        with pytest.raises(OSError, match="fd=") as caught:
            call(fd)
        assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize("call", CALLS)
def test_other_descriptor_is_einval(call):
    """An open descriptor of something else is no queue."""
    with socket.socket() as sock:
        with pytest.raises(OSError, match="not a kevent queue") as caught:
            call(sock.fileno())
        assert caught.value.errno == errno.EINVAL


def test_queue_descriptor_is_not_inherited(fd):
    """Children that exec do not get it."""
    assert os.get_inheritable(fd) is False


def test_unknown_flags_are_refused():
    """No flag is known, so that one may be some day."""
    for flags in (1, 0x80000000):
        with pytest.raises(OSError) as caught:
            kevent.kevent_open(flags)
        assert caught.value.errno == errno.EINVAL


def test_number_closed_behind_our_back_and_given_to_a_new_queue(pair):
    """os.close() of a queue, then a new queue of the same number: it works."""
    a, b = pair
    first = kevent.kevent_open()
    os.close(first)
    second = kevent.kevent_open()
    assert second == first
    kevent.kevent_ctl(second, kevent.KEVENT_CTL_ADD,
                      [ukevent(a, kevent.KEVENT_POLL)])
    b.send(b"x")
    assert len(kevent.kevent_get_events(second, 1, 1, 10**9)) == 1
    kevent.kevent_close(second)
    with pytest.raises(OSError):
        os.fstat(second)


def test_many_queues():
    """Descriptors beyond the first table size are found."""
    fds = [kevent.kevent_open() for _ in range(100)]
    for fd in fds:
        assert kevent.kevent_get_events(fd, 0, 1, 0) == []
        kevent.kevent_close(fd)


def test_constants_have_the_numbers_of_2006():
    """A few that programs hard-code."""
    assert (kevent.KEVENT_SOCKET, kevent.KEVENT_POLL,
            kevent.KEVENT_UNOTIFY) == (0, 3, 9)
    assert (kevent.KEVENT_CTL_ADD, kevent.KEVENT_CTL_READY) == (0, 3)
    assert kevent.KEVENT_REQ_ALWAYS_QUEUE == 0x10
    assert kevent.KEVENT_WAIT_FOREVER == 2**64 - 1
    assert kevent.KEVENT_POLL_POLLRDHUP == select.POLLRDHUP


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_descriptor_is_a_type_error(call):
    """Neither an int nor an object with fileno(); too large for an int of C."""
    for fd in ("3", None, 3.0, object()):
        with pytest.raises(TypeError):
            call(fd)
    with pytest.raises(OverflowError):
        call(2**31)


@pytest.mark.parametrize("flags, error", [("1", TypeError), (1.0, TypeError), (-1, OverflowError),
                                          (2**32, OverflowError)])
def test_flags_that_are_no_number(flags, error):
    """Refused before a queue is made."""
    with pytest.raises(error):
        kevent.kevent_open(flags)
    with pytest.raises(TypeError):
        kevent.kevent_open(0, 0)


@pytest.mark.parametrize("make", [kevent.kevent_open, kevent.Queue])
def test_no_descriptor_is_left(make, no_descriptor):
    """EMFILE, with one descriptor where two are needed as well; nothing is left open."""
    for more in (0, 1):
        with no_descriptor(more), pytest.raises(OSError) as caught:
            make()
        assert caught.value.errno == errno.EMFILE
