"""What the tests of the kevent calls share: queues, sockets, a leak check."""
import os
import socket

import pytest

import kevent


def open_descriptors():
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def no_leaked_descriptor():
    """A test leaves as many descriptors open as it found."""
    before = len(open_descriptors())
    yield
    assert len(open_descriptors()) == before


@pytest.fixture
def fd():
    """The descriptor of an open queue; a test may close it itself."""
    fd = kevent.kevent_open()
    yield fd
    try:
        kevent.kevent_close(fd)
    except OSError:
        pass


@pytest.fixture
def queue():
    with kevent.Queue() as queue:
        yield queue


@pytest.fixture
def pair():
    """A connected pair of non-blocking sockets."""
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    with a, b:
        yield a, b
