"""Queue: the object form of the calls."""
import errno
import gc
import os
import threading
import warnings

import pytest

import kevent
from kevent import Queue, Ring, ukevent


def test_add_and_get(queue, pair):
    """A file object is an id; what is ready is queued, not dropped."""
    a, b = pair
    b.send(b"x")
    assert queue.add(a, kevent.KEVENT_POLL, user=3) is None
    assert [e.user for e in queue.get_events()] == [3]


def test_add_takes_a_ukevent(queue):
    """As it is, with its own req_flags."""
    assert queue.add(ukevent(4, kevent.KEVENT_UNOTIFY, user=9)) is None
    queue.ready(4, kevent.KEVENT_UNOTIFY)
    assert [e.user for e in queue.get_events(timeout=0)] == [9]
    for arguments in ((5,), (ukevent(4, 9), 9)):
        with pytest.raises(TypeError, match="one ukevent"):
            queue.add(*arguments)


def test_add_returns_what_was_ready_if_asked_to(queue, pair):
    """Without ALWAYS_QUEUE the event comes back and is not registered."""
    a, b = pair
    b.send(b"x")
    event = queue.add(a, kevent.KEVENT_POLL, req_flags=0)
    assert event.ret_data[0] == kevent.KEVENT_POLL_POLLIN
    with pytest.raises(OSError):
        queue.remove(a, kevent.KEVENT_POLL)


def test_failures_raise(queue, pair):
    """Where the calls flag an element, the methods raise its errno."""
    a, _ = pair
    queue.add(a, kevent.KEVENT_POLL)
    cases = [
        (errno.EEXIST, lambda: queue.add(a, kevent.KEVENT_POLL)),
        (errno.EBADF, lambda: queue.add(10**6, kevent.KEVENT_POLL)),
        (errno.ENOSYS, lambda: queue.add(1, 4711)),
        (errno.ENOENT, lambda: queue.modify(1, kevent.KEVENT_UNOTIFY)),
        (errno.ENOSYS, lambda: queue.modify(1, 4711)),
        (errno.EINVAL, lambda: queue.modify(a, kevent.KEVENT_POLL, 0x4000)),
        (errno.ENOENT, lambda: queue.remove(1, kevent.KEVENT_UNOTIFY)),
        (errno.ENOENT, lambda: queue.ready(1, kevent.KEVENT_UNOTIFY)),
    ]
    for number, call in cases:
        with pytest.raises(OSError, match="type=") as caught:
            call()
        assert caught.value.errno == number
    queue.remove(a, kevent.KEVENT_POLL)
    with pytest.raises(OSError) as caught:
        queue.remove(a, kevent.KEVENT_POLL)
    assert caught.value.errno == errno.ENOENT


def test_modify_changes_what_is_watched(queue, pair):
    """From reading to writing."""
    a, _ = pair
    queue.add(a, kevent.KEVENT_POLL)
    assert queue.get_events(timeout=0) == []
    queue.modify(a, kevent.KEVENT_POLL, kevent.KEVENT_POLL_POLLOUT)
    event, = queue.get_events(timeout=0)
    assert event.ret_data[0] == kevent.KEVENT_POLL_POLLOUT


def test_ring_by_size_or_object():
    """The constructor attaches; the attribute tells."""
    with Queue(ring_size=4) as queue:
        assert len(queue.ring) == 4
        queue.add(1, kevent.KEVENT_UNOTIFY)
        queue.ready(1, kevent.KEVENT_UNOTIFY)
        assert queue.wait() == 1 and queue.ring[0].id == 1
        queue.commit(1, queue.ring.over)
        queue.ring_init(None)
        assert queue.ring is None
    ring = Ring(2)
    with Queue(ring) as queue:
        assert queue.ring is ring
        assert queue.wait(timeout=0) == 0
    with pytest.raises(TypeError):
        Queue(ring, ring_size=2)
    with pytest.raises(ValueError):
        Queue(ring_size=0)


def test_calls_work_on_its_descriptor(queue):
    """A Queue has a fileno() and may be given where a descriptor may."""
    queue.add(1, kevent.KEVENT_UNOTIFY)
    kevent.kevent_ctl(queue, kevent.KEVENT_CTL_READY,
                      [ukevent(1, kevent.KEVENT_UNOTIFY)])
    assert len(kevent.kevent_get_events(queue.fileno(), 1, 1)) == 1
    assert queue.ctl(kevent.KEVENT_CTL_REMOVE,
                     [ukevent(1, kevent.KEVENT_UNOTIFY)]) == []


def test_closed_queue_raises():
    """EBADF, from every method but close()."""
    queue = Queue()
    assert not queue.closed
    queue.close()
    queue.close()
    assert queue.closed and "closed" in repr(queue)
    for call in (queue.fileno, queue.get_events, queue.wait, queue.ready,
                 queue.statistics, queue.__enter__,
                 lambda: queue.add(1, kevent.KEVENT_UNOTIFY)):
        with pytest.raises(OSError, match="closed") as caught:
            call()
        assert caught.value.errno == errno.EBADF


def test_closed_by_its_descriptor():
    """kevent_close(q.fileno()) closes the object, too."""
    queue = Queue()
    kevent.kevent_close(queue.fileno())
    assert queue.closed
    with pytest.raises(OSError):
        queue.get_events()
    queue.close()


def test_forgotten_queue_warns_and_is_closed():
    """ResourceWarning, and no descriptor left (the fixture looks)."""
    with pytest.warns(ResourceWarning, match="unclosed queue"):
        Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Queue().close()


def test_queue_in_a_cycle_is_collected():
    """Queue -> ring -> buffer -> queue goes with the collector."""
    class Memory(bytearray):
        pass

    with pytest.warns(ResourceWarning):
        memory = Memory(88)
        memory.queue = queue = Queue()
        queue.ring_init(memory)
        del queue, memory
        gc.collect()               # if it has not come by itself


def test_collector_sees_the_ring():
    """What a queue refers to is no secret."""
    with Queue(ring_size=1) as queue:
        assert queue.ring in gc.get_referents(queue)
        assert Queue in gc.get_referents(queue)


def test_subclass():
    """A person may derive from it."""
    class Mine(Queue):
        pass

    with Mine(ring_size=1) as queue:
        queue.note = 1
        assert queue.wait(timeout=0) == 0


def test_statistics_count(queue):
    """What went through the queue."""
    queue.add(1, kevent.KEVENT_UNOTIFY)
    queue.ready(1, kevent.KEVENT_UNOTIFY)
    queue.get_events()
    statistics = queue.statistics()
    assert statistics["events"] == 1
    assert statistics["waits"] == 1
    assert statistics["fd"] == queue.fileno()


def test_close_while_another_thread_waits():
    """The sleeper gets EBADF."""
    queue = Queue()
    errors = []
    started = threading.Event()

    def wait():
        started.set()
        try:
            queue.get_events()
        except OSError as error:
            errors.append(error.errno)

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait()
    queue.close()
    thread.join(10)
    assert errors == [errno.EBADF]


def in_child(function):
    """What function returns (an int below 100) in a forked child."""
    pid = os.fork()
    if pid == 0:
        code = 101
        try:
            code = function()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_childs_copy_is_dead_and_says_so(queue, pair):
    """Every call is EBADF in the child, closing is allowed, and the parent's
    registrations are as they were."""
    a, b = pair
    queue.add(a, kevent.KEVENT_POLL)
    number = queue.fileno()

    def child():
        told = 0
        for call in (queue.get_events, queue.fileno,
                     lambda: queue.remove(a, kevent.KEVENT_POLL),
                     lambda: kevent.kevent_get_events(number, 0, 1, 0)):
            try:
                call()
            except OSError as error:
                told += error.errno == errno.EBADF and "parent" in str(error)
        queue.close()
        with Queue() as fresh:
            fresh.add(1, kevent.KEVENT_UNOTIFY)
            fresh.ready(1, kevent.KEVENT_UNOTIFY)
            told += len(fresh.get_events())
        return told

    assert in_child(child) == 5
    b.send(b"x")
    assert len(queue.get_events(timeout=10**9)) == 1
