"""Ring, kevent_ring_init, kevent_wait, kevent_commit, kevent_init."""
import array
import errno
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


def test_attached_ring_is_kept_alive_by_the_queue(fd):
    """Nobody but the queue needs to hold a ring."""
    memory = bytearray(48)
    kevent.kevent_ring_init(fd, Ring.from_buffer(memory))
    with pytest.raises(BufferError):
        memory.append(0)
    add_user(fd, 3)
    assert kevent.kevent_wait(fd, 1) == 1
    kevent.kevent_close(fd)
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


def test_wait_moves_in_order_and_leaves_what_has_no_room(fd):
    """A full ring overwrites nothing; commit makes room for the rest."""
    ring = Ring(2)
    kevent.kevent_ring_init(fd, ring)
    add_user(fd, 1, 2, 3)
    assert kevent.kevent_wait(fd, 2) == 2
    assert [ring[0].id, ring[1].id] == [1, 2]
    assert kevent.kevent_wait(fd, 2, timeout=0) == 0
    kevent.kevent_commit(fd, 1, ring.over)
    assert kevent.kevent_wait(fd, 2) == 1
    assert [ring[0].id, ring[1].id, ring.kidx] == [3, 2, 1]


def test_ring_of_one(fd):
    """The smallest ring turns with every event."""
    ring = Ring(1)
    kevent.kevent_ring_init(fd, ring)
    add_user(fd, *range(5))
    for i in range(5):
        assert kevent.kevent_wait(fd, 1) == 1
        assert ring[0].id == i
        kevent.kevent_commit(fd, 0, ring.over)


def test_commit_of_an_older_generation_overflows(fd):
    """Who slept through a turn of the ring is told so."""
    ring = Ring(1)
    kevent.kevent_ring_init(fd, ring)
    add_user(fd, *range(4))
    for _ in range(3):
        assert kevent.kevent_wait(fd, 1) == 1
        kevent.kevent_commit(fd, 0, ring.over)
    assert kevent.kevent_wait(fd, 1) == 1
    with pytest.raises(OSError) as caught:
        kevent.kevent_commit(fd, 0, ring.over - 2)
    assert caught.value.errno == errno.EOVERFLOW


def test_commit_out_of_range(fd):
    """An index that is no slot is EINVAL."""
    kevent.kevent_ring_init(fd, Ring(2))
    with pytest.raises(OSError) as caught:
        kevent.kevent_commit(fd, 2, 0)
    assert caught.value.errno == errno.EINVAL


def test_wait_needs_a_ring_as_large_as_num(fd):
    """No ring, or more than its slots, is EINVAL."""
    with pytest.raises(OSError, match="no ring") as caught:
        kevent.kevent_wait(fd, 1, timeout=0)
    assert caught.value.errno == errno.EINVAL
    kevent.kevent_ring_init(fd, Ring(2))
    assert kevent.kevent_wait(fd, 2, timeout=0) == 0
    with pytest.raises(OSError, match="2 slots"):
        kevent.kevent_wait(fd, 3, timeout=0)


def test_wait_returns_at_once_when_the_seen_index_moved(fd):
    """The futex-like form: sleep only while kidx is what I saw."""
    ring = Ring(2)
    kevent.kevent_ring_init(fd, ring)
    add_user(fd, 1)
    assert kevent.kevent_wait(fd, 1) == 1
    assert kevent.kevent_wait(fd, 1, seen=0) == 0
    assert kevent.kevent_wait(fd, 1, seen=ring.kidx, timeout=1000) == 0
    with pytest.raises(ValueError):
        kevent.kevent_wait(fd, 1, flags=kevent.KEVENT_FLAGS_SEEN)


def test_detach_and_attach_another(fd):
    """None detaches; events stay queued and go to the next ring."""
    first = Ring(1)
    kevent.kevent_ring_init(fd, first)
    kevent.kevent_ring_init(fd, None)
    add_user(fd, 9)
    second = Ring(4)
    kevent.kevent_ring_init(fd, second)
    assert kevent.kevent_wait(fd, 4) == 1
    assert (first[0].id, second[0].id) == (0, 9)


def test_detach_waits_for_the_last_commit(fd):
    """Entries that nobody has read cannot be taken back: EBUSY."""
    ring = Ring(2)
    kevent.kevent_ring_init(fd, ring)
    add_user(fd, 1)
    assert kevent.kevent_wait(fd, 1) == 1
    with pytest.raises(OSError) as caught:
        kevent.kevent_ring_init(fd, None)
    assert caught.value.errno == errno.EBUSY
    kevent.kevent_commit(fd, 1, 0)
    kevent.kevent_ring_init(fd, None)


def test_init_makes_queue_and_ring_at_once():
    """kevent_init takes a Ring, or a buffer and num; one without the other is
    EINVAL."""
    ring = Ring(3)
    fd = kevent.kevent_init(ring)
    add_user(fd, 1)
    assert kevent.kevent_wait(fd, 3) == 1 and ring.kidx == 1
    kevent.kevent_close(fd)
    memory = bytearray(8 + 40 * 3)
    fd = kevent.kevent_init(memory, 2)
    with pytest.raises(OSError, match="2 slots"):
        kevent.kevent_wait(fd, 3, timeout=0)
    kevent.kevent_close(fd)
    kevent.kevent_close(kevent.kevent_init())
    for arguments in ((None, 2), (bytearray(48), 0), (ring, 2),
                      (bytearray(48), 2), (None, 0, 1)):
        with pytest.raises(OSError) as caught:
            kevent.kevent_init(*arguments)
        assert caught.value.errno == errno.EINVAL


def test_wait_commits_on_the_way(fd):
    """commit= releases the slots before it waits; a wrong index waits for nothing."""
    ring = kevent.Ring(2)
    kevent.kevent_ring_init(fd, ring)
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, user=i) for i in range(5)]
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, events)
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, events)
    assert kevent.kevent_wait(fd, 2) == 2
    assert kevent.kevent_wait(fd, 2, timeout=0) == 0
    assert kevent.kevent_wait(fd, 1, commit=1) == 1
    assert [e.user for e in ring] == [2, 1] and ring.kidx == 1
    assert kevent.kevent_wait(fd, 2, None, None, 0, None, 0) == 1
    assert [e.user for e in ring] == [2, 3]
    with pytest.raises(OSError):
        kevent.kevent_wait(fd, 2, commit=2)
    with pytest.raises(TypeError):
        kevent.kevent_wait(fd, 2, commit="1")
    with pytest.raises(OSError):
        kevent.kevent_commit(fd, 1, 0)
    assert kevent.kevent_wait(fd, 2, timeout=0, commit=0) == 1
    assert ring[0].user == 4


def test_ring_is_detached_by_an_argument():
    """An __index__ of commit= that detaches the ring: an exception, no crash."""
    with kevent.Queue(ring_size=4) as queue:
        class Index:
            def __index__(self):
                queue.ring_init(None)
                return 0
        with pytest.raises(OSError):
            queue.wait(timeout=0, commit=Index())
        assert queue.ring is None
