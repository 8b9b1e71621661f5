"""kevent_record: what does not fit in an event, for a while."""
import errno
import os
import signal

import pytest

import kevent
from kevent import KEVENT_SIGNAL, KEVENT_SIGNAL_NOMASK, ukevent
from queue_helpers import number_of

NUMBER = signal.SIGRTMIN + 2
SILENT = (NUMBER, KEVENT_SIGNAL_NOMASK)


@pytest.fixture(autouse=True)
def mask():
    """What was blocked by a test is unblocked, and nothing strikes then."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {NUMBER})
    yield
    while signal.sigtimedwait({NUMBER}, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def told(queue):
    """The event of a signal that was sent just now."""
    os.kill(os.getpid(), NUMBER)
    [event] = queue.get_events()
    return event


def test_records_that_are_not_there(queue):
    """ENOENT, also for events that have none."""
    for what in (0, 12, ukevent(1, kevent.KEVENT_UNOTIFY)):
        with pytest.raises(OSError) as caught:
            queue.record(what)
        assert caught.value.errno == errno.ENOENT
    with pytest.raises(TypeError):
        queue.record("x")



def test_by_event_and_by_number(queue):
    """The same named tuple, as often as it is asked for, also when its kevent is gone."""
    queue.add(SILENT, KEVENT_SIGNAL)
    first, second = told(queue), told(queue)
    queue.remove(SILENT, KEVENT_SIGNAL)
    record = kevent.kevent_record(queue, first)
    assert isinstance(record, kevent.siginfo) and record.si_signo == NUMBER
    for what in (first, first.ret_data[1]):
        assert queue.record(what) == kevent.kevent_record(queue.fileno(), what) == record
    assert kevent.kevent_record(fd=queue, event=second).si_pid == os.getpid()
    assert second.ret_data[1] == first.ret_data[1] + 1


def test_of_an_inode(queue, tmp_path):
    """Another named tuple; the numbers are counted with those of signals."""
    fd = os.open(tmp_path, os.O_RDONLY)
    queue.add(SILENT, KEVENT_SIGNAL)
    before = told(queue)
    queue.add(fd, kevent.KEVENT_INODE)
    (tmp_path / ("n" * 255)).touch()
    [event] = queue.get_events()
    assert event.ret_data[1] == before.ret_data[1] + 1
    record = kevent.kevent_record(queue, event)
    assert isinstance(record, kevent.inode_record)
    assert (record.name, record.cookie) == ("n" * 255, 0) and record.mask == 0x100
    assert kevent.kevent_record(queue, before).si_signo == NUMBER
    os.close(fd)


def test_kept_for_a_while(queue):
    """The last 1,024; then the number says nothing, and the next ones do."""
    queue.add(SILENT, KEVENT_SIGNAL)
    events = [told(queue) for _ in range(1025)]
    assert number_of(queue.record, events[0]) == errno.ENOENT
    for event in events[1:]:
        assert queue.record(event).si_signo == NUMBER
    assert number_of(queue.record, events[-1].ret_data[1] + 1) == errno.ENOENT


def test_of_another_queue(queue, fd):
    """A number is the queue's own."""
    queue.add(SILENT, KEVENT_SIGNAL)
    assert number_of(kevent.kevent_record, fd, told(queue)) == errno.ENOENT


@pytest.mark.parametrize("what, error", [
    ("1", TypeError), (None, TypeError), (1.0, TypeError), (bytes(40), TypeError),
    (-1, OverflowError), (2**32, OverflowError)])
def test_what_is_no_number(fd, what, error):
    """Neither an event nor a number of 32 bits."""
    with pytest.raises(error):
        kevent.kevent_record(fd, what)
    with pytest.raises(TypeError):
        kevent.kevent_record(fd)
