"""kevent_ring_init: attaching a ring to a queue, and detaching it."""
import errno
import threading

import pytest

import kevent
from kevent import Ring, ukevent
from queue_helpers import number_of, ready


def test_attached_ring_is_kept_alive_by_the_queue(fd):
    """Nobody but the queue needs to hold a ring."""
    memory = bytearray(48)
    kevent.kevent_ring_init(fd, Ring.from_buffer(memory))
    with pytest.raises(BufferError):
        memory.append(0)
    ready(fd, 3)
    assert kevent.kevent_wait(fd, 1) == 1
    kevent.kevent_close(fd)
    memory.append(0)


def test_ring_init_zeroes_the_indices(fd):
    """A used buffer starts over."""
    memory = bytearray(b"\x01" * 48)
    ring = Ring.from_buffer(memory)
    kevent.kevent_ring_init(fd, ring)
    assert (ring.kidx, ring.over) == (0, 0)


def test_a_ring_belongs_to_one_queue(fd):
    """A second queue, or a second ring, is refused."""
    ring = Ring(2)
    kevent.kevent_ring_init(fd, ring)
    other = kevent.kevent_open()
    with pytest.raises(OSError) as caught:
        kevent.kevent_ring_init(other, ring)
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(OSError) as caught:
        kevent.kevent_ring_init(fd, Ring(2))
    assert caught.value.errno == errno.EINVAL
    kevent.kevent_close(fd)
    kevent.kevent_ring_init(other, ring)
    kevent.kevent_close(other)


def test_detach_and_attach_another(fd):
    """None detaches; events stay queued and go to the next ring."""
    first = Ring(1)
    kevent.kevent_ring_init(fd, first)
    kevent.kevent_ring_init(fd, None)
    ready(fd, 9)
    second = Ring(4)
    kevent.kevent_ring_init(fd, second)
    assert kevent.kevent_wait(fd, 4) == 1
    assert (first[0].id, second[0].id) == (0, 9)


def test_detach_waits_for_the_last_commit(fd):
    """Entries that nobody has read cannot be taken back: EBUSY."""
    ring = Ring(2)
    kevent.kevent_ring_init(fd, ring)
    ready(fd, 1)
    assert kevent.kevent_wait(fd, 1) == 1
    with pytest.raises(OSError) as caught:
        kevent.kevent_ring_init(fd, None)
    assert caught.value.errno == errno.EBUSY
    kevent.kevent_commit(fd, 1, 0)
    kevent.kevent_ring_init(fd, None)



@pytest.mark.parametrize("memory, error", [
    (bytearray(47), ValueError), (bytearray(0), ValueError), (b"\0" * 48, BufferError),
    (memoryview(bytearray(60))[4:], ValueError), (5, TypeError), ("x" * 48, TypeError),
])
def test_unfit_memory(fd, memory, error):
    """Too small, read-only, misaligned, none at all: the queue is left without a ring."""
    with pytest.raises(error):
        kevent.kevent_ring_init(fd, memory)
    assert number_of(kevent.kevent_ring_init, fd, None) == errno.EINVAL
    with pytest.raises(TypeError):
        kevent.kevent_ring_init(fd)


def test_a_buffer_is_used_in_place(fd):
    """As many slots as it has room for, what is left over is not touched; it can be
    resized when it is detached."""
    memory = bytearray(8 + 40 * 2 + 39)
    memory[-39:] = b"x" * 39
    assert kevent.kevent_ring_init(fd, memory) is None
    ready(fd, 1, 2, 3)
    assert kevent.kevent_wait(fd, 2) == 2
    assert number_of(kevent.kevent_wait, fd, 3) == errno.EINVAL
    assert memory[-39:] == b"x" * 39
    assert ukevent.from_buffer(memoryview(memory)[8:], 1).user == 102
    with pytest.raises(BufferError):
        memory.append(0)
    kevent.kevent_commit(fd, 0, 0)
    kevent.kevent_ring_init(fd, None)
    memory.append(0)


def test_nothing_to_detach(fd):
    """EINVAL, at first and the second time."""
    assert number_of(kevent.kevent_ring_init, fd, None) == errno.EINVAL
    kevent.kevent_ring_init(fd, Ring(1))
    kevent.kevent_ring_init(fd, None)
    assert number_of(kevent.kevent_ring_init, fd, None) == errno.EINVAL


def test_detach_while_another_thread_waits(fd):
    """EBUSY from the moment when it waits for the ring to be filled; it is told what
    comes, and then the ring can go."""
    kevent.kevent_ring_init(fd, Ring(1))
    results = []

    def wait():
        while not results:
            try:
                results.append(kevent.kevent_wait(fd, 1))
            except OSError as error:
                # Between the two calls below.
                assert error.errno == errno.EINVAL

    thread = threading.Thread(target=wait)
    thread.start()
    while True:
        try:
            kevent.kevent_ring_init(fd, None)
        except OSError as error:
            assert error.errno == errno.EBUSY
            break
        kevent.kevent_ring_init(fd, Ring(1))
    ready(fd, 1)
    thread.join(20)
    assert results == [1]
    kevent.kevent_commit(fd, 0, 0)
    kevent.kevent_ring_init(fd, None)
