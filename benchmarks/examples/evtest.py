"""Timers with nearly the same interval, as the test program of 2006 had them.

    python benchmarks/examples/evtest.py [timers [nanoseconds [rounds]]]

A TIMER's interval is its id, so the i-th has i nanoseconds more.  Each has to
be told so often, and never before its time.  evtest.c is the same in C.
"""
from __future__ import annotations

import sys
import time

import kevent
from kevent import ukevent


def main(timers: int = 100, interval: int = 10_000_000, rounds: int = 5) -> None:
    ring = kevent.Ring(32)
    fd = kevent.kevent_init(ring)
    intervals = [interval + i for i in range(timers)]
    fired = [0] * timers
    started = time.monotonic_ns()
    failed = kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [
        ukevent(divmod(ns, 10**9), kevent.KEVENT_TIMER, user=i)
        for i, ns in enumerate(intervals)])
    assert not failed, failed
    told = events = tail = 0
    while told < timers * rounds:
        count = kevent.kevent_wait(fd, len(ring), timeout=10 * 10**9)
        assert count, "nothing came for ten seconds"
        for _ in range(count):
            event = ring[tail]
            times = 1 + event.ret_data[1]
            told += times
            fired[event.user] += times
            due = started + fired[event.user] * intervals[event.user]
            assert event.ret_flags == kevent.KEVENT_RET_DONE
            assert time.monotonic_ns() >= due, f"timer {event.user} is before its time"
            tail = (tail + 1) % len(ring)
        events += count
        kevent.kevent_commit(fd, tail, ring.over)
    print(f"evtest: {timers} timers came {told} times in {events} events,"
          f" each at least {min(fired)} times")
    kevent.kevent_close(fd)
    assert min(fired) > 0


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
