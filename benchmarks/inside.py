"""What happens inside a process: handles, timers, tasks, threads, descriptors, life.

Each workload is a function of (Bench, count) that does `count` operations on a
loop and returns the nanoseconds they took.  The pytest suites beside this file
call them, and so does `python -m benchmarks`, in a process of its own for each
loop:

    python -m benchmarks.inside --loop uvloop:new_event_loop call_soon_chain
"""
from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .servers.common import resolve

clock = time.perf_counter_ns


@dataclass
class Bench:
    """A loop under test and where it came from."""

    loop: asyncio.AbstractEventLoop
    factory: Callable[[], asyncio.AbstractEventLoop]

    def timed(self, coroutine) -> int:
        """Nanoseconds of loop.run_until_complete."""
        begin = clock()
        self.loop.run_until_complete(coroutine)
        return clock() - begin

    def until_stopped(self, first: Callable[[], object]) -> int:
        """Nanoseconds of loop.run_forever, which begins with first()."""
        self.loop.call_soon(first)
        begin = clock()
        self.loop.run_forever()
        return clock() - begin


@dataclass(frozen=True)
class Workload:
    """One way to use a loop."""

    name: str
    group: str
    title: str
    count: int
    run: Callable[[Bench, int], int]


WORKLOADS: dict[str, Workload] = {}


def workload(group: str, title: str, count: int, name: str | None = None):
    """Register a function under its own name; `count` is an ordinary number of operations."""
    def register(function):
        key = name or function.__name__
        WORKLOADS[key] = Workload(key, group, title, count, function)
        return function
    return register


# ---- handles ----------------------------------------------------------------

@workload("handles", "call_soon, each from the one before", 50_000)
def call_soon_chain(bench: Bench, count: int) -> int:
    """One callback an iteration, and an iteration for each."""
    loop, left = bench.loop, count

    def step():
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(step)
        else:
            loop.stop()

    return bench.until_stopped(step)


@workload("handles", "call_soon, all at once", 100_000)
def call_soon_fanout(bench: Bench, count: int) -> int:
    """Every callback in one iteration; queuing them is counted."""
    loop = bench.loop

    def nothing(_):
        pass

    def first():
        for number in range(count):
            loop.call_soon(nothing, number)
        loop.call_soon(loop.stop)

    return bench.until_stopped(first)


# ---- timers -----------------------------------------------------------------

def _nothing() -> None:
    pass


@workload("timers", "call_later and cancel", 20_000)
def timer_create_cancel(bench: Bench, count: int) -> int:
    """A timeout that does not happen, a hundred between two iterations."""
    async def main():
        call_later = bench.loop.call_later
        for done in range(count):
            call_later(60.0, _nothing).cancel()
            if done % 100 == 0:
                await asyncio.sleep(0)

    return bench.timed(main())


@workload("timers", "call_later and fire", 10_000)
def timers_fire(bench: Bench, count: int) -> int:
    """Deadlines of ten milliseconds, in random order; waiting for them is not counted.

    None is so near that a loop with timers of whole milliseconds makes no timer of it.
    """
    loop, left = bench.loop, count
    rng = random.Random(7)
    delays = [0.001 + rng.random() * 0.01 for _ in range(count)]
    spent = begin = 0

    def fired():
        nonlocal left, spent
        left -= 1
        if not left:
            spent += clock() - begin
            loop.stop()

    def start():
        nonlocal begin, spent
        created = clock()
        for delay in delays:
            loop.call_later(delay, fired)
        spent = clock() - created
        time.sleep(0.013)
        begin = clock()

    bench.until_stopped(start)
    return spent


@workload("timers", "call_later and cancel, a million in a row", 1_000_000,
          "timer_cancel_1000000")
def timer_cancel_in_a_row(bench: Bench, count: int) -> int:
    """Timeouts that do not happen, within one callback."""
    loop = bench.loop

    def first():
        call_later = loop.call_later
        for _ in range(count):
            call_later(60.0, _nothing).cancel()
        loop.stop()

    return bench.until_stopped(first)


@workload("timers", "a million timers: made, pending, cancelled", 1_000_000,
          "timers_pending_1000000")
def timers_pending(bench: Bench, count: int) -> int:
    """All at once; every one is made, outlasts an iteration, and is cancelled."""
    loop, rng = bench.loop, random.Random(11)
    delays = [600.0 + 600.0 * rng.random() for _ in range(count)]

    async def main():
        timers = [loop.call_later(delay, _nothing) for delay in delays]
        await asyncio.sleep(0)
        for timer in timers:
            timer.cancel()
        await asyncio.sleep(0)

    return bench.timed(main())


def _among(pending: int):
    """A workload: timers that come and go while `pending` others wait."""
    def run(bench: Bench, count: int) -> int:
        loop, rng = bench.loop, random.Random(11)
        spent = 0

        async def main():
            nonlocal spent
            others = [loop.call_later(600.0 + 600.0 * rng.random(), _nothing)
                      for _ in range(pending)]
            delays = [600.0 + 600.0 * rng.random() for _ in range(count)]
            await asyncio.sleep(0)
            begin = clock()
            for start in range(0, count, 100):
                made = [loop.call_later(delay, _nothing)
                        for delay in delays[start:start + 100]]
                await asyncio.sleep(0)
                for timer in made:
                    timer.cancel()
            await asyncio.sleep(0)
            spent = clock() - begin
            for timer in reversed(others):
                timer.cancel()
            await asyncio.sleep(0)

        bench.loop.run_until_complete(main())
        return spent
    run.__doc__ = f"call_later and cancel while {pending:,} others are pending."
    return run


PENDING = (1_000, 10_000, 100_000, 1_000_000)
for _pending in PENDING:
    workload("timers", f"call_later and cancel among {_pending:,}", 5_000,
             f"timers_among_{_pending}")(_among(_pending))


# ---- tasks ------------------------------------------------------------------

@workload("tasks", "await sleep(0)", 30_000)
def sleep0(bench: Bench, count: int) -> int:
    """A task that gives way."""
    async def main():
        for _ in range(count):
            await asyncio.sleep(0)

    return bench.timed(main())


@workload("tasks", "create_task and await it", 10_000)
def create_task(bench: Bench, count: int) -> int:
    """A task that does nothing, one after the other."""
    async def nothing():
        pass

    async def main():
        for _ in range(count):
            await bench.loop.create_task(nothing())

    return bench.timed(main())


@workload("tasks", "two tasks and a future, to and fro", 10_000)
def future_pingpong(bench: Bench, count: int) -> int:
    """One awaits a future, the other sets it and gives way."""
    loop = bench.loop

    async def main():
        waiting = loop.create_future()

        async def setter():
            for _ in range(count):
                waiting.set_result(None)
                await asyncio.sleep(0)

        task = loop.create_task(setter())
        for _ in range(count):
            await waiting
            waiting = loop.create_future()
        await task

    return bench.timed(main())


@workload("tasks", "gather of 100 tasks, a task", 10_000)
def gather(bench: Bench, count: int) -> int:
    """asyncio.gather over tasks that give way once."""
    async def main():
        for _ in range(count // 100):
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(100)))

    return bench.timed(main())


# ---- threads ----------------------------------------------------------------

@workload("threads", "call_soon_threadsafe, a flood", 20_000)
def threadsafe_flood(bench: Bench, count: int) -> int:
    """One thread calls, the loop is never asleep for long."""
    loop, left = bench.loop, count

    def step():
        nonlocal left
        left -= 1
        if not left:
            loop.stop()

    def flood():
        for _ in range(count):
            loop.call_soon_threadsafe(step)

    thread = threading.Thread(target=flood)
    spent = bench.until_stopped(thread.start)
    thread.join()
    return spent


@workload("threads", "wake a sleeping loop from a thread, and back", 2_000)
def thread_wakeup(bench: Bench, count: int) -> int:
    """A lock wakes the thread, call_soon_threadsafe wakes the loop."""
    loop, left = bench.loop, count
    knock = threading.Semaphore(0)

    def step():
        nonlocal left
        left -= 1
        if left:
            knock.release()
        else:
            loop.stop()

    def thread_main():
        for _ in range(count):
            knock.acquire()
            loop.call_soon_threadsafe(step)

    thread = threading.Thread(target=thread_main)

    def first():
        thread.start()
        knock.release()

    spent = bench.until_stopped(first)
    thread.join()
    return spent


@workload("threads", "run_in_executor", 1_000)
def executor(bench: Bench, count: int) -> int:
    """A function that does nothing, on the default executor, one by one."""
    async def main():
        for _ in range(count):
            await bench.loop.run_in_executor(None, _nothing)

    return bench.timed(main())


# ---- descriptors ------------------------------------------------------------

@workload("descriptors", "add_reader and remove_reader", 10_000)
def add_remove_reader(bench: Bench, count: int) -> int:
    """On one socket that is never ready."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = ours.fileno()

        async def main():
            add, remove = bench.loop.add_reader, bench.loop.remove_reader
            for done in range(count):
                add(fd, _nothing)
                remove(fd)
                if done % 100 == 0:
                    await asyncio.sleep(0)

        return bench.timed(main())


@workload("descriptors", "a reader's event", 10_000)
def reader_event(bench: Bench, count: int) -> int:
    """A byte through a socketpair: send, wait, callback, recv."""
    loop, left = bench.loop, count
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)

        def readable():
            nonlocal left
            ours.recv(1)
            left -= 1
            if left:
                theirs.send(b"x")
            else:
                loop.remove_reader(ours.fileno())
                loop.stop()

        def first():
            loop.add_reader(ours.fileno(), readable)
            theirs.send(b"x")

        return bench.until_stopped(first)


@workload("descriptors", "sock_sendall and sock_recv, to and fro", 3_000)
def sock_pingpong(bench: Bench, count: int) -> int:
    """Two tasks, a socketpair, 64 bytes there and back."""
    loop = bench.loop
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        message = bytes(64)

        async def answer():
            for _ in range(count):
                await loop.sock_sendall(theirs, await loop.sock_recv(theirs, 64))

        async def main():
            task = loop.create_task(answer())
            for _ in range(count):
                await loop.sock_sendall(ours, message)
                await loop.sock_recv(ours, 64)
            await task

        return bench.timed(main())


@workload("descriptors", "StreamReader and StreamWriter, to and fro", 3_000)
def streams_pingpong(bench: Bench, count: int) -> int:
    """Two pairs of streams over a socketpair, 64 bytes there and back."""
    async def main():
        ours, theirs = socket.socketpair()
        near, near_out = await asyncio.open_connection(sock=ours)
        far, far_out = await asyncio.open_connection(sock=theirs)
        message = bytes(64)

        async def answer():
            for _ in range(count):
                far_out.write(await far.readexactly(64))

        task = asyncio.ensure_future(answer())
        for _ in range(count):
            near_out.write(message)
            await near.readexactly(64)
        await task
        for writer in (near_out, far_out):
            writer.close()
        await asyncio.sleep(0.001)

    return bench.timed(main())


@workload("descriptors", "a message through a pipe's transports", 3_000)
def pipe_message(bench: Bench, count: int) -> int:
    """64 bytes by a write pipe transport to a read pipe transport, one after the other."""
    loop, left = bench.loop, count
    ends = []
    message = bytes(64)

    class Reading(asyncio.Protocol):
        def data_received(self, data):
            nonlocal left
            left -= 1
            if left:
                ends[1].write(message)
            else:
                loop.stop()

    async def connect():
        out, into = os.pipe()
        for make, protocol, fd, mode in (
                (loop.connect_read_pipe, Reading, out, "rb"),
                (loop.connect_write_pipe, asyncio.Protocol, into, "wb")):
            ends.append((await make(protocol, open(fd, mode, 0)))[0])

    loop.run_until_complete(connect())
    took = bench.until_stopped(lambda: ends[1].write(message))
    for end in ends:
        end.close()
    loop.run_until_complete(asyncio.sleep(0.001))
    return took


# ---- life -------------------------------------------------------------------

@workload("life", "run_until_complete of nothing", 2_000)
def run_nothing(bench: Bench, count: int) -> int:
    """A loop that is started and stopped."""
    async def nothing():
        pass

    run = bench.loop.run_until_complete
    begin = clock()
    for _ in range(count):
        run(nothing())
    return clock() - begin


@workload("life", "a new loop, closed", 200)
def new_loop_close(bench: Bench, count: int) -> int:
    """Factory and close(), nothing between."""
    begin = clock()
    for _ in range(count):
        bench.factory().close()
    return clock() - begin


@workload("life", "a subprocess, from spawn to exit", 30)
def subprocess_spawn(bench: Bench, count: int) -> int:
    """create_subprocess_exec of a program that ends at once, and wait()."""
    async def main():
        for _ in range(count):
            process = await asyncio.create_subprocess_exec("/bin/true")
            await process.wait()

    # Children of loops before Python 3.12 need the main loop to be current.
    asyncio.set_event_loop(bench.loop)
    try:
        return bench.timed(main())
    finally:
        asyncio.set_event_loop(None)


# ---- as a program -----------------------------------------------------------

def measure(name: str, factory: Callable[[], asyncio.AbstractEventLoop], repeats: int,
            scale: float) -> dict:
    """Nanoseconds an operation: the best of the repeats, and all of them.

    Noise only ever adds, so that the best is what the work itself needs.
    """
    one = WORKLOADS[name]
    count = max(int(one.count * scale), 100 if one.count >= 1000 else 5)
    loop = factory()
    try:
        bench = Bench(loop, factory)
        if one.name.endswith("1000000"):
            # A million takes seconds, and warms up as well.
            repeats = 1
        else:
            one.run(bench, max(count // 10, 2) if one.name != "gather" else 100)
        every = [one.run(bench, count) / count for _ in range(repeats)]
    finally:
        loop.close()
    return {"name": name, "ns": min(every), "every": every, "count": count}


def main() -> None:
    """Measure what is named and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD",
                        help=f"of {', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--loop", default="asyncio:SelectorEventLoop",
                        metavar="MODULE:FACTORY")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of operations")
    parser.add_argument("--exactly", type=int, metavar="N",
                        help="run N operations once, print nothing (for callgrind)")
    options = parser.parse_args()
    factory = resolve(options.loop)
    for name in options.workloads or WORKLOADS:
        if options.exactly:
            loop = factory()
            WORKLOADS[name].run(Bench(loop, factory), options.exactly)
            loop.close()
            continue
        try:
            answer = measure(name, factory, options.repeats, options.scale)
        except Exception as error:
            answer = {"name": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
