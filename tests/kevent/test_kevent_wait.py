"""kevent_wait: timeouts, signals, threads, and its errors."""
import errno
import signal
import threading
import time

import pytest

import kevent
from kevent import Ring, ukevent

MS = 10**6


@pytest.fixture
def ring(fd):
    """A ring of four slots, attached to fd."""
    ring = Ring(4)
    kevent.kevent_ring_init(fd, ring)
    return ring


def ready(fd, *ids):
    """Register user notifications and make them ready, in order."""
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, user=i) for i in ids]
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, events)
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, events)


def test_time_is_never_short(fd, ring):
    """Relative and absolute, in nanoseconds."""
    begin = time.monotonic_ns()
    assert kevent.kevent_wait(fd, 4, timeout=2 * MS) == 0
    assert time.monotonic_ns() - begin >= 2 * MS
    deadline = time.monotonic_ns() + 2 * MS
    assert kevent.kevent_wait(fd, 4, timeout=deadline, flags=kevent.KEVENT_FLAGS_ABSTIME) == 0
    assert time.monotonic_ns() >= deadline


@pytest.mark.parametrize("arguments, options, error", [
    ((5,), {}, OSError), ((1,), {"flags": 2}, OSError), ((1,), {"timeout": -1}, ValueError),
    ((1,), {"flags": kevent.KEVENT_FLAGS_REALTIME}, OSError),
    ((1,), {"flags": kevent.KEVENT_FLAGS_BOOTTIME}, OSError),
    ((1,), {"flags": kevent.KEVENT_FLAGS_ABSTIME | kevent.KEVENT_FLAGS_REALTIME
            | kevent.KEVENT_FLAGS_BOOTTIME}, OSError),
    ((1,), {"seen": -1}, OverflowError), ((1,), {"seen": "0"}, TypeError),
    ((1,), {"timeout": 1.5}, TypeError), ((1,), {"sigmask": [0]}, ValueError),
    ((1,), {"sigmask": 5}, TypeError), ((2**32,), {}, OverflowError),
    ((1,), {"flags": kevent.KEVENT_FLAGS_SEEN}, ValueError),
    ((1,), {"commit": 4}, OSError), ((1,), {"commit": -1}, OverflowError),
    ((-1,), {}, OverflowError), (("1",), {}, TypeError), ((), {}, TypeError),
])
def test_bad_arguments(fd, ring, arguments, options, error):
    """Each is refused before anything sleeps, and nothing is fetched."""
    ready(fd, 1)
    with pytest.raises(error):
        kevent.kevent_wait(fd, *arguments, **options)
    assert ring.kidx == 0 and kevent.kevent_wait(fd, 4, timeout=0) == 1


def test_a_full_ring_waits_for_room(fd, ring):
    """Events stay queued until another thread commits."""
    ready(fd, *range(6))
    assert kevent.kevent_wait(fd, 4) == 4
    results = []
    thread = threading.Thread(target=lambda: results.append(kevent.kevent_wait(fd, 4)))
    thread.start()
    assert kevent.kevent_wait(fd, 4, timeout=MS) == 0
    assert kevent.kevent_commit(fd, 2, ring.over) == 2
    thread.join(20)
    assert results == [2] and [e.user for e in ring] == [4, 5, 2, 3]


@pytest.fixture
def interrupt():
    """Sends the main thread a SIGUSR1, which raises KeyboardInterrupt there and is
    blocked but for who asks for it."""
    def handler(*args):
        raise KeyboardInterrupt

    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, handler)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    yield lambda: signal.pthread_kill(main, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGUSR1, before)


def test_interrupted_while_events_come(fd, ring, interrupt):
    """KeyboardInterrupt in the middle of the call, again and again: each event
    is in the ring once, in order, whether the call returned or not."""
    total, begin, seen, interrupted = 2000, 0, [], 0
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, user=i) for i in range(total)]
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, events)

    def feed():
        for i, event in enumerate(events):
            if i % 10 == 5:
                interrupt()
            kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, [event])
            time.sleep(0)

    feeder = threading.Thread(target=feed)
    feeder.start()
    while len(seen) < total:
        try:
            # The signal is unblocked only while it sleeps.
            kevent.kevent_wait(fd, 3, sigmask=())
        except KeyboardInterrupt:
            interrupted += 1
        while begin != ring.kidx:
            seen.append(ring[begin].user)
            begin = (begin + 1) % 4
        kevent.kevent_commit(fd, begin, ring.over)
    feeder.join(20)
    assert seen == list(range(total)) and interrupted > 0


def test_wait_moves_in_order_and_leaves_what_has_no_room(fd):
    """A full ring overwrites nothing; commit makes room for the rest."""
    ring = Ring(2)
    kevent.kevent_ring_init(fd, ring)
    ready(fd, 1, 2, 3)
    assert kevent.kevent_wait(fd, 2) == 2
    assert [ring[0].id, ring[1].id] == [1, 2]
    assert kevent.kevent_wait(fd, 2, timeout=0) == 0
    kevent.kevent_commit(fd, 1, ring.over)
    assert kevent.kevent_wait(fd, 2) == 1
    assert [ring[0].id, ring[1].id, ring.kidx] == [3, 2, 1]


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
    ready(fd, 1)
    assert kevent.kevent_wait(fd, 1) == 1
    assert kevent.kevent_wait(fd, 1, seen=0) == 0
    assert kevent.kevent_wait(fd, 1, seen=ring.kidx, timeout=1000) == 0
    with pytest.raises(ValueError):
        kevent.kevent_wait(fd, 1, flags=kevent.KEVENT_FLAGS_SEEN)


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


@pytest.mark.parametrize("flags", [0, kevent.KEVENT_FLAGS_ABSTIME])
def test_a_second_sleeper_without_a_descriptor(fd, ring, no_descriptor, flags):
    """Of two who sleep one needs a descriptor of his own: EMFILE, and the other sleeps
    on until he is woken."""
    told = []

    def sleep():
        try:
            told.append(kevent.kevent_wait(fd, 1, flags=flags))
        except OSError as error:
            told.append(error.errno)
            kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, [])

    thread = threading.Thread(target=sleep)
    with no_descriptor():
        thread.start()
        sleep()
        thread.join(20)
    assert told == [errno.EMFILE, 0]


@pytest.mark.parametrize("clock, flags", [
    (time.CLOCK_MONOTONIC, 0), (time.CLOCK_REALTIME, kevent.KEVENT_FLAGS_REALTIME),
    (time.CLOCK_BOOTTIME, kevent.KEVENT_FLAGS_BOOTTIME)])
def test_until_a_time_of_each_clock(fd, ring, clock, flags):
    """Never early; a time that has passed does not sleep."""
    deadline = time.clock_gettime_ns(clock) + 2 * MS
    flags |= kevent.KEVENT_FLAGS_ABSTIME
    assert kevent.kevent_wait(fd, 4, timeout=deadline, flags=flags) == 0
    assert time.clock_gettime_ns(clock) >= deadline
    assert kevent.kevent_wait(fd, 4, timeout=1, flags=flags) == 0
