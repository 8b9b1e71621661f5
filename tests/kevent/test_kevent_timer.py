"""kevent_timer: times and clocks of the caller's choice, for TIMER and POSIX_TIMER.

test_timer.py is of the type KEVENT_TIMER, whose id is its interval.
"""
import errno
import time

import pytest

import kevent
from kevent import (
    KEVENT_CTL_ADD,
    KEVENT_CTL_MODIFY,
    KEVENT_CTL_READY,
    KEVENT_CTL_REMOVE,
    KEVENT_FLAGS_ABSTIME,
    KEVENT_FLAGS_BOOTTIME,
    KEVENT_FLAGS_REALTIME,
    KEVENT_POSIX_TIMER,
    KEVENT_TIMER,
    ukevent,
)

MS = 1_000_000
SECOND = 1_000_000_000
CLOCKS = [(time.CLOCK_MONOTONIC, 0), (time.CLOCK_REALTIME, KEVENT_FLAGS_REALTIME),
          (time.CLOCK_BOOTTIME, KEVENT_FLAGS_BOOTTIME)]


@pytest.mark.parametrize("clock, flags", CLOCKS)
def test_absolute(queue, clock, flags):
    """At that time of that clock, once, and it stays registered."""
    due = time.clock_gettime_ns(clock) + 3 * MS
    queue.add_timer(17, due, flags=flags | KEVENT_FLAGS_ABSTIME, user=5)
    [event] = queue.get_events()
    assert time.clock_gettime_ns(clock) >= due
    assert (event.id, event.user, event.ret_data) == (17, 5, (1, 0))
    assert queue.get_events(timeout=0) == []
    queue.modify_timer(17, MS, flags=flags)
    assert [e.id for e in queue.get_events()] == [17]
    queue.remove(17, KEVENT_TIMER)


@pytest.mark.parametrize("clock, flags", CLOCKS)
def test_a_past_time_counts_overruns(queue, clock, flags):
    """As many intervals as have passed besides the one that is told."""
    now = time.clock_gettime_ns(clock)
    queue.add_timer(1, max(now - 10 * SECOND, 1), 4 * SECOND,
                    flags | KEVENT_FLAGS_ABSTIME)
    [event] = queue.get_events()
    assert event.ret_data[1] == min(now, 10 * SECOND) // (4 * SECOND)


def test_the_call(fd):
    """kevent_timer on a descriptor."""
    event = ukevent(9, KEVENT_POSIX_TIMER, 1, 0, 9)
    kevent.kevent_timer(fd, KEVENT_CTL_ADD, event, interval=MS)
    kevent.kevent_timer(fd, KEVENT_CTL_MODIFY, event, initial=MS)
    assert [e.user for e in kevent.kevent_get_events(fd, 1, 1)] == [9]


def test_errors_of_the_object(queue):
    """ENOENT, EEXIST, and EINVAL for flags, clocks and POSIX_TIMER by ctl."""
    queue.add_timer(1, SECOND)
    cases = [
        (errno.EEXIST, lambda: queue.add_timer(1, SECOND)),
        (errno.ENOENT, lambda: queue.modify_timer(2, SECOND)),
        (errno.EINVAL, lambda: queue.add_timer(2, SECOND, flags=2)),
        (errno.EINVAL, lambda: queue.add_timer(
            2, SECOND, flags=KEVENT_FLAGS_REALTIME | KEVENT_FLAGS_BOOTTIME)),
        (errno.EINVAL, lambda: queue.add_timer(2, 1, type=kevent.KEVENT_POLL)),
        (errno.EINVAL, lambda: queue.add(2, KEVENT_POSIX_TIMER)),
    ]
    for number, call in cases:
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == number
    with pytest.raises(OverflowError):
        queue.add_timer(2, -1)



@pytest.mark.parametrize("clock, flags", CLOCKS)
@pytest.mark.parametrize("kind", [KEVENT_TIMER, KEVENT_POSIX_TIMER])
def test_first_time_and_interval(fd, kind, clock, flags):
    """The first time, then every interval, never early; what is late is counted."""
    start = time.clock_gettime_ns(clock)
    event = ukevent(1, kind, user=7)
    kevent.kevent_timer(fd, KEVENT_CTL_ADD, event, 3 * MS, 2 * MS, flags)
    fired = 0
    while fired < 4:
        [told] = kevent.kevent_get_events(fd, 1, 1)
        fired += 1 + told.ret_data[1]
        assert (told.type, told.id, told.user) == (kind, 1, 7)
        assert told.ret_data[0] == kevent.KEVENT_TIMER_FIRED
        assert time.clock_gettime_ns(clock) - start >= 3 * MS + (fired - 1) * 2 * MS


def test_oneshot_with_an_interval(fd):
    """The interval is not looked at."""
    event = ukevent(1, KEVENT_TIMER, req_flags=kevent.KEVENT_REQ_ONESHOT)
    kevent.kevent_timer(fd, KEVENT_CTL_ADD, event, MS, MS)
    assert len(kevent.kevent_get_events(fd, 1, 1)) == 1
    kevent.kevent_timer(fd, KEVENT_CTL_ADD, event, MS, MS)


def test_the_event_is_not_written(fd):
    """It is an argument, not an answer."""
    event = ukevent(2**64 - 1, KEVENT_TIMER, user=2**64 - 1)
    before = bytes(event)
    assert kevent.kevent_timer(fd, KEVENT_CTL_ADD, event, SECOND) is None
    assert kevent.kevent_timer(fd, cmd=KEVENT_CTL_MODIFY, event=event, initial=0, interval=SECOND,
                               flags=KEVENT_FLAGS_REALTIME) is None
    assert bytes(event) == before


def test_longest_times(fd):
    """Are far away, relative and absolute, by every clock."""
    for i, (_, flags) in enumerate(CLOCKS):
        kevent.kevent_timer(fd, KEVENT_CTL_ADD, ukevent(i, KEVENT_TIMER), 2**64 - 1, 2**64 - 1,
                            flags)
        kevent.kevent_timer(fd, KEVENT_CTL_ADD, ukevent(10 + i, KEVENT_TIMER), 2**64 - 2, 1,
                            flags | KEVENT_FLAGS_ABSTIME)
    assert kevent.kevent_get_events(fd, 1, 1, MS) == []


@pytest.mark.parametrize("number, cmd, event, options", [
    (errno.EINVAL, KEVENT_CTL_REMOVE, ukevent(1, KEVENT_TIMER), {}),
    (errno.EINVAL, KEVENT_CTL_READY, ukevent(1, KEVENT_TIMER), {}),
    (errno.EINVAL, 4, ukevent(1, KEVENT_TIMER), {}),
    (errno.EINVAL, KEVENT_CTL_ADD, ukevent(2, kevent.KEVENT_UNOTIFY), {}),
    (errno.EINVAL, KEVENT_CTL_ADD, ukevent(2, 4711), {}),
    (errno.EINVAL, KEVENT_CTL_ADD, ukevent(2, KEVENT_TIMER, 2), {}),
    (errno.EINVAL, KEVENT_CTL_ADD, ukevent(2, KEVENT_TIMER, req_flags=0x40), {}),
    (errno.EINVAL, KEVENT_CTL_ADD, ukevent(2, KEVENT_TIMER), {"flags": 2}),
    (errno.EINVAL, KEVENT_CTL_ADD, ukevent(2, KEVENT_TIMER), {"flags": kevent.KEVENT_FLAGS_SEEN}),
    (errno.EINVAL, KEVENT_CTL_ADD, ukevent(2, KEVENT_TIMER),
     {"flags": KEVENT_FLAGS_REALTIME | KEVENT_FLAGS_BOOTTIME}),
    (errno.EEXIST, KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), {}),
    (errno.ENOENT, KEVENT_CTL_MODIFY, ukevent(2, KEVENT_TIMER), {}),
    (errno.ENOENT, KEVENT_CTL_MODIFY, ukevent(1, KEVENT_POSIX_TIMER), {}),
])
def test_errors(fd, number, cmd, event, options):
    """Another command, another type, unknown bits, both clocks, a key that is taken or
    not there: nothing is changed."""
    kevent.kevent_timer(fd, KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), 1000 * SECOND)
    with pytest.raises(OSError, match="kevent_timer") as raised:
        kevent.kevent_timer(fd, cmd, event, initial=1, **options)
    assert raised.value.errno == number
    assert kevent.kevent_get_events(fd, 1, 1, MS) == []


@pytest.mark.parametrize("arguments, error", [
    ((), TypeError), ((KEVENT_CTL_ADD,), TypeError), ((KEVENT_CTL_ADD, 1), TypeError),
    ((KEVENT_CTL_ADD, bytes(40)), TypeError), (("0", ukevent(1, KEVENT_TIMER)), TypeError),
    ((-1, ukevent(1, KEVENT_TIMER)), OverflowError),
    ((KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), 1.5), TypeError),
    ((KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), -1), OverflowError),
    ((KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), 2**64), OverflowError),
    ((KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), 1, -1), OverflowError),
    ((KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), 1, "1"), TypeError),
    ((KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), 1, 1, 2**32), OverflowError),
    ((KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), 1, 1, 0, 0), TypeError),
])
def test_bad_arguments(fd, arguments, error):
    """Each is refused before anything is registered."""
    with pytest.raises(error):
        kevent.kevent_timer(fd, *arguments)
    kevent.kevent_timer(fd, KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), 1000 * SECOND)


@pytest.mark.parametrize("clock, flags", CLOCKS)
def test_no_descriptor_is_left(fd, no_descriptor, clock, flags):
    """EMFILE where a clock needs its first; then it is not registered."""
    due = time.clock_gettime_ns(clock) + 1000 * SECOND
    arguments = (fd, KEVENT_CTL_ADD, ukevent(1, KEVENT_TIMER), due, 0,
                 flags | KEVENT_FLAGS_ABSTIME)
    with no_descriptor(), pytest.raises(OSError) as raised:
        kevent.kevent_timer(*arguments)
    assert raised.value.errno == errno.EMFILE
    kevent.kevent_timer(*arguments)
