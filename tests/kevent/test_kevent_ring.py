"""Ring: the memory that the queue writes to, as an object and as a buffer."""
import array
import mmap
import struct

import pytest

import kevent
from kevent import Ring, ukevent


def add_user(fd, *ids):
    """Register user notifications and make them ready, in order."""
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, user=100 + i) for i in ids]
    assert kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, events) == []
    assert kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, events) == []


def test_ring_knows_its_size_and_reads_by_index():
    """len, size and indexing follow from num; a slot is a copy."""
    ring = Ring(4)
    assert (len(ring), ring.size, ring.kidx, ring.over) == (4, 168, 0, 0)
    ring[0].user = 5
    assert ring[-1].user == ring[0].user == 0
    for index in (4, -5):
        with pytest.raises(IndexError):
            ring[index]
    with pytest.raises(ValueError):
        Ring(0)


def test_ring_memory_is_a_buffer_on_a_cache_line():
    """The buffer is header and slots, writable."""
    view = memoryview(Ring(2))
    assert view.nbytes == 88 and not view.readonly
    view[0:4] = struct.pack("=I", 1)
    assert view.obj.kidx == 1


@pytest.mark.parametrize("make", [
    lambda size: bytearray(size),
    lambda size: mmap.mmap(-1, size),
    lambda size: array.array("Q", bytes(size)),
], ids=["bytearray", "mmap", "array"])
def test_events_arrive_in_any_writable_buffer(fd, make):
    """A ring over somebody's buffer is filled in place."""
    memory = make(8 + 40 * 3)
    ring = Ring.from_buffer(memory)
    assert len(ring) == 3
    kevent.kevent_ring_init(fd, ring)
    add_user(fd, 7)
    assert kevent.kevent_wait(fd, 3) == 1
    kidx, over = struct.unpack_from("=II", memory, 0)
    assert (kidx, over) == (1, 0)
    assert ukevent.from_buffer(memoryview(memory).cast("B")[8:]).user == 107


def test_ring_over_numpy():
    """A structured NumPy array sees the records without a copy."""
    numpy = pytest.importorskip("numpy")
    memory = numpy.zeros(8 + 40 * 4, dtype=numpy.uint8)
    ring = Ring.from_buffer(memory)
    fd = kevent.kevent_init(ring)
    add_user(fd, 1, 2)
    assert kevent.kevent_wait(fd, 4) == 2
    record = numpy.dtype([("id", "u8"), ("type", "u4"), ("event", "u4"),
                          ("req", "u4"), ("ret", "u4"), ("data", "u4", 2),
                          ("user", "u8")])
    assert list(memory[8:].view(record)["user"][:2]) == [101, 102]
    kevent.kevent_close(fd)


def test_buffer_stays_exported_while_the_ring_lives():
    """The memory cannot be taken away under the queue."""
    memory = bytearray(48)
    ring = Ring.from_buffer(memory)
    with pytest.raises(BufferError):
        memory.append(0)
    del ring
    memory.append(0)


@pytest.mark.parametrize("memory, error", [
    (bytearray(47), ValueError),
    (b"\0" * 48, BufferError),
    (memoryview(bytearray(60))[4:], ValueError),
    (5, TypeError),
])
def test_unfit_memory_is_refused(memory, error):
    """Too small, read-only, misaligned or no buffer at all."""
    with pytest.raises(error):
        Ring.from_buffer(memory)
