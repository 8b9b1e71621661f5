"""Writes of one callback are sent together, and nothing else changes by it.

A transport whose callbacks write more than once holds their writes until they
return.  Each test first makes the transport learn that, then looks.
"""
import asyncio
import socket
import struct

import pytest


class Plain(asyncio.Protocol):
    """A protocol whose methods a test may replace."""


class Pair:
    """A transport on one end of a connection; the other is a plain socket."""

    async def __aenter__(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.raw = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        listener.close()
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw.settimeout(10)
        loop = asyncio.get_running_loop()
        self.transport, self.protocol = await loop.create_connection(
            Plain, sock=ours)
        await self.in_callback(lambda: [self.transport.write(b"a") for _ in range(3)])
        self.received = self.exactly(3)
        return self

    async def __aexit__(self, *error):
        self.transport.abort()
        self.raw.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def in_callback(self, function):
        """Run function() in a callback of its own; its result."""
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: done.set_result(function()))
        return await done

    def exactly(self, size):
        """The next size bytes at the other end."""
        data = b""
        while len(data) < size:
            part = self.raw.recv(size - len(data))
            if not part:
                break
            data += part
        return data


def segments(transport):
    """How many segments with data a TCP transport has sent (tcpi_data_segs_out)."""
    info = transport.get_extra_info("socket").getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    return struct.unpack_from("=I", info, 156)[0]


async def test_two_writes_leave_in_one_segment(loop_name):
    """Head and body of a response, again and again, are one segment each time;
    on asyncio's loop two."""
    async with Pair() as pair:
        def body():
            pair.transport.write(b"head")
            pair.transport.write(b"body")
        await pair.in_callback(body)
        before = segments(pair.transport)
        for _ in range(10):
            await pair.in_callback(body)
        assert segments(pair.transport) - before == (10 if loop_name == "kevent" else 20)
        assert pair.exactly(88) == b"headbody" * 11


async def test_learning_takes_one_callback(loop_name):
    """A transport that wrote once at a time until now sends together from the
    second callback on that writes twice."""
    async with Pair() as pair:
        for _ in range(3):
            await pair.in_callback(lambda: pair.transport.write(b"once"))
        def body():
            pair.transport.write(b"head")
            pair.transport.write(b"body")
        await pair.in_callback(body)
        before = segments(pair.transport)
        await pair.in_callback(body)
        assert segments(pair.transport) - before == (1 if loop_name == "kevent" else 2)
        assert pair.exactly(28) == b"once" * 3 + b"headbody" * 2


async def test_order_and_whole():
    """What several writes of a callback say arrives whole and in order."""
    async with Pair() as pair:
        parts = [b"%d;" % i for i in range(500)]
        await pair.in_callback(lambda: [pair.transport.write(p) for p in parts])
        assert pair.exactly(sum(map(len, parts))) == b"".join(parts)


async def test_size_of_buffer_is_exact():
    """get_write_buffer_size() is 0 when the socket took everything."""
    async with Pair() as pair:
        def body():
            pair.transport.write(b"one")
            pair.transport.write(b"two")
            return pair.transport.get_write_buffer_size()
        assert await pair.in_callback(body) == 0
        assert pair.exactly(6) == b"onetwo"


@pytest.mark.parametrize("end", ["close", "abort", "write_eof"])
async def test_end_loses_nothing(end):
    """close(), abort() and write_eof() come after what was written before."""
    async with Pair() as pair:
        def body():
            pair.transport.write(b"one")
            pair.transport.write(b"two")
            getattr(pair.transport, end)()
        await pair.in_callback(body)
        assert pair.exactly(6) == b"onetwo"


async def test_mutation_is_not_seen():
    """A bytearray that changes after write() was sent as it was."""
    async with Pair() as pair:
        def body():
            data = bytearray(b"before")
            pair.transport.write(b"x")
            pair.transport.write(data)
            data[:] = b"after!"
        await pair.in_callback(body)
        assert pair.exactly(7) == b"xbefore"


async def test_low_limit_pauses_at_once():
    """With a high-water mark of 0 nothing is held that would not pause."""
    async with Pair() as pair:
        calls = []
        pair.protocol.pause_writing = lambda: calls.append("pause")
        pair.protocol.resume_writing = lambda: calls.append("resume")
        pair.transport.set_write_buffer_limits(high=0)
        def body():
            for _ in range(5):
                pair.transport.write(b"x" * 10)
            return list(calls)
        assert await pair.in_callback(body) == []
        assert pair.exactly(50) == b"x" * 50


async def test_the_socket_comes_after_the_writes():
    """Who takes the socket finds the earlier writes sent."""
    async with Pair() as pair:
        def body():
            pair.transport.write(b"one")
            pair.transport.write(b"two")
            sock = pair.transport.get_extra_info("socket")
            return sock.fileno()
        fd = await pair.in_callback(body)
        assert fd >= 0
        assert pair.exactly(6) == b"onetwo"


async def test_exception_after_writes():
    """A callback that writes and raises has written."""
    async with Pair() as pair:
        loop = asyncio.get_running_loop()
        seen = []
        loop.set_exception_handler(lambda loop, context: seen.append(context))
        def body():
            pair.transport.write(b"one")
            pair.transport.write(b"two")
            raise ValueError
        loop.call_soon(body)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert pair.exactly(6) == b"onetwo"
        assert len(seen) == 1
