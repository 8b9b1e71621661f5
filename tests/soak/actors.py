"""What programs do: each actor is one episode, a coroutine function of the
world and a generator of random numbers that is the episode's own.

An actor cleans up behind itself, also when it is cancelled or interrupted.
"""
import asyncio
import contextlib
import os
import signal
import ssl
import subprocess
import sys
import threading
import time

from .world import Planned, socketpair

ACTORS = {}
LIMIT_S = 30


def actor(weight):
    """Registers an actor; the weight says how often it is chosen."""
    def register(function):
        function.weight = weight
        ACTORS[function.__name__] = function
        return function
    return register


async def whole(coroutine, undo):
    """Awaits what leaves something open in asyncio if it is cancelled half
    way: it is let go on to its end, and then undone."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await undo(await task)
        raise


# ---- callbacks ------------------------------------------------------------

@actor(10)
async def callbacks(world, rng):
    """call_soon, call_later, call_at and the door for threads; some are
    cancelled, some raise, some interrupt those behind them."""
    ledger, loop = world.ledger, world.loop
    for _ in range(rng.randrange(1, 40)):
        what = rng.choice(["call_soon", "call_later", "call_at",
                           "call_soon_threadsafe"])
        token = ledger.promise(what)
        call = getattr(loop, what)
        when = []
        if what == "call_later":
            when = [rng.choice([0, -1, rng.uniform(0, 0.02)])]
        elif what == "call_at":
            when = [loop.time() + rng.uniform(-0.001, 0.02)]
        choice = rng.random()
        if choice < 0.1:
            call(*when, fail, token)
        elif choice < 0.2:
            call(*when, ledger.came, token)
            call(*when, world.maybe_interrupt, rng, f"{what}'s callback", 0.3)
        elif choice < 0.4:
            handle = call(*when, ledger.came, token)
            if rng.random() < 0.5:
                await asyncio.sleep(rng.choice([0, rng.uniform(0, 0.02)]))
            ledger.cancel(token, handle.cancel)
        else:
            call(*when, ledger.came, token)
    await asyncio.sleep(rng.uniform(0, 0.01))


def fail(token):
    raise Planned(token)


@actor(5)
async def sleeps(world, rng):
    """Sleeps of all lengths, never too short."""
    for _ in range(rng.randrange(1, 6)):
        delay = rng.choice([0, 0.0002, 0.001, rng.uniform(0, 0.03)])
        began = time.monotonic()
        await asyncio.sleep(delay)
        if time.monotonic() - began < delay - 1e-6:
            world.wrong.append(f"a sleep of {delay} s was too short")
        world.maybe_interrupt(rng, "a task")


@actor(5)
async def futures(world, rng):
    """Futures with done callbacks, set from callbacks and threads."""
    for _ in range(rng.randrange(1, 10)):
        future = world.loop.create_future()
        token = world.ledger.promise("a done callback")
        future.add_done_callback(
            lambda _, token=token: world.ledger.came(token))
        future.add_done_callback(
            lambda _: world.maybe_interrupt(rng, "a done callback"))
        ending = rng.choice([future.set_result, future.cancel])
        world.loop.call_soon(ending, *[None] * (ending == future.set_result))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([future])


# ---- tasks ----------------------------------------------------------------

@actor(6)
async def tasks(world, rng):
    """Groups, timeouts, shields and cancellations, nested at random."""
    async def tree(depth):
        if depth == 0:
            await asyncio.sleep(rng.choice([0, rng.uniform(0, 0.01), 100]))
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(rng.randrange(1, 4)):
                group.create_task(tree(depth - 1))
            if rng.random() < 0.2:
                raise LookupError

    for _ in range(rng.randrange(1, 5)):
        try:
            async with asyncio.timeout(rng.uniform(0, 0.02)):
                await tree(rng.randrange(4))
        except* (TimeoutError, LookupError):
            pass
    task = asyncio.ensure_future(asyncio.sleep(rng.uniform(0, 0.01), 7))
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 0.005)
    assert await task == 7


@actor(3)
async def generators(world, rng):
    """Asynchronous generators, some of which are abandoned."""
    token = world.ledger.promise("finally of a generator")

    async def numbers():
        try:
            for number in range(5):
                yield number
                await asyncio.sleep(0)
        finally:
            world.ledger.came(token)

    last = rng.randrange(6)
    async for number in numbers():
        if number == last:
            break


# ---- connections ------------------------------------------------------------

def payload(rng):
    """Bytes of a random length, mostly short."""
    return rng.randbytes(rng.choice([1, 100, 5000, 200_000]))


async def echoes(world, rng, reader, writer):
    """Some payloads there and back, and one of the ways to end."""
    try:
        for _ in range(rng.randrange(1, 8)):
            data = payload(rng)
            if rng.random() < 0.3:
                writer.writelines([data[:100], data[100:]])
            else:
                writer.write(data)
            world.maybe_interrupt(rng, "a task that writes")
            async with asyncio.timeout(LIMIT_S):
                got, _ = await asyncio.gather(
                    reader.readexactly(len(data)), writer.drain())
            if got != data:
                world.wrong.append("an echo was not what had been sent")
        ending = rng.random()
        if ending < 0.3:
            writer.transport.abort()
        elif ending < 0.6 and writer.can_write_eof():
            writer.write_eof()
            async with asyncio.timeout(LIMIT_S):
                if await reader.read() != b"":
                    world.wrong.append("more came than had been sent")
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


@actor(8)
async def streams(world, rng):
    """A client of the stream server or of the protocol server."""
    where = rng.choice([world.streams, world.protocols])
    await echoes(world, rng, *await asyncio.open_connection(*where))


@actor(3)
async def unix_streams(world, rng):
    """The same over a Unix socket."""
    await echoes(world, rng, *await asyncio.open_unix_connection(world.unix))


@actor(2)
async def tls(world, rng):
    """The same over TLS."""
    await echoes(world, rng, *await asyncio.open_connection(
        *world.tls, ssl=world.trusting, server_hostname="localhost"))


@actor(3)
async def own_server(world, rng):
    """A server for a moment, with clients that are there when it closes."""
    server = await whole(
        asyncio.start_server(serve_badly, "127.0.0.1", 0), close_server)
    async with server:
        address = server.sockets[0].getsockname()
        writers = []
        try:
            for _ in range(rng.randrange(4)):
                _, writer = await asyncio.open_connection(*address)
                writers.append(writer)
                writer.write(b"hello")
            await asyncio.sleep(rng.uniform(0, 0.005))
        finally:
            for writer in writers:
                writer.close()
    for writer in writers:
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def close_server(server):
    server.close()


async def serve_badly(reader, writer):
    """A handler that goes away without a word."""
    with contextlib.suppress(OSError):
        await reader.read(3)
    writer.transport.abort()


@actor(3)
async def refused(world, rng):
    """Connections to nobody, some of them cancelled in time."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(rng.choice([0, 0.001, 5])):
            await asyncio.open_connection("127.0.0.1", 1)


class Datagrams(asyncio.DatagramProtocol):
    """Puts what comes into a queue."""

    def __init__(self):
        self.queue = asyncio.Queue()

    def datagram_received(self, data, address):
        self.queue.put_nowait(data)


@actor(3)
async def datagrams(world, rng):
    """Datagrams there and back, sent again when one is dropped."""
    transport, protocol = await world.loop.create_datagram_endpoint(
        Datagrams, remote_addr=world.datagrams.get_extra_info("sockname"))
    try:
        for _ in range(rng.randrange(1, 10)):
            data = rng.randbytes(rng.randrange(1, 2000))
            for _ in range(50):
                transport.sendto(data)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        while await protocol.queue.get() != data:
                            pass
                        break
            else:
                world.wrong.append("a datagram was dropped fifty times")
    finally:
        transport.close()


# ---- descriptors -------------------------------------------------------------

def set_soon(loop, future):
    """A result for the future, unless somebody is faster."""
    loop.call_soon(lambda: future.done() or future.set_result(None))


@actor(5)
async def readers(world, rng):
    """add_reader and add_writer on a socket pair, then sock_recv and
    sock_sendall."""
    loop = world.loop
    token = sending = None
    ours, theirs = socketpair()
    try:
        for _ in range(rng.randrange(1, 10)):
            read = loop.create_future()
            token = world.ledger.promise("a reader")

            def ready():
                loop.remove_reader(ours)
                ours.recv(1)
                world.ledger.came(token)
                set_soon(loop, read)
                world.maybe_interrupt(rng, "a reader")

            loop.add_reader(ours, ready)
            written = loop.create_future()

            def writable():
                loop.remove_writer(theirs)
                theirs.send(b"x")
                set_soon(loop, written)
                world.maybe_interrupt(rng, "a writer")

            loop.add_writer(theirs, writable)
            await asyncio.wait([read, written])
        data = payload(rng)
        sending = asyncio.ensure_future(loop.sock_sendall(ours, data))
        got = bytearray()
        while len(got) < len(data):
            got += await loop.sock_recv(theirs, 65536)
        await asyncio.shield(sending)
        if got != data:
            world.wrong.append("sock_recv got something else")
    finally:
        loop.remove_reader(ours)
        loop.remove_writer(theirs)
        world.ledger.excuse(token)     # if we are cancelled
        with ours, theirs:
            if sending is not None:
                sending.cancel()
                await asyncio.wait([sending])


@actor(2)
async def pipes(world, rng):
    """Bytes through a pipe with a transport at each end."""
    rfd, wfd = os.pipe()
    reader = asyncio.StreamReader()
    read, write = os.fdopen(rfd, "rb", 0), os.fdopen(wfd, "wb", 0)
    receiving = sending = None
    try:
        receiving, _ = await world.loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), read)
        sending, _ = await world.loop.connect_write_pipe(
            asyncio.BaseProtocol, write)
        data = payload(rng)
        sending.write(data)
        sending.write_eof()
        if await reader.read() != data:
            world.wrong.append("a pipe gave something else")
    finally:
        # A transport that was made closes its file itself, a turn later.
        (receiving or read).close()
        (sending or write).close()


# ---- processes, signals, threads -----------------------------------------------

@actor(1)
async def processes(world, rng):
    """A child: its output, its status, or its end by a signal."""
    way = rng.randrange(3)
    data, pipes, want = payload(rng), {}, 0
    if way == 0:
        command = ["cat"]
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    elif way == 1:
        want = rng.randrange(200)
        command = ["sh", "-c", f"exit {want}"]
    else:
        command = ["sleep", "1000"]
        want = -signal.SIGKILL
    process = await whole(
        asyncio.create_subprocess_exec(*command, **pipes), end)
    try:
        if way == 0:
            out, _ = await process.communicate(data)
            if out != data:
                world.wrong.append("cat gave something else")
        elif way == 2:
            await asyncio.sleep(rng.uniform(0, 0.005))
            process.kill()
        world.maybe_interrupt(rng, "a task with a child")
        if await process.wait() != want:
            world.wrong.append(f"status {process.returncode} of {want}")
    finally:
        await end(process)


async def end(process):
    """Kills a child that is still there, and closes what leads to it."""
    process._transport.close()
    await process.wait()
    await asyncio.sleep(0)


@actor(3)
async def signals(world, rng):
    """A signal to ourselves: its handler is called afterwards."""
    for _ in range(rng.randrange(1, 4)):
        number = rng.choice([signal.SIGUSR1, signal.SIGUSR2])
        before = world.told[number]
        os.kill(os.getpid(), number)
        ends = time.monotonic() + LIMIT_S
        while world.told[number] == before:
            await asyncio.sleep(0.001)
            if time.monotonic() > ends:
                world.wrong.append(f"{number!r} was lost")
                break


@actor(4)
async def threads(world, rng):
    """Executor and plain threads that call in."""
    ledger, loop = world.ledger, world.loop
    tokens = [ledger.promise("call_soon_threadsafe from a thread")
              for _ in range(rng.randrange(1, 30))]

    def call_in():
        for token in tokens:
            loop.call_soon_threadsafe(ledger.came, token)

    if rng.random() < 0.8:
        await asyncio.shield(loop.run_in_executor(None, call_in))
    else:
        thread = threading.Thread(target=call_in)
        thread.start()
        thread.join()
    if sys.version_info >= (3, 12):
        assert await asyncio.to_thread(threading.get_ident)
