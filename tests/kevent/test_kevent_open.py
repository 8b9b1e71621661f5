"""kevent_open, kevent_close, and what a descriptor must be for every call."""
import errno
import os
import select
import socket
import threading

import pytest

import kevent
from kevent import ukevent

CALLS = [
    lambda fd: kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, []),
    lambda fd: kevent.kevent_get_events(fd, 0, 1, 0),
    lambda fd: kevent.kevent_wait(fd, 1, None, 0),
    lambda fd: kevent.kevent_ring_init(fd, None),
    lambda fd: kevent.kevent_commit(fd, 0, 0),
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


def test_descriptor_polls_readable_while_an_event_may_be_fetched(fd, pair):
    """A queue can be put in select, and in another queue."""
    a, b = pair
    outer = kevent.kevent_open()
    event = ukevent(a, kevent.KEVENT_POLL, req_flags=kevent.KEVENT_REQ_LEVEL)
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [event])
    nested = ukevent(fd, kevent.KEVENT_POLL,
                     req_flags=kevent.KEVENT_REQ_LEVEL)
    assert kevent.kevent_ctl(outer, kevent.KEVENT_CTL_ADD, [nested]) == []
    assert select.select([fd], [], [], 0)[0] == []
    assert kevent.kevent_get_events(outer, 0, 1, 0) == []
    b.send(b"x")
    assert select.select([fd], [], [], 5)[0] == [fd]
    assert [e.id for e in kevent.kevent_get_events(outer, 1, 1)] == [fd]
    a.recv(1)
    assert kevent.kevent_get_events(fd, 0, 1, 0) == []
    assert select.select([fd], [], [], 0)[0] == []
    kevent.kevent_close(outer)


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


def test_features_say_what_can_be_added(fd):
    """A type whose bit is set is known to ADD, another answers ENOSYS."""
    features = kevent.kevent_features()
    for kind in range(kevent.KEVENT_MAX + 1):
        failed = kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(2**31, kind, 2**31)])
        unknown = bool(failed) and failed[0].ret_data[1] == 2**32 - errno.ENOSYS
        assert unknown == (not features >> kind & 1), kind
    assert features & kevent.KEVENT_FEATURE_PROC and features & kevent.KEVENT_FEATURE_LEVEL


@pytest.mark.parametrize("kind", [kevent.KEVENT_NAIO, kevent.KEVENT_AIO])
def test_naio_and_aio_are_enosys(fd, kind):
    """The types that are left out have numbers, no feature bit, and answer ENOSYS."""
    assert not kevent.kevent_features() >> kind & 1
    [failed] = kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(0, kind, 1)])
    assert failed.ret_flags & kevent.KEVENT_RET_BROKEN
    assert 2**32 - failed.ret_data[1] == errno.ENOSYS


def test_constants_have_the_numbers_of_2006():
    """A few that programs hard-code."""
    assert (kevent.KEVENT_SOCKET, kevent.KEVENT_POLL,
            kevent.KEVENT_UNOTIFY) == (0, 3, 9)
    assert (kevent.KEVENT_CTL_ADD, kevent.KEVENT_CTL_READY) == (0, 3)
    assert kevent.KEVENT_REQ_ALWAYS_QUEUE == 0x10
    assert kevent.KEVENT_WAIT_FOREVER == 2**64 - 1
    assert kevent.KEVENT_POLL_POLLRDHUP == select.POLLRDHUP
