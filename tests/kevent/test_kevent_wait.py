"""kevent_wait: timeouts, signals, threads, and its errors."""
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
