"""From the socket to the reader: directly, unless somebody wants to see it."""
import asyncio
import asyncio.streams
import socket
import sys

import pytest

import kevent
from kevent import streams

STANDARD = asyncio.streams
KINDS = {"standard": STANDARD, "kevent": streams}


@pytest.fixture(params=KINDS)
def module(request):
    """asyncio's streams, or ours."""
    return KINDS[request.param]


async def connect(module, **options):
    """(reader, writer, peer): peer is a blocking socket at the other end."""
    ours, peer = socket.socketpair()
    peer.settimeout(30)
    reader, writer = await module.open_connection(sock=ours, **options)
    return reader, writer, peer


async def close(writer, peer):
    peer.close()
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass


def spy(owner, name, calls):
    """Puts a function before the method; what it was given is in calls."""
    method = getattr(owner, name)

    def replaced(*args):
        calls.append(bytes(args[-1]))
        return method(*args)

    setattr(owner, name, replaced)


@pytest.mark.parametrize("target", ["protocol", "reader"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", ["object", "class"])
def test_a_replaced_method_is_called(run, module, target, where, when, monkeypatch):
    """data_received() and feed_data() may be replaced in one object or in the
    class, before the connection is made or while it is open."""
    async def main():
        calls = []
        cls, name = {"protocol": (module.StreamReaderProtocol, "data_received"),
                     "reader": (module.StreamReader, "feed_data")}[target]

        def replace(subject):
            if where == "class":
                method = getattr(cls, name)

                def replaced(self, data):
                    calls.append(bytes(data))
                    return method(self, data)

                monkeypatch.setattr(cls, name, replaced)
            else:
                spy(subject, name, calls)

        if when == "before" and where == "class":
            replace(None)
        reader, writer, peer = await connect(module)
        if when == "after" or where == "object":
            if when == "after":
                peer.sendall(b"first\n")
                assert await reader.readline() == b"first\n"
                assert not calls
            replace(writer.transport.get_protocol() if target == "protocol" else reader)
        peer.sendall(b"second\n")
        assert await reader.readline() == b"second\n"
        assert calls == [b"second\n"]
        monkeypatch.undo()
        await close(writer, peer)
    run(main())


@pytest.mark.parametrize("name", ["feed_data", "_wakeup_waiter"])
def test_a_subclass_is_called(run, module, name):
    """A reader of a subclass gets its own methods called."""
    async def main():
        calls = []

        def method(self, *args):
            calls.append(args)
            return getattr(super(Reader, self), name)(*args)

        Reader = type("Reader", (module.StreamReader,), {name: method})
        loop = asyncio.get_running_loop()
        reader = Reader(loop=loop)
        protocol = module.StreamReaderProtocol(reader, loop=loop)
        ours, peer = socket.socketpair()
        transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
        peer.sendall(b"line\n")
        assert await reader.readline() == b"line\n"
        if name == "feed_data" or module is STANDARD:
            assert calls == [(b"line\n",) if name == "feed_data" else ()]
        transport.close()
        peer.close()
        await asyncio.sleep(0)
    run(main())


class Closing(asyncio.Transport):
    """A transport that is being closed."""

    def is_closing(self):
        return True


@pytest.mark.parametrize("name", ["read", "readuntil", "readline", "exception"])
def test_a_replaced_read_is_used(name):
    """The methods of a reader that others of its methods, or its writer, call."""
    loop = asyncio.new_event_loop()

    async def main():
        reader = streams.StreamReader(loop=loop)
        reader.feed_data(b"a\n")
        reader.feed_eof()
        calls = []
        method = getattr(reader, name)

        def replaced(*args):
            calls.append(name)
            return method(*args)

        setattr(reader, name, replaced)
        if name == "exception":
            protocol = streams.StreamReaderProtocol(reader, loop=loop)
            writer = streams.StreamWriter(Closing(), protocol, reader, loop)
            await writer.drain()
        else:
            await {"read": streams.StreamReader.read, "readuntil": streams.StreamReader.readline,
                   "readline": streams.StreamReader.__anext__}[name](reader)
        assert calls and set(calls) == {name}

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_no_python_runs_for_data(module):
    """On our loop neither feed_data() nor data_received() is called as long as
    nobody has replaced one."""
    async def main():
        reader, writer, peer = await connect(module)
        called = set()
        sys.setprofile(lambda frame, event, arg: called.add(frame.f_code.co_name)
                       if event == "call" else None)
        try:
            peer.sendall(b"line\n")
            assert await reader.readline() == b"line\n"
        finally:
            sys.setprofile(None)
        assert called.isdisjoint({"feed_data", "data_received", "_wakeup_waiter"})
        await close(writer, peer)
    kevent.run(main())


def test_the_limit_pauses_and_reading_goes_on(run, module):
    """A direct feed stops at the limit and loses nothing."""
    data = bytes(range(256)) * 4096

    async def main():
        reader, writer, peer = await connect(module, limit=1000)
        sending = asyncio.get_running_loop().run_in_executor(None, peer.sendall, data)
        while writer.transport.is_reading():
            await asyncio.sleep(0)
        assert reader._paused and len(reader._buffer) > 2000
        assert await reader.readexactly(len(data)) == data
        await sending
        await close(writer, peer)
    run(main())


@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("size", [16 * 1024, 100 * 1024, 3 << 20])
def test_more_than_was_asked_for_stays(run, module, size, pieces):
    """readexactly() of large messages with other data before and behind, in pieces
    that end anywhere."""
    stream = b"head\n" + bytes(range(251)) * (2 * size // 251 + 1)
    stream = stream[:5 + 2 * size] + b"tail\n"

    async def main():
        reader, writer, peer = await connect(module)

        def send():
            step = len(stream) // pieces + 1
            for at in range(0, len(stream), step):
                peer.sendall(stream[at:at + step])
            peer.shutdown(socket.SHUT_WR)

        sending = asyncio.get_running_loop().run_in_executor(None, send)
        assert await reader.readline() == b"head\n"
        assert await reader.readexactly(size) == stream[5:5 + size]
        assert await reader.readexactly(size) == stream[5 + size:5 + 2 * size]
        assert await reader.readline() == b"tail\n"
        assert await reader.read() == b""
        await sending
        await close(writer, peer)
    run(main())


def test_the_end_comes_before_what_was_asked_for(run, module):
    """What came of a large message is told when the end comes instead of the rest."""
    async def main():
        reader, writer, peer = await connect(module)
        read = asyncio.create_task(reader.readexactly(200_000))
        await asyncio.sleep(0)
        peer.sendall(b"x" * 50_000)
        while not (size := len(reader._buffer)):
            await asyncio.sleep(0)
        assert size <= 50_000 and not read.done()
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(asyncio.IncompleteReadError) as info:
            await read
        assert (info.value.partial, info.value.expected) == (b"x" * 50_000, 200_000)
        await close(writer, peer)
    run(main())


def test_a_large_read_that_is_cancelled_leaves_what_came(run, module):
    """The data of a cancelled readexactly() is there for the next read."""
    async def main():
        reader, writer, peer = await connect(module)
        read = asyncio.create_task(reader.readexactly(500_000))
        await asyncio.sleep(0)
        peer.sendall(b"a" * 30_000)
        while len(reader._buffer) < 30_000:
            await asyncio.sleep(0)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        peer.sendall(b"b\n")
        assert await reader.readline() == b"a" * 30_000 + b"b\n"
        await close(writer, peer)
    run(main())


def test_data_after_the_reader_is_gone(run, module):
    """Nobody holds the reader any more: what comes is dropped in silence."""
    async def main():
        loop = asyncio.get_running_loop()
        reader = module.StreamReader(loop=loop)
        protocol = module.StreamReaderProtocol(reader, loop=loop)
        ours, peer = socket.socketpair()
        transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
        protocol._stream_reader_wr = lambda: None
        ended = loop.create_future()
        protocol.eof_received = lambda: ended.set_result(None)
        peer.sendall(b"nobody")
        peer.close()
        await ended
        await protocol._closed
    run(main())
