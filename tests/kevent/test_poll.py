"""KEVENT_POLL: any descriptor that poll understands, in all modes."""
import errno
import os
import select
import tempfile

import pytest

import kevent
from kevent import (
    KEVENT_POLL, KEVENT_POLL_POLLHUP, KEVENT_POLL_POLLIN, KEVENT_POLL_POLLOUT,
    KEVENT_REQ_ALWAYS_QUEUE, KEVENT_REQ_ET, KEVENT_REQ_LAST_CHECK, KEVENT_REQ_LEVEL,
    KEVENT_REQ_ONESHOT, KEVENT_RET_BROKEN, ukevent,
)


def told(queue):
    """What is there without waiting: [(user, bits)]."""
    return [(e.user, e.ret_data[0]) for e in queue.get_events(0, 16, 0)]


def test_bits_that_happened(queue, pair):
    """Those wanted; a hang-up also if it is not."""
    a, b = pair
    queue.add(a, KEVENT_POLL, KEVENT_POLL_POLLIN | KEVENT_POLL_POLLOUT, user=1)
    assert told(queue) == [(1, KEVENT_POLL_POLLOUT)]
    b.send(b"x")
    assert told(queue) == [(1, KEVENT_POLL_POLLIN | KEVENT_POLL_POLLOUT)]
    queue.modify(a, KEVENT_POLL, KEVENT_POLL_POLLOUT)
    told(queue)
    b.close()
    [(user, bits)] = told(queue)
    assert bits & KEVENT_POLL_POLLHUP


@pytest.mark.parametrize("mode, times", [
    (0, 1), (KEVENT_REQ_ET, 1), (KEVENT_REQ_LEVEL, 3), (KEVENT_REQ_ONESHOT, 1)])
def test_how_often(queue, pair, mode, times):
    """Three looks while a byte is there: told once, or each time."""
    a, b = pair
    queue.add(a, KEVENT_POLL, KEVENT_POLL_POLLIN, mode | KEVENT_REQ_ALWAYS_QUEUE)
    b.send(b"x")
    assert [len(told(queue)) for _ in range(3)].count(1) == times
    if mode == KEVENT_REQ_ONESHOT:
        with pytest.raises(OSError):
            queue.remove(a, KEVENT_POLL)
        assert queue.add(a, KEVENT_POLL, KEVENT_POLL_POLLIN, mode).user == 0
    else:
        b.send(b"x")
        assert len(told(queue)) == 1


def test_last_check(queue, pair):
    """What is not so any more at the fetch is not told; later it is."""
    a, b = pair
    queue.add(a, KEVENT_POLL, KEVENT_POLL_POLLIN, KEVENT_REQ_LAST_CHECK)
    queue.add(1, kevent.KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_READY, user=1)
    b.send(b"x")
    assert queue.get_events(1, 1)[0].user == 1
    a.recv(1)
    assert told(queue) == []
    b.send(b"x")
    assert len(told(queue)) == 1


def test_two_kevents_of_one_descriptor(queue, pair):
    """raw[1] tells them apart; each has its own wishes and mode."""
    a, b = pair
    queue.add((a.fileno(), 0), KEVENT_POLL, KEVENT_POLL_POLLIN, user=1)
    queue.add((a.fileno(), 1), KEVENT_POLL, KEVENT_POLL_POLLOUT,
              KEVENT_REQ_ONESHOT | KEVENT_REQ_ALWAYS_QUEUE, user=2)
    queue.add(a, kevent.KEVENT_SOCKET, kevent.KEVENT_SOCKET_RECV, user=3)
    assert told(queue) == [(2, KEVENT_POLL_POLLOUT)]
    b.send(b"x")
    assert sorted(told(queue)) == [(1, KEVENT_POLL_POLLIN), (3, kevent.KEVENT_SOCKET_RECV)]


def test_queues_in_queues(queue):
    """Three deep: an event in the innermost is seen from the outermost."""
    with kevent.Queue() as middle, kevent.Queue() as inner:
        queue.add(middle, KEVENT_POLL, user=1)
        middle.add(inner, KEVENT_POLL, user=2)
        assert told(queue) == []
        inner.add(7, kevent.KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_READY, user=3)
        assert queue.get_events(1, 1, 10**9)[0].user == 1
        assert middle.get_events(1, 1, 10**9)[0].user == 2
        assert inner.get_events(1, 1, 10**9)[0].user == 3
        assert told(middle) == told(inner) == []
    with pytest.raises(OSError) as raised:
        queue.add(queue, KEVENT_POLL)
    assert raised.value.errno == errno.EINVAL


def test_every_queue_is_told(queue, pair):
    """Two queues that watch one descriptor both hear of it, with WAKEUP_ALL and
    without."""
    a, b = pair
    with kevent.Queue() as other:
        queue.add(a, KEVENT_POLL)
        other.add(a, KEVENT_POLL,
                  req_flags=kevent.KEVENT_REQ_WAKEUP_ALL | KEVENT_REQ_ALWAYS_QUEUE)
        b.send(b"x")
        assert len(told(queue)) == len(told(other)) == 1


def test_anything_that_polls(queue):
    """An eventfd, an epoll object, a pseudo-terminal."""
    event_fd = os.eventfd(0)
    master, slave = os.openpty()
    epoll = select.epoll()
    epoll.register(event_fd, select.EPOLLIN)
    for user, fd in enumerate((event_fd, epoll.fileno(), master)):
        queue.add(fd, KEVENT_POLL, user=user)
    os.eventfd_write(event_fd, 1)
    os.write(slave, b"x\n")
    assert {e.user for e in queue.get_events(3, 8, 10**10)} == {0, 1, 2}
    epoll.close()
    for fd in (event_fd, master, slave):
        os.close(fd)


def test_regular_files(queue):
    """Nothing that epoll watches: EPERM; without ALWAYS_QUEUE ready at once, as
    poll says of it."""
    with tempfile.TemporaryFile() as file:
        with pytest.raises(OSError) as raised:
            queue.add(file, KEVENT_POLL)
        assert raised.value.errno == errno.EPERM
        assert queue.add(file, KEVENT_POLL, req_flags=0).ret_data[0] == KEVENT_POLL_POLLIN


def test_closed_behind_our_back(queue):
    """MODIFY says that there is no such descriptor; the number's next file is
    watched in its place, and the old one's end is told as BROKEN at most once."""
    r, w = os.pipe()
    queue.add(r, KEVENT_POLL, user=1)
    queue.add((r, 5), KEVENT_POLL, user=2)
    os.close(r)
    with pytest.raises(OSError) as raised:
        queue.modify(r, KEVENT_POLL)
    assert raised.value.errno == errno.EBADF
    r2, w2 = os.pipe()
    assert r2 == r
    queue.add(r2, KEVENT_POLL, user=3)
    os.write(w2, b"x")
    events = queue.get_events(0, 16, 0) + queue.get_events(0, 16, 0)
    news = [e.user for e in events if not e.ret_flags & KEVENT_RET_BROKEN]
    broken = [e.user for e in events if e.ret_flags & KEVENT_RET_BROKEN]
    assert news == [3] and broken in ([], [2])
    for fd in (w, r2, w2):
        os.close(fd)


def test_not_a_descriptor(queue):
    """EBADF."""
    for fd in (2**32 - 1, 10**6):
        with pytest.raises(OSError) as raised:
            queue.add(fd, KEVENT_POLL)
        assert raised.value.errno == errno.EBADF
    with pytest.raises(OSError):
        queue.remove(ukevent(10**6, KEVENT_POLL))
