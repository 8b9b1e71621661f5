"""What comes first: the birth of a connection, what it queues, its first data."""
import asyncio
import os
import socket


class Logger(asyncio.Protocol):
    """Writes down its calls and what connection_made() has queued."""

    def __init__(self, log):
        self.log = log

    def connection_made(self, transport):
        self.log.append("made")
        loop = asyncio.get_running_loop()
        loop.call_soon(self.log.append, "queued")
        self.task = loop.create_task(self.run())

    async def run(self):
        self.log.append("task")

    def data_received(self, data):
        self.log.append("data")

    def eof_received(self):
        self.log.append("eof")

    def connection_lost(self, exc):
        self.log.append("lost")


async def until(log, word):
    """Passes of the loop until the word is in the log."""
    while word not in log:
        await asyncio.sleep(0)


async def test_data_that_wait_come_after_whoever_awaits_the_connection():
    """The program may set up its protocol when create_connection() returns."""
    log = []
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.send(b"x")
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: Logger(log), sock=ours)
        log.append("awaited")
        await until(log, "data")
        transport.close()
        await until(log, "lost")
    assert log == ["made", "queued", "task", "awaited", "data", "lost"]


async def test_an_end_that_waits_comes_after_whoever_awaits_the_connection():
    """The peer wrote and went before there was a transport."""
    log = []
    ours, theirs = socket.socketpair()
    theirs.send(b"x")
    theirs.close()
    await asyncio.get_running_loop().create_connection(lambda: Logger(log), sock=ours)
    log.append("awaited")
    await until(log, "lost")
    assert log == ["made", "queued", "task", "awaited", "data", "eof", "lost"]


async def test_data_that_wait_come_after_what_an_accepted_connection_queues():
    """A server's connection, whose data were there before it was accepted."""
    log = []
    server = await asyncio.get_running_loop().create_server(
        lambda: Logger(log), "127.0.0.1", 0)
    async with server:
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.send(b"x")
            await until(log, "data")
        await until(log, "lost")
    assert log == ["made", "queued", "task", "data", "eof", "lost"]


async def test_data_that_wait_come_after_whoever_awaits_the_pipe():
    """The same for connect_read_pipe()."""
    log = []
    near, far = os.pipe()
    os.write(far, b"x")
    with open(near, "rb", buffering=0) as pipe:
        await asyncio.get_running_loop().connect_read_pipe(lambda: Logger(log), pipe)
        log.append("awaited")
        await until(log, "data")
        os.close(far)
        await until(log, "lost")
    assert log == ["made", "queued", "task", "awaited", "data", "eof", "lost"]


async def test_the_end_comes_a_pass_after_the_data():
    """What data_received() leads to has its turn before eof_received()."""
    log = []

    class Counting(Logger):
        passes = 0

        def tick(self):
            self.passes += 1
            self.ticking = asyncio.get_running_loop().call_soon(self.tick)

        def data_received(self, data):
            log.append(("data", self.passes))

        def eof_received(self):
            log.append(("eof", self.passes))
            self.ticking.cancel()

    for size in (1, 300_000):
        log.clear()
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with theirs:
            theirs.sendall(bytes(size))
        _, protocol = await asyncio.get_running_loop().create_connection(
            lambda: Counting([]), sock=ours)
        protocol.tick()
        while log[-1:] == [] or log[-1][0] != "eof":
            await asyncio.sleep(0)
        assert log[-1][1] > log[-2][1], log
