"""kevent_get_events: waiting, timeouts, buffers, signals."""
import errno
import os
import signal
import threading
import time

import pytest

import kevent
from kevent import ukevent

ADD = kevent.KEVENT_CTL_ADD
READY = kevent.KEVENT_CTL_READY
MS = 10**6


def ready(fd, *ids):
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, user=i) for i in ids]
    kevent.kevent_ctl(fd, ADD, events)
    kevent.kevent_ctl(fd, READY, events)


def test_events_come_in_order_up_to_max(fd):
    """First in, first out."""
    ready(fd, 1, 2, 3)
    assert [e.user for e in kevent.kevent_get_events(fd, 1, 2)] == [1, 2]
    assert [e.user for e in kevent.kevent_get_events(fd, 1, 2)] == [3]


def test_events_go_to_a_buffer(fd):
    """With buf the result is the count, and nothing is allocated."""
    ready(fd, 1, 2)
    memory = bytearray(120)
    assert kevent.kevent_get_events(fd, 1, 3, buf=memory) == 2
    assert [ukevent.from_buffer(memory, i).user for i in (0, 1)] == [1, 2]
    with pytest.raises(ValueError, match="too small"):
        kevent.kevent_get_events(fd, 1, 4, buf=memory)
    with pytest.raises(BufferError):
        kevent.kevent_get_events(fd, 1, 1, buf=bytes(40))


def test_min_nr_is_waited_for(fd):
    """Fewer than min_nr come only when time is up."""
    ready(fd, 1)
    t0 = time.monotonic_ns()
    events = kevent.kevent_get_events(fd, 2, 2, timeout=20 * MS)
    assert time.monotonic_ns() - t0 >= 20 * MS
    assert [e.user for e in events] == [1]


def test_timeout_is_in_nanoseconds_and_never_early(fd):
    """Relative and absolute."""
    for ns in (1, 50_000, 3 * MS):
        t0 = time.monotonic_ns()
        assert kevent.kevent_get_events(fd, 1, 1, ns) == []
        assert time.monotonic_ns() - t0 >= ns
    flags = kevent.KEVENT_FLAGS_ABSTIME
    deadline = time.monotonic_ns() + 3 * MS
    assert kevent.kevent_get_events(fd, 1, 1, deadline, flags=flags) == []
    assert time.monotonic_ns() >= deadline
    flags |= kevent.KEVENT_FLAGS_REALTIME
    deadline = time.time_ns() + 3 * MS
    assert kevent.kevent_get_events(fd, 1, 1, deadline, flags=flags) == []
    assert time.time_ns() >= deadline


@pytest.mark.parametrize("arguments, error", [
    ((1, 1, -1), ValueError),
    ((1, 1, -2**70), ValueError),
    ((1, 1, 1.5), TypeError),
    ((1, 0), ValueError),
    ((2, 1), ValueError),
    ((-1, 1), OverflowError),
    ((1, 1, 0, None, 0x80), OSError),
    ((1, 1, 0, None, kevent.KEVENT_FLAGS_SEEN), OSError),
    ((1, 1, 0, None, kevent.KEVENT_FLAGS_REALTIME), OSError),
    ((1, 1, 0, None, kevent.KEVENT_FLAGS_BOOTTIME), OSError),
    ((1, 1, 0, None, kevent.KEVENT_FLAGS_ABSTIME | kevent.KEVENT_FLAGS_REALTIME
      | kevent.KEVENT_FLAGS_BOOTTIME), OSError),
    ((1, 1, 0, None, -1), OverflowError),
    ((1, 1, 0, 5), TypeError),
    ((1, "1"), TypeError),
    ((1, 2**32), OverflowError),
    ((0, 2**31), ValueError),
    ((1,), TypeError),
])
def test_bad_arguments(fd, arguments, error):
    """Each is refused before anything sleeps."""
    with pytest.raises(error):
        kevent.kevent_get_events(fd, *arguments)


def test_o_nonblock_means_nothing(fd):
    """Timeout 0 is how not to sleep; the descriptor's flag is not looked at."""
    os.set_blocking(fd, False)
    t0 = time.monotonic_ns()
    assert kevent.kevent_get_events(fd, 1, 1, 3 * MS) == []
    assert time.monotonic_ns() - t0 >= 3 * MS


def test_forever_has_a_name(fd):
    """KEVENT_WAIT_FOREVER and None are the same."""
    for forever in (None, kevent.KEVENT_WAIT_FOREVER):
        ready(fd, 1)
        assert len(kevent.kevent_get_events(fd, 1, 1, forever)) == 1


def test_other_threads_run_while_one_waits(fd):
    """The GIL is released, and a READY from elsewhere ends the wait."""
    thread = threading.Thread(target=ready, args=(fd, 5))
    thread.start()
    assert [e.user for e in kevent.kevent_get_events(fd, 1, 1)] == [5]
    thread.join()


def test_ready_without_events_wakes_one_sleeper(fd):
    """Pending if nobody sleeps yet."""
    kevent.kevent_ctl(fd, READY, [])
    assert kevent.kevent_get_events(fd, 1, 1) == []


def test_ready_without_events_during_the_sleep(fd):
    """It ends it with nothing.  A signal that only the sleep lets through says when to
    wake: its handler runs inside the call, which goes on."""
    inside = threading.Event()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    before = signal.signal(signal.SIGUSR1, lambda *args: inside.set())
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    def wake():
        inside.wait()
        kevent.kevent_ctl(fd, READY, [])

    thread = threading.Thread(target=wake)
    thread.start()
    assert kevent.kevent_get_events(fd, 1, 1, sigmask=()) == []
    thread.join()
    signal.signal(signal.SIGUSR1, before)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_ready_without_events_is_one_for_each(fd):
    """Three of them let three sleepers go, whether they sleep already or not yet."""
    threads = [threading.Thread(target=kevent.kevent_get_events, args=(fd, 1, 1))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in threads:
        kevent.kevent_ctl(fd, READY, [])
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def alarm():
    """Calls handler after some seconds of sleeping; undone afterwards."""
    before = signal.getsignal(signal.SIGALRM)

    def set_alarm(handler, seconds):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield set_alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_handler_that_returns_does_not_end_the_wait(fd, alarm):
    """PEP 475: the rest of the time is waited for."""
    calls = []
    alarm(lambda *args: calls.append(1), 0.01)
    t0 = time.monotonic_ns()
    assert kevent.kevent_get_events(fd, 1, 1, 40 * MS) == []
    assert time.monotonic_ns() - t0 >= 40 * MS
    assert calls == [1]


def test_a_handler_that_raises_loses_no_event(fd, alarm):
    """What was there for min_nr stays there."""
    class Stop(Exception):
        pass

    def handler(*args):
        raise Stop

    ready(fd, 1, 2)
    alarm(handler, 0.01)
    with pytest.raises(Stop):
        kevent.kevent_get_events(fd, 3, 3)
    assert [e.user for e in kevent.kevent_get_events(fd, 2, 3, 0)] == [1, 2]


def test_a_handler_may_close_the_queue(alarm):
    """The wait ends with an error, not with a crash."""
    fd = kevent.kevent_open()
    alarm(lambda *args: kevent.kevent_close(fd), 0.01)
    with pytest.raises(OSError):
        kevent.kevent_get_events(fd, 1, 1)


def test_sigmask_holds_while_sleeping_only(fd, alarm):
    """A signal that the mask blocks does not end the wait; it is there when
    the call returns."""
    calls = []
    alarm(lambda *args: calls.append(time.monotonic_ns()), 0.005)
    deadline = time.monotonic_ns() + 30 * MS
    assert kevent.kevent_get_events(fd, 1, 1, 30 * MS,
                                    sigmask={signal.SIGALRM}) == []
    assert len(calls) == 1 and calls[0] >= deadline
    for mask, error in (([0], ValueError), ([1000], ValueError),
                        ([-1], OverflowError), (5, TypeError)):
        with pytest.raises(error):
            kevent.kevent_get_events(fd, 1, 1, 0, sigmask=mask)


def test_each_event_goes_to_exactly_one_thread(fd):
    """Four threads, 2,000 events: none lost, none twice."""
    total = 2000
    events = [ukevent(i, kevent.KEVENT_UNOTIFY, user=i) for i in range(total)]
    kevent.kevent_ctl(fd, ADD, events)
    seen = [[] for _ in range(4)]

    def work(mine):
        while True:
            got = kevent.kevent_get_events(fd, 1, 7)
            if any(e.user == total - 1 for e in got) or not got:
                mine += [e.user for e in got]
                return kevent.kevent_ctl(fd, READY, [])
            mine += [e.user for e in got]

    threads = [threading.Thread(target=work, args=(m,)) for m in seen]
    for thread in threads:
        thread.start()
    for i in range(0, total - 1, 50):
        kevent.kevent_ctl(fd, READY, events[i:min(i + 50, total - 1)])
    kevent.kevent_ctl(fd, READY, events[-1:])
    for thread in threads:
        thread.join(20)
    rest = [e.user for e in kevent.kevent_get_events(fd, 0, total, 0)]
    assert sorted(sum(seen, rest)) == list(range(total))


def test_timer_fires_with_its_cookie(fd):
    """A TIMER of the historic id form: seconds and nanoseconds."""
    timer = ukevent((0, 2 * MS), kevent.KEVENT_TIMER,
                    req_flags=kevent.KEVENT_REQ_ONESHOT, user=42)
    assert kevent.kevent_ctl(fd, ADD, [timer]) == []
    t0 = time.monotonic_ns()
    events = kevent.kevent_get_events(fd, 1, 1)
    assert [e.user for e in events] == [42]
    assert time.monotonic_ns() - t0 < 10**9


def test_peer_close_is_told(fd):
    """A hang-up nobody asked for arrives."""
    r, w = os.pipe()
    kevent.kevent_ctl(fd, ADD, [ukevent(r, kevent.KEVENT_POLL)])
    os.close(w)
    event, = kevent.kevent_get_events(fd, 1, 1, 10**9)
    assert event.ret_data[0] & kevent.KEVENT_POLL_POLLHUP
    os.close(r)


@pytest.mark.parametrize("flags", [0, kevent.KEVENT_FLAGS_ABSTIME])
def test_a_second_sleeper_without_a_descriptor(fd, no_descriptor, flags):
    """Of two who sleep one needs a descriptor of his own: EMFILE, and the other sleeps
    on until he is woken."""
    told = []

    def sleep():
        try:
            told.append(kevent.kevent_get_events(fd, 1, 1, None, flags=flags))
        except OSError as error:
            told.append(error.errno)
            kevent.kevent_ctl(fd, READY, [])

    thread = threading.Thread(target=sleep)
    with no_descriptor():
        thread.start()
        sleep()
        thread.join(20)
    assert told == [errno.EMFILE, []]


@pytest.mark.parametrize("clock, flags", [
    (time.CLOCK_MONOTONIC, 0), (time.CLOCK_REALTIME, kevent.KEVENT_FLAGS_REALTIME),
    (time.CLOCK_BOOTTIME, kevent.KEVENT_FLAGS_BOOTTIME)])
def test_until_a_time_of_each_clock(fd, clock, flags):
    """Never early; a time that has passed does not sleep."""
    deadline = time.clock_gettime_ns(clock) + 2 * MS
    flags |= kevent.KEVENT_FLAGS_ABSTIME
    assert kevent.kevent_get_events(fd, 1, 1, deadline, flags=flags) == []
    assert time.clock_gettime_ns(clock) >= deadline
    assert kevent.kevent_get_events(fd, 1, 1, 1, flags=flags) == []
