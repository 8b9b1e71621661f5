"""What the tests of the kevent calls share: queues, sockets, a leak check."""
import os
import resource
import socket
from contextlib import contextmanager

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


@pytest.fixture
def no_descriptor():
    """A context in which so many more descriptors, 0 by default, can be opened."""
    @contextmanager
    def limited(more=0):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return limited
