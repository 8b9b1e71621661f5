"""Dumazet's benchmark of November 2006 from Python: kevent's ring and select.epoll.

    python -m benchmarks.dumazet [--ready N,N] [--samples N] [--sockets N] [--check]

2,000 connected AF_INET sockets, of which some at random become readable; they
are harvested, the cookie of each event is read, and each socket is.  Both
contestants do it in turn, each with sockets of its own; writing is not timed.
"harvest" is the calls and the cookies (a list of the descriptors), "event" all
that a program does: the harvest and an os.read() for each.

The default mode of epoll is level-triggered; kevent's reports news only, and
so does ET of both.  Published in 2006, in C and in the kernel: kevent ahead by
4 % in the default mode, by 10 % with ET.  --check fails below a lead of 4 %
for all of the default mode.  bench_dumazet.c is the same in C.
"""
from __future__ import annotations

import argparse
import os
import random
import resource
import select
import socket
import statistics
import sys
import time

import kevent

BATCH = 256                   # events a call, slots of the ring
LEAD = 1.04


def connected(count: int) -> list[tuple[socket.socket, socket.socket]]:
    """Pairs of connected TCP sockets; the first of each does not block."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        pairs = []
        for _ in range(count):
            far = socket.create_connection(listener.getsockname())
            near, _address = listener.accept()
            near.setblocking(False)
            pairs.append((near, far))
    return pairs


class Side:
    """A contestant: sockets of its own, and what was measured."""

    def __init__(self, sockets: int) -> None:
        self.pairs = connected(sockets)
        self.far = {near.fileno(): far.fileno() for near, far in self.pairs}
        self.near = list(self.far)
        self.harvests: list[float] = []
        self.events: list[float] = []

    def round(self, found_by, ready: int, rng: random.Random) -> None:
        """So many become readable and are read; appends ns an event."""
        for fd in rng.sample(self.near, ready):
            os.write(self.far[fd], b"x")
        now, read = time.perf_counter_ns, os.read
        harvesting, left = 0, ready
        begin = now()
        while left > 0:
            before = now()
            found = found_by()
            harvesting += now() - before
            for fd in found:
                read(fd, 16)
            left -= len(found)
        self.events.append((now() - begin) / ready)
        self.harvests.append(harvesting / ready)

    def close(self) -> None:
        for pair in self.pairs:
            for sock in pair:
                sock.close()


class Epoll(Side):
    """select.epoll: a list of (descriptor, events) each time."""

    def __init__(self, sockets: int, edge: bool) -> None:
        super().__init__(sockets)
        self.epoll = select.epoll()
        for fd in self.near:
            self.epoll.register(fd, select.EPOLLIN | (select.EPOLLET if edge else 0))

    def finder(self):
        """A function that waits and returns the descriptors of what came."""
        poll = self.epoll.poll

        def found():
            return [fd for fd, _ in poll(-1, BATCH)]

        return found

    def close(self) -> None:
        self.epoll.close()
        super().close()


class Ring(Side):
    """kevent_wait, and the cookies out of the ring's memory."""

    def __init__(self, sockets: int, edge: bool) -> None:
        super().__init__(sockets)
        self.queue = kevent.Queue(ring_size=BATCH)
        flags = kevent.KEVENT_REQ_ALWAYS_QUEUE | (kevent.KEVENT_REQ_ET if edge else 0)
        for fd in self.near:
            self.queue.add(fd, kevent.KEVENT_SOCKET, kevent.KEVENT_SOCKET_RECV, flags, fd)

    def finder(self):
        """A function that waits and returns the descriptors of what came."""
        # 8 bytes of head, then 40 of each event, the last 8 of which are `user`.
        users = memoryview(self.queue.ring).cast("B").cast("Q")[5::5]
        wait, tail = self.queue.wait, 0

        def found():
            nonlocal tail
            head = tail + wait(BATCH, None, None, 0, None, tail)
            came = users[tail:head].tolist()
            if head >= BATCH:
                head -= BATCH
                came += users[:head].tolist()
            tail = head
            return came

        return found

    def close(self) -> None:
        self.queue.close()
        super().close()


def compete(edge: bool, ready: int, args: argparse.Namespace) -> float:
    """Prints a line; how far kevent's whole event is ahead."""
    rng = random.Random(20061107)
    sides = [Epoll(args.sockets, edge), Ring(args.sockets, edge)]
    finders = [side.finder() for side in sides]
    for _ in range(args.samples):
        for side, finder in zip(sides, finders):
            side.round(finder, ready, rng)
    median = statistics.median
    epoll, ring = sides
    leads = [median(a / b for a, b in zip(getattr(epoll, what), getattr(ring, what)))
             for what in ("harvests", "events")]
    print(f"{'ET' if edge else 'default':8} {ready:6,}"
          f" {median(epoll.harvests):9.0f} {median(ring.harvests):7.0f} {leads[0]:7.3f} x"
          f" {median(epoll.events):9.0f} {median(ring.events):7.0f} {leads[1]:7.3f} x",
          flush=True)
    finders.clear()
    for side in sides:
        side.close()
    return leads[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ready", default="1,20,200,1000", help="so many at once")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"{args.sockets:,} sockets, {args.samples} samples; ns, medians; leads of pairs\n"
          f"{'':8} {'':6} {'harvest:':>9}\n"
          f"{'mode':8} {'ready':>6} {'epoll':>9} {'kevent':>7} {'lead':>9}"
          f" {'event: epoll':>9} {'kevent':>7} {'lead':>6}")
    leads = {edge: [compete(edge, int(ready), args) for ready in args.ready.split(",")]
             for edge in (False, True)}
    behind = statistics.geometric_mean(leads[False]) < LEAD
    return 1 if args.check and behind else 0


if __name__ == "__main__":
    sys.exit(main())
