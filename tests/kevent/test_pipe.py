"""KEVENT_PIPE: the ends of a pipe, and the end of what comes through it."""
import errno
import os

import pytest

import kevent
from kevent import KEVENT_PIPE, KEVENT_SOCKET_RECV, KEVENT_SOCKET_SEND

HUP = kevent.KEVENT_POLL_POLLHUP
ENDED = kevent.KEVENT_RET_DONE | kevent.KEVENT_RET_BROKEN


@pytest.fixture
def pipe():
    """(reading end, writing end), closed if the test has not done so."""
    ends = list(os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            pass


def test_both_directions(queue, pipe):
    """RECV by default; SEND at the other end."""
    near, far = pipe
    queue.add(near, KEVENT_PIPE, user=1)
    queue.add(far, KEVENT_PIPE, KEVENT_SOCKET_SEND, user=2)
    os.write(far, b"x")
    told = {e.user: e.ret_data[0] for e in queue.get_events(min_nr=2)}
    assert told == {1: KEVENT_SOCKET_RECV, 2: KEVENT_SOCKET_SEND}


def test_end_of_file(queue, pipe):
    """Told once as DONE and BROKEN, with poll's hang-up bit."""
    near, far = pipe
    queue.add(near, KEVENT_PIPE)
    os.close(far)
    [event] = queue.get_events()
    assert (event.ret_flags, event.ret_data) == (ENDED, (HUP, 0))
    assert queue.get_events(timeout=0) == []


def test_end_of_file_that_is_there_at_add(queue, pipe):
    """Is an answer and no error, whether it is queued or returned."""
    near, far = pipe
    os.write(far, b"x")
    os.close(far)
    event = queue.add(near, KEVENT_PIPE, req_flags=0)
    assert event.ret_flags == ENDED
    assert event.ret_data[0] == KEVENT_SOCKET_RECV | HUP
    assert os.read(near, 10) == b"x"
    queue.add(near, KEVENT_PIPE)
    [event] = queue.get_events()
    assert event.ret_data[0] == HUP


def test_no_reader(queue, pipe):
    """The writing end is broken with EPIPE."""
    near, far = pipe
    queue.add(far, KEVENT_PIPE, KEVENT_SOCKET_RECV)
    os.close(near)
    [event] = queue.get_events()
    assert event.ret_flags == ENDED
    assert event.ret_data == (kevent.KEVENT_POLL_POLLERR, 2**32 - errno.EPIPE)


def test_only_pipes(queue, pair):
    """EINVAL for anything else."""
    with pytest.raises(OSError) as caught:
        queue.add(pair[0], KEVENT_PIPE)
    assert caught.value.errno == errno.EINVAL
