"""ukevent: the 40-byte record as an object."""
import os
import struct

import pytest

import kevent
from kevent import ukevent

RECORD = struct.Struct("=QIIIIIIQ")  # id, type, event, req, ret, ret_data x 2, user


def test_fields_are_at_the_offsets_of_2006():
    """The buffer has exactly the layout of struct ukevent."""
    event = ukevent(5, kevent.KEVENT_POLL, 4, kevent.KEVENT_REQ_ET, 9)
    assert RECORD.unpack(bytes(event)) == (5, 3, 4, 4, 0, 0, 0, 9)
    assert len(bytes(event)) == 40


def test_id_may_be_an_int_a_pair_or_a_file():
    """All three spellings name the same 64 bits."""
    with open(os.devnull) as file:
        assert ukevent(file, kevent.KEVENT_POLL).id == file.fileno()
    timer = ukevent((2, 500), kevent.KEVENT_TIMER)
    assert timer.raw == (2, 500)
    assert timer.id == 2 | 500 << 32
    assert ukevent(timer.id, kevent.KEVENT_TIMER) == timer


@pytest.mark.parametrize("type, usual", [
    (kevent.KEVENT_SOCKET, kevent.KEVENT_SOCKET_RECV),
    (kevent.KEVENT_POLL, kevent.KEVENT_POLL_POLLIN),
    (kevent.KEVENT_TIMER, kevent.KEVENT_TIMER_FIRED),
    (kevent.KEVENT_UNOTIFY, kevent.KEVENT_MASK_ALL),
])
def test_event_defaults_to_what_is_usual_for_the_type(type, usual):
    """event=None, or none given, asks for what one mostly wants."""
    assert ukevent(1, type).event == usual
    assert ukevent(1, type, None).event == usual
    assert ukevent(1, type, 0).event == 0


def test_fields_can_be_written():
    """An event that was fetched can be changed and submitted again."""
    event = ukevent(1, kevent.KEVENT_POLL)
    event.id = 2**64 - 1
    event.type = 0
    event.event = event.req_flags = event.ret_flags = 2**32 - 1
    event.user = 2**63
    event.ret_data = (1, 2)
    assert RECORD.unpack(bytes(event)) == (
        2**64 - 1, 0, 2**32 - 1, 2**32 - 1, 2**32 - 1, 1, 2, 2**63)
    event.raw = (7, 8)
    assert event.raw == (7, 8)


def test_buffer_is_writable_and_shared():
    """What is written to the buffer is the event."""
    event = ukevent(1, kevent.KEVENT_POLL)
    memoryview(event)[0] = 77
    assert event.id == 77


def test_from_buffer_copies_one_record():
    """from_buffer reads the index-th record, wherever the buffer starts."""
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, user=i * i) for i in range(3)]
    data = b"".join(bytes(event) for event in events)
    assert [ukevent.from_buffer(data, i) for i in range(3)] == events
    assert ukevent.from_buffer(memoryview(b"!" + data)[1:], index=2) == events[2]
    with pytest.raises(IndexError):
        ukevent.from_buffer(data, 3)


def test_equality_is_of_all_bytes_and_there_is_no_hash():
    """Mutable records compare by value, so they cannot be dict keys."""
    assert ukevent(1, 3) == ukevent(1, 3)
    assert ukevent(1, 3) != ukevent(1, 3, user=1)
    assert ukevent(1, 3) != 1
    with pytest.raises(TypeError):
        hash(ukevent(1, 3))


def test_repr_names_what_has_a_name():
    """Masks and types are shown as the constants that one writes."""
    text = repr(ukevent(5, kevent.KEVENT_POLL, 0x40000005,
                        kevent.KEVENT_REQ_ET | kevent.KEVENT_REQ_LEVEL))
    assert "type=KEVENT_POLL," in text
    assert "event=KEVENT_POLL_POLLIN|KEVENT_POLL_POLLOUT|0x40000000" in text
    assert "req_flags=KEVENT_REQ_ET|KEVENT_REQ_LEVEL" in text
    assert "type=4711" in repr(ukevent(5, 4711))


@pytest.mark.parametrize("arguments, error", [
    ((), TypeError),
    ((1,), TypeError),
    ((1, 2, 3, 4, 5, 6), TypeError),
    ((-1, 3), OverflowError),
    ((2**64, 3), OverflowError),
    (((1, 2, 3), 3), ValueError),
    (((1, 2**32), 3), OverflowError),
    (("5", 3), TypeError),
    ((1, 2**32), OverflowError),
    ((1, 3, -1), OverflowError),
    ((1, 3, 1.5), TypeError),
])
def test_bad_arguments_are_refused(arguments, error):
    """Nothing is truncated silently."""
    with pytest.raises(error):
        ukevent(*arguments)


def test_argument_errors_name_the_argument():
    """The message says which argument of which call."""
    with pytest.raises(OverflowError, match="req_flags"):
        ukevent(1, 3, 1, 2**33)
    with pytest.raises(TypeError, match="bogus"):
        ukevent(1, 3, bogus=1)
    with pytest.raises(TypeError, match="multiple values.*type"):
        ukevent(1, 3, type=3)
