"""KEVENT_SOCKET: RECV, ACCEPT, SEND, and how a socket ends."""
import errno
import os
import socket
import struct

import pytest

import kevent
from kevent import (
    KEVENT_REQ_ALWAYS_QUEUE, KEVENT_REQ_COUNT, KEVENT_REQ_ET, KEVENT_REQ_LEVEL,
    KEVENT_RET_BROKEN, KEVENT_RET_DONE, KEVENT_SOCKET, KEVENT_SOCKET_ACCEPT, KEVENT_SOCKET_RECV,
    KEVENT_SOCKET_SEND,
)


@pytest.fixture
def listener():
    """A TCP socket that listens and does not block."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as sock:
        sock.setblocking(False)
        yield sock


def test_recv_and_send(queue, pair):
    """ret_data[0] says which of the wanted directions is ready."""
    a, b = pair
    queue.add(a, KEVENT_SOCKET, KEVENT_SOCKET_RECV | KEVENT_SOCKET_SEND)
    [event] = queue.get_events()
    assert event.ret_data[0] == KEVENT_SOCKET_SEND
    b.send(b"x")
    [event] = queue.get_events()
    assert event.ret_data[0] & KEVENT_SOCKET_RECV
    queue.modify(a, KEVENT_SOCKET, KEVENT_SOCKET_RECV)
    [event] = queue.get_events()
    assert event.ret_data == (KEVENT_SOCKET_RECV, 0) and event.ret_flags == KEVENT_RET_DONE


@pytest.mark.parametrize("mode, events", [
    (0, 1), (KEVENT_REQ_ET, 1), (KEVENT_REQ_LEVEL, 12)])
def test_accept_storm(queue, listener, mode, events):
    """Many who knock at once are one event, which one follows until it would
    block; with LEVEL there is one for each look."""
    queue.add(listener, KEVENT_SOCKET, KEVENT_SOCKET_ACCEPT, mode | KEVENT_REQ_ALWAYS_QUEUE)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(12)]
    seen = accepted = 0
    while queue.get_events(0, 1, 0):
        seen += 1
        for _ in range(1 if mode == KEVENT_REQ_LEVEL else 100):
            try:
                listener.accept()[0].close()
                accepted += 1
            except BlockingIOError:
                break
    assert (seen, accepted) == (events, 12)
    clients.append(socket.create_connection(listener.getsockname()))
    assert len(queue.get_events(1, 4, 10**9)) == 1
    for client in clients:
        client.close()


def test_end_of_stream_is_recv(queue, pair):
    """A peer that shuts down its half is news to RECV; recv() returns nothing."""
    a, b = pair
    queue.add(a, KEVENT_SOCKET, KEVENT_SOCKET_RECV)
    b.shutdown(socket.SHUT_WR)
    [event] = queue.get_events()
    assert event.ret_data[0] == KEVENT_SOCKET_RECV and a.recv(1) == b""


def test_reset_is_broken_with_its_reason(queue, listener):
    """A reset connection is BROKEN once, with ECONNRESET."""
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    with near:
        queue.add(near, KEVENT_SOCKET, KEVENT_SOCKET_RECV, user=9)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        [event] = queue.get_events()
        assert event.ret_flags == KEVENT_RET_BROKEN | KEVENT_RET_DONE
        assert 2**32 - event.ret_data[1] == errno.ECONNRESET and event.user == 9
        assert queue.get_events(0, 1, 0) == []


def test_count_of_bytes(queue, pair):
    """With COUNT ret_data[1] is what recv() would give."""
    a, b = pair
    b.send(b"12345")
    queue.add(a, KEVENT_SOCKET, KEVENT_SOCKET_RECV, KEVENT_REQ_ALWAYS_QUEUE | KEVENT_REQ_COUNT)
    [event] = queue.get_events()
    assert event.ret_data == (KEVENT_SOCKET_RECV, 5)


@pytest.mark.parametrize("what, error", [
    (lambda fd: fd, errno.ENOTSOCK), (lambda fd: -1 % 2**32, errno.EBADF),
    (lambda fd: 10**6, errno.EBADF)])
def test_only_sockets(queue, what, error):
    """A pipe, and what is no descriptor."""
    r, w = os.pipe()
    with pytest.raises(OSError) as raised:
        queue.add(what(r), KEVENT_SOCKET, KEVENT_SOCKET_RECV)
    assert raised.value.errno == error
    os.close(r)
    os.close(w)


def test_unknown_bits(queue, pair):
    """EINVAL for an event or a flag that nobody knows, and ET with LEVEL."""
    for event, flags in ((8, 0), (1, 1 << 30), (1, KEVENT_REQ_ET | KEVENT_REQ_LEVEL)):
        with pytest.raises(OSError) as raised:
            queue.add(pair[0], KEVENT_SOCKET, event, flags)
        assert raised.value.errno == errno.EINVAL
