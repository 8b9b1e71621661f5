"""kevent_ctl: batches, results, and the compaction rule."""
import errno
import os
import signal

import pytest

import kevent
from kevent import ukevent

ADD = kevent.KEVENT_CTL_ADD
REMOVE = kevent.KEVENT_CTL_REMOVE
MODIFY = kevent.KEVENT_CTL_MODIFY
READY = kevent.KEVENT_CTL_READY


def errno_of(event):
    return 2**32 - event.ret_data[1]


def users(*ids):
    return [ukevent(i, kevent.KEVENT_UNOTIFY) for i in ids]


def test_add_returns_what_failed(fd, pair):
    """Each failed element is a copy with BROKEN and its errno; the others are
    registered and the arguments untouched."""
    a, _ = pair
    with open(__file__) as file:
        events = [ukevent(a, kevent.KEVENT_POLL),
                  ukevent(file, kevent.KEVENT_POLL, 1,
                          kevent.KEVENT_REQ_ALWAYS_QUEUE, 77),
                  ukevent(1, 4711)]
        failed = kevent.kevent_ctl(fd, ADD, events)
    assert [event.ret_flags for event in failed] == [
        kevent.KEVENT_RET_BROKEN | kevent.KEVENT_RET_DONE] * 2
    assert failed[0].user == 77
    assert errno_of(failed[0]) in (errno.EPERM, errno.EINVAL)
    assert errno_of(failed[1]) == errno.ENOSYS
    assert events[1].ret_flags == 0
    assert errno_of(kevent.kevent_ctl(fd, ADD, events[:1])[0]) == errno.EEXIST


def test_ready_at_add_is_returned_and_not_registered(fd, pair):
    """The rule of 2006, unless ALWAYS_QUEUE asks otherwise."""
    a, b = pair
    b.send(b"x")
    event = ukevent(a, kevent.KEVENT_POLL)
    ready = kevent.kevent_ctl(fd, ADD, (event,))
    assert [e.ret_flags for e in ready] == [kevent.KEVENT_RET_DONE]
    assert kevent.kevent_get_events(fd, 0, 1, 0) == []
    event.req_flags = kevent.KEVENT_REQ_ALWAYS_QUEUE
    assert kevent.kevent_ctl(fd, ADD, [event]) == []
    assert len(kevent.kevent_get_events(fd, 1, 1)) == 1


def test_buffer_is_compacted_in_place(fd):
    """Failed elements come to the front of the caller's memory."""
    good, bad = users(1)[0], ukevent(2, 4711, user=5)
    memory = bytearray(bytes(good) + bytes(bad))
    assert kevent.kevent_ctl(fd, ADD, memory) == 1
    front = ukevent.from_buffer(memory)
    assert front.user == 5 and errno_of(front) == errno.ENOSYS


def test_single_ukevent_is_a_buffer_of_one(fd):
    """It is updated in place."""
    event = ukevent(2, 4711)
    assert kevent.kevent_ctl(fd, ADD, event) == 1
    assert event.ret_flags & kevent.KEVENT_RET_BROKEN


def test_modify_and_remove_return_those_that_are_not_there(fd):
    """A list of the broken; for buffers 0, the flags written in place."""
    kevent.kevent_ctl(fd, ADD, users(1, 2))
    for command in (MODIFY, REMOVE):
        missing = kevent.kevent_ctl(fd, command, users(1, 3))
        assert [event.id for event in missing] == [3]
        if command == REMOVE:
            kevent.kevent_ctl(fd, ADD, users(1))
        memory = bytearray(b"".join(map(bytes, users(3, 2))))
        assert kevent.kevent_ctl(fd, command, memory) == 0
        flags = [ukevent.from_buffer(memory, i).ret_flags for i in (0, 1)]
        assert flags == [kevent.KEVENT_RET_DONE | kevent.KEVENT_RET_BROKEN,
                         kevent.KEVENT_RET_DONE]


def test_remove_withdraws_a_ready_event(fd):
    """What is removed is never fetched."""
    kevent.kevent_ctl(fd, ADD, users(1, 2))
    kevent.kevent_ctl(fd, READY, users(1, 2))
    assert kevent.kevent_ctl(fd, REMOVE, users(1)) == []
    assert [e.id for e in kevent.kevent_get_events(fd, 0, 2, 0)] == [2]


def test_ready_returns_those_not_found(fd):
    """READY queues what is registered, of any type, and names the rest."""
    kevent.kevent_ctl(fd, ADD, users(1, 2))
    assert [e.id for e in kevent.kevent_ctl(fd, READY, users(2, 9))] == [9]
    memory = bytearray(b"".join(map(bytes, users(9, 1))))
    assert kevent.kevent_ctl(fd, READY, memory) == 1
    assert [e.id for e in kevent.kevent_get_events(fd, 0, 9, 0)] == [2, 1]


def test_same_id_of_two_types_is_two_keys(fd, pair):
    """The key is (type, id)."""
    a, _ = pair
    events = [ukevent(a, kevent.KEVENT_POLL),
              ukevent(a.fileno(), kevent.KEVENT_UNOTIFY)]
    assert kevent.kevent_ctl(fd, ADD, events) == []


def test_large_batches_are_handled_in_order(fd):
    """More elements than any internal batch."""
    ids = list(range(1000))
    assert kevent.kevent_ctl(fd, ADD, users(*ids)) == []
    assert kevent.kevent_ctl(fd, READY, users(*ids)) == []
    assert [e.id for e in kevent.kevent_get_events(fd, 1000, 1000)] == ids


def test_unknown_command_and_too_many_elements(fd):
    """EINVAL, naming the call; a buffer is as it was."""
    memory = bytearray(b"".join(map(bytes, users(1, 2))))
    before = bytes(memory)
    kevent.kevent_ctl(fd, ADD, users(1))
    for arguments in ((4, []), (4, users(1)), (2**32 - 1, users(1)), (REMOVE, users(1, 2)),
                      (MODIFY, users(1, 2)), (READY, users(1, 2)), (4, memory),
                      (REMOVE, memory), (MODIFY, memory), (READY, memory)):
        with pytest.raises(OSError, match="kevent_ctl") as caught:
            kevent.kevent_ctl(fd, *arguments)
        assert caught.value.errno == errno.EINVAL
    assert memory == before and kevent.kevent_get_events(fd, 0, 1, 0) == []


def test_nothing_to_do(fd):
    """No element: 0, or an empty list, also when nothing is registered."""
    for command in (ADD, REMOVE, MODIFY, READY):
        assert kevent.kevent_ctl(fd, command, []) == kevent.kevent_ctl(fd, command, ()) == []
        assert kevent.kevent_ctl(fd, command, bytearray()) == 0
        assert kevent.kevent_ctl(fd, command, memoryview(bytearray(41))[1:1]) == 0


@pytest.mark.parametrize("cmd, error", [("0", TypeError), (None, TypeError), (0.0, TypeError),
                                        (-1, OverflowError), (2**32, OverflowError)])
def test_a_command_that_is_no_number(fd, cmd, error):
    """Refused before anything is looked at."""
    with pytest.raises(error):
        kevent.kevent_ctl(fd, cmd, users(1))
    with pytest.raises(TypeError):
        kevent.kevent_ctl(fd, ADD)


def test_mixed_failures(fd, pair):
    """A batch in which each fails in its own way, is ready, or is registered: those that
    are told come in order, the same in a list and in a buffer."""
    a, b = pair
    b.send(b"x")
    r, w = os.pipe()
    batch = [
        ukevent(1, kevent.KEVENT_UNOTIFY, user=0),
        ukevent(10**6, kevent.KEVENT_POLL, user=1),
        ukevent(a, kevent.KEVENT_POLL, user=2),
        ukevent(r, kevent.KEVENT_SOCKET, user=3),
        ukevent(a, kevent.KEVENT_PIPE, user=4),
        ukevent(1, kevent.KEVENT_UNOTIFY, user=5),
        ukevent(2, kevent.KEVENT_UNOTIFY, 1, 1 << 30, user=6),
        ukevent(0, kevent.KEVENT_TIMER, user=7),
        ukevent(2**31 - 1, kevent.KEVENT_PROC, user=8),
        ukevent(3, kevent.KEVENT_AIO, 1, user=9),
        ukevent(3, kevent.KEVENT_UNOTIFY, user=10),
    ]
    wanted = [(1, errno.EBADF), (2, 0), (3, errno.ENOTSOCK), (4, errno.EINVAL), (5, errno.EEXIST),
              (6, errno.EINVAL), (7, errno.EINVAL), (8, errno.ESRCH), (9, errno.ENOSYS)]

    def told(events):
        return [(e.user, errno_of(e) if e.ret_flags & kevent.KEVENT_RET_BROKEN else 0)
                for e in events]

    memory = bytearray(b"".join(map(bytes, batch)))
    assert told(kevent.kevent_ctl(fd, ADD, batch)) == wanted
    assert kevent.kevent_ctl(fd, REMOVE, users(1, 3)) == []
    assert kevent.kevent_ctl(fd, ADD, memory) == len(wanted)
    assert told(ukevent.from_buffer(memory, i) for i in range(len(wanted))) == wanted
    assert kevent.kevent_ctl(fd, REMOVE, users(1, 3)) == []
    os.close(r)
    os.close(w)


def test_no_descriptor_is_left(fd, no_descriptor):
    """A type that needs a descriptor of its own: EMFILE of the element, which is not
    registered; later it is."""
    batch = [
        ukevent((1000, 0), kevent.KEVENT_TIMER),
        ukevent((signal.SIGUSR1, kevent.KEVENT_SIGNAL_NOMASK), kevent.KEVENT_SIGNAL),
        ukevent(0, kevent.KEVENT_INODE, kevent.KEVENT_INODE_MODIFY),
        ukevent(os.getpid(), kevent.KEVENT_PROC),
    ]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with no_descriptor():
        failed = kevent.kevent_ctl(fd, ADD, batch + users(1))
    assert [(e.type, errno_of(e)) for e in failed] == [(e.type, errno.EMFILE) for e in batch]
    assert kevent.kevent_ctl(fd, ADD, batch) == []
    assert len(kevent.kevent_ctl(fd, ADD, batch + users(1))) == 5
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("events, error", [
    (bytearray(41), ValueError),
    (memoryview(bytearray(48))[4:44], ValueError),
    (bytes(40), BufferError),
    ([1], TypeError),
    (None, TypeError),
])
def test_what_holds_no_events_is_refused(fd, events, error):
    """Not whole, misaligned, read-only, not ukevents, no buffer."""
    with pytest.raises(error):
        kevent.kevent_ctl(fd, ADD, events)


def test_closed_descriptor_number_reused(fd):
    """A watched descriptor that was closed is not mistaken for its number's
    next file."""
    r1, w1 = os.pipe()
    assert kevent.kevent_ctl(fd, ADD, [ukevent(r1, kevent.KEVENT_POLL)]) == []
    os.close(r1)
    r2, w2 = os.pipe()
    assert r2 == r1
    os.write(w2, b"x")
    assert [e for e in kevent.kevent_get_events(fd, 0, 1, 0)
            if not e.ret_flags & kevent.KEVENT_RET_BROKEN] == []
    event = ukevent(r2, kevent.KEVENT_POLL,
                    req_flags=kevent.KEVENT_REQ_ALWAYS_QUEUE, user=2)
    assert kevent.kevent_ctl(fd, ADD, [event]) == []
    assert 2 in [e.user for e in kevent.kevent_get_events(fd, 1, 2, 10**9)]
    for number in (w1, r2, w2):
        os.close(number)


@pytest.fixture
def things(pair):
    """{type: (id, a bit that it does not know)}; the mask is put back."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    r, w = os.pipe()
    yield {
        kevent.KEVENT_SOCKET: (pair[0], 8),
        kevent.KEVENT_INODE: (r, kevent.KEVENT_INODE_GONE),
        kevent.KEVENT_TIMER: ((1000, 0), 2),
        kevent.KEVENT_POLL: (r, 0x4000),
        kevent.KEVENT_PIPE: (r, kevent.KEVENT_SOCKET_ACCEPT),
        kevent.KEVENT_SIGNAL: ((signal.SIGUSR1, kevent.KEVENT_SIGNAL_NOMASK), 2),
        kevent.KEVENT_UNOTIFY: (5, None),
        kevent.KEVENT_PROC: (os.getpid(), kevent.KEVENT_PROC_STATUS),
    }
    os.close(r)
    os.close(w)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_errors_of_every_type(fd, things):
    """A key that is taken, one that is not there, unknown bits, two modes at once; what
    is registered stays as it was."""
    def told(command, *arguments):
        return [errno_of(e) for e in kevent.kevent_ctl(fd, command, [ukevent(*arguments)])]

    kevent.kevent_ctl(fd, ADD, users(77))
    for kind, (id, unknown) in things.items():
        for command in (MODIFY, REMOVE):
            assert told(command, id, kind) == [errno.ENOENT]
        assert [e.type for e in kevent.kevent_ctl(fd, READY, [ukevent(id, kind)])] == [kind]
        for command in (ADD, MODIFY):
            if unknown is not None:
                assert told(command, id, kind, unknown) == [errno.EINVAL]
            assert told(command, id, kind, None, 1 << 31) == [errno.EINVAL]
            assert told(command, id, kind, None,
                        kevent.KEVENT_REQ_ET | kevent.KEVENT_REQ_LEVEL) == [errno.EINVAL]
            assert told(ADD, id, kind) == ([] if command == ADD else [errno.EEXIST])
        assert kevent.kevent_get_events(fd, 0, 1, 0) == []
        assert told(READY, id, kind) == []
        assert [e.type for e in kevent.kevent_get_events(fd, 0, 2, 0)] == [kind]
    for kind, (id, _) in things.items():
        assert told(REMOVE, id, kind) == []
        assert told(REMOVE, id, kind) == [errno.ENOENT]
