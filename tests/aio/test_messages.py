"""What data_received() is given is the program's: nothing changes it afterwards.

The loop may use the memory of a message again, but only when nobody can look
at it any more.  Each test keeps messages in another way, or none of them, and
compares what it has with what was sent.
"""
import asyncio
import random
import socket
import struct
import sys

import pytest

LARGE = 256 * 1024                         # more than a read brings
SIZES = [1, 479, 480, 481, 1024, 1025, 1087, 1088, 1089, 16383, 16384, 16385,
         100 * 1024, LARGE - 512, LARGE - 1, LARGE]


class Receiver(asyncio.Protocol):
    """Hands each message to take()."""

    def __init__(self, take):
        self.take = take
        self.count = 0
        self.waiter = None

    def data_received(self, data):
        self.count += len(data)
        self.take(data)
        if self.waiter is not None:
            self.waiter()


class Link:
    """A transport with a Receiver; what say() writes has been received when it
    returns."""

    def __init__(self, take, family=socket.AF_UNIX):
        self.receiver = Receiver(take)
        self.family = family

    async def __aenter__(self):
        if self.family == socket.AF_UNIX:
            self.raw, ours = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self.raw = socket.create_connection(listener.getsockname())
                ours, _ = listener.accept()
        self.raw.setblocking(False)
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_connection(lambda: self.receiver, sock=ours)
        return self

    async def __aexit__(self, *error):
        self.transport.abort()
        self.raw.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def say(self, message):
        loop = asyncio.get_running_loop()
        whole = self.receiver.count + len(message)
        received = loop.create_future()
        self.receiver.waiter = lambda: (
            self.receiver.count >= whole and not received.done()
            and received.set_result(None))
        await loop.sock_sendall(self.raw, message)
        await received


def message(size, number):
    """Bytes of a size, other ones for each number."""
    return random.Random(number).randbytes(size)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
async def test_every_size(family):
    """Messages that grow, shrink and stay arrive as they were sent, and nothing
    that was received before is touched."""
    kept, parts = [], []
    rng = random.Random(5)
    sizes = SIZES + SIZES[::-1] + [rng.choice(SIZES) for _ in range(30)]
    async with Link(parts.append, family) as link:
        for number, size in enumerate(sizes):
            parts.clear()
            sent = message(size, number)
            await link.say(sent)
            assert b"".join(parts) == sent
            if number % 3:                 # those in between may be used again
                kept.append((list(parts), sent))
    for pieces, sent in kept:
        assert b"".join(pieces) == sent


@pytest.mark.parametrize("keep", [
    lambda data: data,
    lambda data: (data,),
    lambda data: memoryview(data)[1:],
    lambda data: (lambda: data),
    lambda data: (part for part in [data]),
    lambda data: iter(data),
], ids=["itself", "tuple", "memoryview", "closure", "generator", "iterator"])
@pytest.mark.parametrize("size", [1024, 100 * 1024])
async def test_kept_by_whatever(keep, size):
    """Whoever has a message, or only looks into it, has it for good."""
    kept = []
    async with Link(lambda data: kept.append((keep(data), bytes(bytearray(data))))) as link:
        for number in range(6):
            await link.say(message(size, number))
    for what, copy in kept:
        if isinstance(what, memoryview):
            assert what == copy[1:]
        elif isinstance(what, bytes):
            assert what == copy
        elif callable(what):
            assert what() == copy
        else:
            part = next(what) if not isinstance(what, tuple) else what[0]
            assert part == (copy if isinstance(part, bytes) else copy[0])


@pytest.mark.parametrize("size", [1000, 50_000])
async def test_hash_and_size(size):
    """Each message has its own hash and the size of an ordinary bytes object."""
    seen = []
    def take(data):
        copy = bytes(bytearray(data))
        seen.append((hash(data) == hash(copy), sys.getsizeof(data) == sys.getsizeof(copy)))
    async with Link(take) as link:
        for number in range(5):
            await link.say(message(size - number, number))
    assert set(seen) == {(True, True)}


async def test_ends_with_nul():
    """A shorter message after a longer one ends where it ends (int() looks)."""
    seen = []
    async with Link(lambda data: seen.append(int(data))) as link:
        for size in (900, 899, 898, 890):
            await link.say(b"7" * size)
    assert seen == [int("7" * size) for size in (900, 899, 898, 890)]


async def test_kept_by_a_traceback(contexts):
    """The frame of a data_received() that failed keeps its message."""
    loop = asyncio.get_running_loop()
    def fail(data):
        raise ValueError(data[:4])
    frames = []
    async with Link(fail) as link:
        await loop.sock_sendall(link.raw, message(2048, 1))
        while not contexts:
            await asyncio.sleep(0)
        error = contexts[0]["exception"]
    async with Link(frames.append) as link:
        for number in range(3):
            await link.say(message(2048, number + 2))
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    assert frame.tb_frame.f_locals["data"] == message(2048, 1)
    contexts.clear()


@pytest.mark.parametrize("size", [1024, 40_000])
async def test_written_and_not_yet_sent(size):
    """A message that is written back and waits for the peer is what was
    received, whatever comes after it."""
    messages = [message(size, number) for number in range(200)]
    async with Link(lambda data: link.transport.write(data)) as link:
        loop = asyncio.get_running_loop()
        link.transport.set_write_buffer_limits(high=1 << 30)
        for one in messages:
            await link.say(one)            # nobody reads: the socket is full
        whole = b"".join(messages)
        got = bytearray()
        while len(got) < len(whole):
            got += await loop.sock_recv(link.raw, 1 << 20)
        assert got == whole


async def test_a_callback_has_its_turn_between_reads():
    """What data_received() queues runs before the next data_received(), however
    much there is to read."""
    loop = asyncio.get_running_loop()
    order = []
    def take(data):
        order.append("data")
        loop.call_soon(order.append, "soon")
    async with Link(take) as link:
        await link.say(message(3 * 1024 * 1024, 1))
    await asyncio.sleep(0)
    assert order == ["data", "soon"] * (len(order) // 2)
    assert len(order) >= 2 * 12


async def test_pause_ends_the_reading():
    """After pause_reading() in data_received() not one more message comes."""
    loop = asyncio.get_running_loop()
    sizes = []
    def take(data):
        sizes.append(len(data))
        link.transport.pause_reading()
    async with Link(take, socket.AF_INET) as link:
        sending = loop.create_task(loop.sock_sendall(link.raw, message(2 * 1024 * 1024, 1)))
        while sum(sizes) < 2 * 1024 * 1024:
            before = len(sizes)
            for _ in range(3):
                await asyncio.sleep(0)
            assert len(sizes) <= before + 1
            link.transport.resume_reading()
        await sending


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
@pytest.mark.parametrize("usual", [480, 1024, 20_000])
async def test_larger_than_the_ones_before(usual, family):
    """After many messages of one size one that is larger, by however much,
    comes in one call, too."""
    seen = []
    async with Link(seen.append, family) as link:
        for number, more in enumerate([1, 31, 63, 64, 65, 127, 128, 640, 5000]):
            for _ in range(8):
                await link.say(b"u" * usual)
            seen.clear()
            sent = message(usual + more, number)
            await link.say(sent)
            assert seen == [sent]


@pytest.mark.parametrize("more", range(60, 68))
@pytest.mark.parametrize("end", ["close", "reset", "half"])
async def test_the_end_right_behind_a_larger_message(end, more):
    """The end or the error that follows such a message at once is told."""
    lost = asyncio.get_running_loop().create_future()
    seen = []
    async with Link(seen.append, socket.AF_INET) as link:
        link.receiver.connection_lost = lost.set_result
        for _ in range(8):
            await link.say(b"u" * 1024)
        seen.clear()
        link.raw.send(b"v" * (1024 + more))
        if end == "reset":
            link.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if end == "half":
            link.raw.shutdown(socket.SHUT_WR)
        else:
            link.raw.close()
        error = await lost
        if end == "reset":
            assert isinstance(error, ConnectionResetError)
        else:
            assert error is None and b"".join(seen) == b"v" * (1024 + more)
