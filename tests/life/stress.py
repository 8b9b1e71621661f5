"""Threads that meet in loops, transports, queues and selectors, right and wrong.

    python -m tests.life.stress [SECONDS [PART]]

Each part runs for so many seconds and then says what must hold: what went in
came out, in order where there is one.  What is misuse (a transport written to
from another thread) may raise and may lose, but not crash.  Made for builds
without the GIL and for ThreadSanitizer; it holds on any.
"""
import asyncio
import gc
import os
import socket
import sys
import threading
import time
import warnings

import kevent
import kevent.streams

THREADS = 4
parts = {}


def part(function):
    parts[function.__name__] = function
    return function


def in_threads(*functions):
    """Runs all at once and to their end; the first exception is raised."""
    raised = []

    def guarded(function):
        try:
            function()
        except BaseException as exc:
            raised.append(exc)
    threads = [threading.Thread(target=guarded, args=(one,)) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def quietly(call, *args):
    """What misuse may raise."""
    try:
        return call(*args)
    except (RuntimeError, OSError, ValueError, KeyError, AttributeError, IndexError):
        return None


@part
def knocking(until):
    """call_soon_threadsafe from several threads: each thread's in its order,
    none lost, none twice, and the loop sleeps in between."""
    loop = kevent.new_event_loop()
    seen = [[] for _ in range(THREADS)]
    sent = [0] * THREADS
    left = THREADS

    def ended():
        nonlocal left
        left -= 1
        if left == 0:
            loop.stop()

    def knock(which):
        while time.monotonic() < until:
            for _ in range(100):
                loop.call_soon_threadsafe(seen[which].append, sent[which])
                sent[which] += 1
            time.sleep(0.0005)
        loop.call_soon_threadsafe(ended)
    in_threads(loop.run_forever, *(lambda which=which: knock(which) for which in range(THREADS)))
    loop.close()
    for which in range(THREADS):
        assert seen[which] == list(range(sent[which])), which


@part
def cancelling(until):
    """Handles and timers that other threads cancel while they run."""
    loop = kevent.new_event_loop()
    handles = []
    ran = []

    def make():
        while time.monotonic() < until:
            handles.append(loop.call_soon_threadsafe(ran.append, 1))
            handles.append(loop.call_later(0.001, ran.append, 1))
            if len(handles) > 200:
                del handles[:100]
        loop.call_soon_threadsafe(loop.stop)

    def cancel():
        while time.monotonic() < until:
            for handle in handles[-50:]:
                handle.cancel()
                handle.cancelled()
                repr(handle)
                handle._args, handle._callback
    in_threads(loop.run_forever, make, cancel, cancel)
    loop.close()


@part
def streaming(until):
    """Loops in threads of their own that talk over sockets: every byte."""
    async def serve(reader, writer):
        while data := await reader.read(10_000):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main(streams):
        server = await streams.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await streams.open_connection(*address)
        line = os.urandom(5000)
        while time.monotonic() < until:
            writer.write(line)
            await writer.drain()
            assert await reader.readexactly(len(line)) == line
        writer.close()
        server.close()
    in_threads(*(lambda streams=streams: kevent.run(main(streams))
                 for streams in (asyncio, kevent.streams) * (THREADS // 2)))


@part
def meddling(until):
    """Threads that use a running loop's transports, readers and queues."""
    loop = kevent.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    pairs = []

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(data)

    async def open_all():
        for _ in range(THREADS):
            left, right = socket.socketpair()
            left.setblocking(False)
            right.setblocking(False)
            transport, _ = await loop.create_connection(Echo, sock=left)
            pairs.append((transport, right))
    loop.run_until_complete(open_all())

    def meddle(which):
        transport, other = pairs[which]
        left, right = socket.socketpair()
        right.send(b"x")
        while time.monotonic() < until:
            quietly(other.send, b"y" * 1000)
            quietly(transport.write, b"x" * 10_000)
            quietly(other.recv, 100_000)
            transport.get_write_buffer_size(), transport.get_extra_info("peername")
            transport.pause_reading()
            transport.resume_reading()
            quietly(loop.add_reader, left, int)
            quietly(loop.remove_reader, left)
            loop.call_soon(int)
            loop.call_later(0.0001, int).cancel()
            loop._ready, loop._scheduled, len(loop._ready), loop.statistics()
            loop._watched()
        left.close()
        right.close()

    def stop():
        time.sleep(max(0, until - time.monotonic()) + 0.1)
        loop.call_soon_threadsafe(loop.stop)
    in_threads(loop.run_forever, stop, *(lambda which=which: meddle(which)
                                         for which in range(THREADS)))
    for transport, other in pairs:
        transport.abort()
        other.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@part
def dropping(until):
    """Transports, loops and queues whose last reference another thread, or the
    collector, lets go of."""
    warnings.simplefilter("ignore")
    shelf = []

    def make():
        while time.monotonic() < until:
            loop = kevent.new_event_loop()
            left, right = socket.socketpair()
            left.setblocking(False)
            transport = loop._make_socket_transport(left, asyncio.Protocol())
            transport.pause_reading()
            cycle = [loop, transport, right, loop.call_soon(int), kevent.KeventSelector()]
            cycle.append(cycle)
            shelf.append(cycle)
            if len(shelf) > 20:
                shelf.pop()

    def drop():
        while time.monotonic() < until:
            try:
                shelf.pop().clear()
            except IndexError:
                time.sleep(0.0001)
            gc.collect()
    in_threads(make, make, drop)
    shelf.clear()
    gc.collect()


@part
def queues(until):
    """One queue, many threads: each event to exactly one of them; and a ring
    that is attached, detached and read while others wait."""
    made = [0]
    fetched = [0] * THREADS
    queue = kevent.Queue()

    def produce():
        while time.monotonic() < until:
            queue.add(made[0], kevent.KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_ONESHOT)
            queue.ready(made[0], kevent.KEVENT_UNOTIFY)
            made[0] += 1

    def fetch(which):
        while time.monotonic() < until + 0.5:
            fetched[which] += len(queue.get_events(0, 10, timeout=1_000_000))
            queue.statistics(), queue.closed, repr(queue)

    def attach():
        with kevent.Queue() as other:
            while time.monotonic() < until:
                quietly(other.ring_init, kevent.Ring(4))
                quietly(other.wait, None, None, 0)
                quietly(other.ring_init, None)
                other.ring
    in_threads(produce, attach, *(lambda which=which: fetch(which) for which in range(THREADS)))
    queue.close()
    assert sum(fetched) == made[0], (sum(fetched), made[0])


@part
def opening(until):
    """Queues opened, closed by object and by number, by whoever is first."""
    numbers = []

    def churn():
        while time.monotonic() < until:
            queue = kevent.Queue(ring_size=2)
            numbers.append(queue.fileno())
            quietly(queue.get_events, 0, 1, 0)
            queue.close()
            fd = kevent.kevent_open()
            quietly(kevent.kevent_get_events, fd, 0, 1, 0)
            quietly(kevent.kevent_close, fd)

    def guess():
        while time.monotonic() < until:
            for number in numbers[-3:]:
                quietly(kevent.kevent_get_events, number, 0, 1, 0)
            time.sleep(0.0001)
    in_threads(churn, churn, guess)


@part
def selecting(until):
    """A selector that some threads select on and others change."""
    selector = kevent.KeventSelector()
    pairs = [socket.socketpair() for _ in range(THREADS)]

    def change(which):
        left, right = pairs[which]
        right.send(b"x")
        while time.monotonic() < until:
            selector.register(left, 1, which)
            selector.modify(left, 3, which)
            assert selector.get_key(left).data == which
            len(selector.get_map()), list(selector.get_map())
            selector.unregister(left)

    def select():
        while time.monotonic() < until:
            for key, mask in selector.select(0.001):
                assert key.data in range(THREADS) and mask in (1, 2, 3)
    in_threads(select, select, *(lambda which=which: change(which) for which in range(THREADS)))
    selector.close()
    for pair in pairs:
        for one in pair:
            one.close()


def main(seconds="1", *names):
    seconds = float(seconds)
    for name in names or parts:
        parts[name](time.monotonic() + seconds)
        print(f"{name}: 1 passed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
