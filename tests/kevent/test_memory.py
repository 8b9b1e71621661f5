"""The calls on memory of all kinds: used in place, nothing is copied."""
import array
import ctypes
import mmap

import pytest

import kevent
from kevent import KEVENT_CTL_ADD, KEVENT_CTL_MODIFY, KEVENT_CTL_READY, KEVENT_UNOTIFY, ukevent


class Record(ctypes.Structure):
    """struct ukevent."""

    _fields_ = [("id", ctypes.c_uint64), ("type", ctypes.c_uint32), ("event", ctypes.c_uint32),
                ("req_flags", ctypes.c_uint32), ("ret_flags", ctypes.c_uint32),
                ("ret_data", ctypes.c_uint32 * 2), ("user", ctypes.c_uint64)]


def numpy_records(count):
    numpy = pytest.importorskip("numpy")
    return numpy.zeros(count, [
        ("id", "u8"), ("type", "u4"), ("event", "u4"), ("req_flags", "u4"), ("ret_flags", "u4"),
        ("ret_data", "u4", 2), ("user", "u8")])


MEMORY = {
    "bytearray": lambda count: bytearray(40 * count),
    "mmap": lambda count: mmap.mmap(-1, 40 * count),
    "array": lambda count: array.array("Q", bytes(40 * count)),
    "memoryview": lambda count: memoryview(bytearray(40 * (count + 2)))[40:-40],
    "ctypes structures": lambda count: (Record * count)(),
    "ctypes bytes": lambda count: (ctypes.c_char * (40 * count))(),
    "numpy": numpy_records,
}


@pytest.fixture(params=MEMORY)
def make(request):
    """Makes memory for so many records."""
    return MEMORY[request.param]


def view(memory):
    """The same memory as bytes, without a copy."""
    return memoryview(memory).cast("B")


def put(memory, index, event):
    view(memory)[40 * index:40 * (index + 1)] = bytes(event)


def users(memory, count):
    return [ukevent.from_buffer(memory, i).user for i in range(count)]


def test_a_batch_and_its_events(fd, make):
    """ADD from it and the answers to it, READY from it, events to it."""
    batch = make(3)
    for i, kind in enumerate((KEVENT_UNOTIFY, 4711, KEVENT_UNOTIFY)):
        put(batch, i, ukevent(i, kind, user=i + 10))
    assert kevent.kevent_ctl(fd, KEVENT_CTL_ADD, batch) == 1
    assert users(batch, 1) == [11]
    assert ukevent.from_buffer(batch, 0).ret_flags & kevent.KEVENT_RET_BROKEN
    ready = make(2)
    for i in (0, 2):
        put(ready, i // 2, ukevent(i, KEVENT_UNOTIFY))
    assert kevent.kevent_ctl(fd, KEVENT_CTL_MODIFY, ready) == 0
    assert ukevent.from_buffer(ready, 1).ret_flags == kevent.KEVENT_RET_DONE
    assert kevent.kevent_ctl(fd, KEVENT_CTL_READY, ready) == 2
    found = make(4)
    assert kevent.kevent_get_events(fd, 2, 4, buf=found) == 2
    assert users(found, 3) == [10, 12, 0]


def test_fields_are_seen_by_name_in_ctypes_and_numpy(fd):
    """A structure of ctypes and a record array of NumPy read what was written."""
    event = ukevent(7, KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_READY, user=2**63 + 5)
    kevent.kevent_ctl(fd, KEVENT_CTL_ADD, [event])
    records = (Record * 2)()
    assert kevent.kevent_get_events(fd, 1, 2, buf=records) == 1
    assert (records[0].id, records[0].type, records[0].user) == (7, KEVENT_UNOTIFY, 2**63 + 5)
    kevent.kevent_ctl(fd, KEVENT_CTL_READY, [event])
    table = numpy_records(2)
    assert kevent.kevent_get_events(fd, 1, 2, buf=table) == 1
    assert table["id"][0] == 7 and table["user"][0] == 2**63 + 5
    table["id"][:] = 1, 2
    table["type"] = KEVENT_UNOTIFY
    assert kevent.kevent_ctl(fd, KEVENT_CTL_ADD, table) == 0


def test_what_cannot_be_written_or_read(fd):
    """Read-only, misaligned, not contiguous, of another size: refused before
    anything is done, and the events stay."""
    kevent.kevent_ctl(fd, KEVENT_CTL_ADD, [
        ukevent(1, KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_READY)])
    read_only = mmap.mmap(-1, 4096, prot=mmap.PROT_READ)
    spread = memoryview(bytearray(160))[::2]
    for memory, error in ((bytes(80), BufferError), (read_only, BufferError),
                          (memoryview(bytearray(88))[4:84], ValueError), (spread, BufferError),
                          (7, TypeError)):
        with pytest.raises(error):
            kevent.kevent_get_events(fd, 1, 2, buf=memory)
        with pytest.raises(error):
            kevent.kevent_ctl(fd, KEVENT_CTL_READY, memory)
    with pytest.raises(ValueError):
        kevent.kevent_ctl(fd, KEVENT_CTL_READY, bytearray(41))
    with pytest.raises(ValueError):
        kevent.kevent_get_events(fd, 1, 2, buf=bytearray(79))
    assert len(kevent.kevent_get_events(fd, 1, 2, 0)) == 1
