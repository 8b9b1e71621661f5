"""kevent's ring and selector beside select.epoll and selectors.EpollSelector.

    python -m pytest benchmarks/test_queues.py

Ready: so many of 10,000 eventfds are readable, all the time; a round harvests
all of them once and looks at whose they are.  Events: Eric Dumazet's test of
2006, in which every event that is handled makes another one happen.
"""
import os
import random
import select
import selectors

import pytest

import kevent

pytest.importorskip("pytest_benchmark")

WATCHED = 10_000
READY = (1, 10, 100, 1_000)
FLAGS = kevent.KEVENT_REQ_LEVEL | kevent.KEVENT_REQ_ALWAYS_QUEUE


class Epoll:
    """select.epoll, whose poll() makes a tuple for each event."""

    def __init__(self):
        self.epoll = select.epoll()
        self.close = self.epoll.close

    def add(self, fd):
        self.epoll.register(fd, select.EPOLLIN)

    def modify(self, fd, out):
        self.epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if out else 0))

    def remove(self, fd):
        self.epoll.unregister(fd)

    def harvest(self, count):
        """The descriptors of `count` events at least."""
        return [fd for fd, _ in self.epoll.poll(0, 1024)]


class Selector:
    """Any class of selectors' kind."""

    def __init__(self, kind):
        self.selector = kind()
        self.close = self.selector.close

    def add(self, fd):
        self.selector.register(fd, selectors.EVENT_READ)

    def modify(self, fd, out):
        self.selector.modify(fd, selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0))

    def remove(self, fd):
        self.selector.unregister(fd)

    def harvest(self, count):
        """The descriptors of `count` events at least."""
        return [key.fd for key, _ in self.selector.select(0)]


class Ring:
    """kevent_wait and the ring's own memory: no object for an event."""

    SLOTS = 4096

    def __init__(self):
        self.queue = kevent.Queue(ring_size=self.SLOTS)
        self.ring = self.queue.ring
        # 8 bytes of head, then records of 40 bytes, the last 8 of which are `user`.
        self.users = memoryview(self.ring).cast("B").cast("Q")[5::5]
        self.close = self.queue.close

    def add(self, fd):
        self.queue.add(fd, kevent.KEVENT_POLL, kevent.KEVENT_POLL_POLLIN, FLAGS, fd)

    def modify(self, fd, out):
        self.queue.modify(fd, kevent.KEVENT_POLL, kevent.KEVENT_POLL_POLLIN
                          | (kevent.KEVENT_POLL_POLLOUT if out else 0), FLAGS)

    def remove(self, fd):
        self.queue.remove(fd, kevent.KEVENT_POLL)

    def harvest(self, count):
        """The descriptors of `count` events at least; a call brings some of them."""
        ring, found = self.ring, []
        while len(found) < count:
            begin = ring.kidx
            came = self.queue.wait(count, timeout=0)
            if not came:
                break
            end = begin + came
            found += self.users[begin:end].tolist()
            if end > self.SLOTS:
                found += self.users[:end - self.SLOTS].tolist()
            self.queue.commit(ring.kidx, ring.over)
        return found


KINDS = {
    "select.epoll": Epoll,
    "EpollSelector": lambda: Selector(selectors.EpollSelector),
    "KeventSelector": lambda: Selector(kevent.KeventSelector),
    "kevent-ring": Ring,
}

SELECTORS = ("EpollSelector", "KeventSelector")


@pytest.fixture
def eventfds():
    """WATCHED eventfds, none readable."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < WATCHED + 100:
        pytest.skip(f"needs {WATCHED:,} descriptors, may have {most:,}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    fds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(WATCHED)]
    yield fds
    for fd in fds:
        os.close(fd)


@pytest.fixture(params=KINDS)
def kind(request, benchmark):
    """One of KINDS, open."""
    made = KINDS[request.param]()
    benchmark.extra_info["kind"] = request.param
    yield made
    made.close()


@pytest.mark.parametrize("ready", READY)
def test_ready(benchmark, kind, ready, eventfds):
    """So many of 10,000 are readable; each harvest finds exactly them."""
    for fd in eventfds:
        kind.add(fd)
    loud = random.Random(1).sample(eventfds, ready)
    for fd in loud:
        os.eventfd_write(fd, 1)
    assert sorted(set(kind.harvest(ready))) == sorted(loud)
    benchmark.group = f"ready: {ready:,} of {WATCHED:,}"
    found = benchmark.pedantic(kind.harvest, (ready,), rounds=30, warmup_rounds=3,
                               iterations=max(300 // ready, 1))
    assert len(found) >= ready


@pytest.mark.parametrize("ready", READY)
@pytest.mark.parametrize("kind", SELECTORS, indirect=True)
def test_select(benchmark, kind, ready, eventfds):
    """select() alone, without a look at what it returned."""
    for fd in eventfds:
        kind.add(fd)
    for fd in random.Random(1).sample(eventfds, ready):
        os.eventfd_write(fd, 1)
    benchmark.group = f"select: {ready:,} of {WATCHED:,}"
    found = benchmark.pedantic(kind.selector.select, (0,), rounds=30, warmup_rounds=3,
                               iterations=max(300 // ready, 1))
    assert len(found) == ready


@pytest.mark.parametrize("kind", SELECTORS, indirect=True)
def test_register_unregister(benchmark, kind, eventfds):
    """A thousand of 10,000 go and come.  Two system calls a descriptor are the floor."""
    movers = eventfds[:1000]
    for fd in eventfds:
        kind.add(fd)
    add, remove = kind.selector.register, kind.selector.unregister

    def change():
        for fd in movers:
            remove(fd)
        for fd in movers:
            add(fd, selectors.EVENT_READ)

    benchmark.group = f"register, unregister (x {len(movers):,})"
    benchmark.pedantic(change, rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("kind", SELECTORS, indirect=True)
def test_modify_data(benchmark, kind, eventfds):
    """Other data for the same events, as asyncio's add_reader asks: no system call."""
    movers = eventfds[:1000]
    for fd in eventfds:
        kind.add(fd)
    modify = kind.selector.modify

    def change():
        for fd in movers:
            modify(fd, selectors.EVENT_READ, fd)
            modify(fd, selectors.EVENT_READ)

    benchmark.group = f"modify data twice (x {len(movers):,})"
    benchmark.pedantic(change, rounds=20, warmup_rounds=2)


def test_register_modify_unregister(benchmark, kind, eventfds):
    """A thousand more descriptors come, change and go, on a full queue."""
    movers, others = eventfds[:1000], eventfds[1000:]
    for fd in others:
        kind.add(fd)

    def change():
        for fd in movers:
            kind.add(fd)
        for fd in movers:
            kind.modify(fd, True)
        for fd in movers:
            kind.modify(fd, False)
        for fd in movers:
            kind.remove(fd)

    benchmark.group = f"register, modify twice, unregister (x {len(movers):,})"
    benchmark.pedantic(change, rounds=10, warmup_rounds=1)


@pytest.mark.parametrize("active", (1, 100))
def test_events_of_2006(benchmark, kind, active, eventfds):
    """So many tokens wander over 10,000 descriptors for 5,000 steps."""
    for fd in eventfds:
        kind.add(fd)
    rng = random.Random(2006)
    path = [rng.choice(eventfds) for _ in range(5_000)]

    def wander():
        for fd in rng.sample(eventfds, active):
            os.eventfd_write(fd, 1)
        left = len(path)
        while left > 0:
            for fd in kind.harvest(1):
                os.eventfd_read(fd)
                left -= 1
                os.eventfd_write(path[left % len(path)], 1)
        while found := kind.harvest(1):
            for fd in found:
                os.eventfd_read(fd)

    benchmark.group = f"events of 2006: {active} active of {WATCHED:,} (x {len(path):,})"
    benchmark.pedantic(wander, rounds=5, warmup_rounds=1)
