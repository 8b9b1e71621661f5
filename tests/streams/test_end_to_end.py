"""kevent.streams over real sockets, on both loops."""
import asyncio
import contextlib
import socket
import ssl
import struct
from pathlib import Path

import pytest

from kevent import streams

CERTIFICATE = Path(__file__).parents[1] / "aio" / "localhost.pem"
LIMIT = 1000  # bytes


@pytest.fixture(params=["tcp", "unix"])
def connect(request, tmp_path):
    """async with connect(handler, **limits): (reader, writer) of a new client."""
    @contextlib.asynccontextmanager
    async def call(handler, limit=streams.DEFAULT_LIMIT):
        if request.param == "tcp":
            server = await streams.start_server(handler, "127.0.0.1", 0, limit=limit)
            address = server.sockets[0].getsockname()
            pair = await streams.open_connection(*address, limit=limit)
        else:
            path = str(tmp_path / "socket")
            server = await streams.start_unix_server(handler, path, limit=limit)
            pair = await streams.open_unix_connection(path, limit=limit)
        try:
            yield pair
        finally:
            pair[1].close()
            with contextlib.suppress(ConnectionError):
                await pair[1].wait_closed()
            server.close()
            await server.wait_closed()
    return call


def handler(work):
    """A client_connected_cb that runs work(reader, writer) and closes."""
    async def call(reader, writer):
        try:
            await work(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
    return call


async def echo(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


def test_lines_one_by_one(run, connect):
    """A line goes to the server and comes back, again and again."""
    async def main():
        async with connect(handler(echo)) as (reader, writer):
            assert type(reader) is streams.StreamReader
            assert type(writer) is streams.StreamWriter
            for number in range(100):
                line = b"line %d\n" % number
                writer.write(line)
                await writer.drain()
                assert await reader.readline() == line
    run(main())


def test_many_lines_at_once(run, connect):
    """10,000 pipelined lines come in order, and then the end."""
    lines = [b"%d\n" % (number ** 3) for number in range(10_000)]

    async def main():
        async with connect(handler(echo)) as (reader, writer):
            async def send():
                writer.writelines(lines)
                await writer.drain()
                writer.write_eof()
            task = asyncio.create_task(send())
            assert [line async for line in reader] == lines
            assert reader.at_eof() and await reader.read() == b""
            await task
    run(main())


@pytest.mark.parametrize("size", [1, 4095, 100 * 1024, 3 << 20])
def test_large_messages(run, connect, size):
    """Messages far over the limit come whole by readexactly()."""
    message = bytes(range(251)) * (size // 251 + 1)
    message = message[:size]

    async def main():
        async with connect(handler(echo)) as (reader, writer):
            for _ in range(3):
                task = asyncio.create_task(reader.readexactly(size))
                writer.write(message)
                await writer.drain()
                assert await task == message
    run(main())


def test_all_until_the_end(run, connect):
    """read() waits for the end and returns everything."""
    data = b"0123456789" * 100_000

    async def send(reader, writer):
        writer.write(data)
        await writer.drain()

    async def main():
        async with connect(handler(send)) as (reader, writer):
            assert await reader.read() == data
            with pytest.raises(asyncio.IncompleteReadError) as info:
                await reader.readexactly(1)
            assert (info.value.partial, info.value.expected) == (b"", 1)
    run(main())


def test_reader_at_its_limit_pauses_the_transport(run, connect):
    """Nobody reads: the reader takes a little over 2 * limit, no more, and
    reading goes on where it stopped."""
    data = b"x" * (4 << 20)

    async def send(reader, writer):
        writer.write(data)
        await writer.drain()

    async def main():
        async with connect(handler(send), limit=LIMIT) as (reader, writer):
            while writer.transport.is_reading():
                await asyncio.sleep(0)
            assert 2 * LIMIT < len(reader._buffer) <= 2 * LIMIT + 256 * 1024
            assert await reader.readexactly(len(data)) == data
            assert await reader.read() == b""
    run(main())


def test_stalled_writer_waits_at_the_watermark(run, connect):
    """The peer does not read: drain() waits, and goes on once it does."""
    go_on = asyncio.Event()
    block = b"y" * 65536
    blocks = 200

    async def read_late(reader, writer):
        await go_on.wait()
        writer.write(b"%d\n" % len(await reader.readexactly(blocks * len(block))))

    async def main():
        async with connect(handler(read_late)) as (reader, writer):
            most = 0

            async def send():
                nonlocal most
                for _ in range(blocks):
                    writer.write(block)
                    most = max(most, writer.transport.get_write_buffer_size())
                    await writer.drain()

            task = asyncio.create_task(send())
            while not writer._protocol._paused:
                await asyncio.sleep(0)
            assert not task.done()
            go_on.set()
            await task
            assert most <= writer.transport.get_write_buffer_limits()[1] + len(block)
            assert await reader.readline() == b"%d\n" % (blocks * len(block))
    run(main())


def test_cancelled_read_loses_nothing(run, connect):
    """A read that is cancelled while it waits leaves all to the next one."""
    async def main():
        async with connect(handler(echo)) as (reader, writer):
            for _ in range(3):
                task = asyncio.create_task(reader.readuntil(b"\r\n"))
                await asyncio.sleep(0)
                writer.write(b"begin")
                while not reader._buffer:
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                writer.write(b" end\r\n")
                assert await reader.readuntil(b"\r\n") == b"begin end\r\n"
    run(main())


def test_timeout_of_a_read(run, connect):
    """asyncio.timeout() and wait_for() work on what read() returns."""
    async def main():
        async with connect(handler(echo)) as (reader, writer):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.001)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await reader.readline()
            writer.write(b"z")
            assert await asyncio.wait_for(reader.read(1), 10) == b"z"
    run(main())


def test_reset_is_told(run):
    """The peer resets: the read raises it, and so does drain()."""
    async def main():
        listener = socket.create_server(("127.0.0.1", 0))
        reader, writer = await streams.open_connection(*listener.getsockname())
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        listener.close()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()
    run(main())


def test_tls_from_the_start_and_later(run):
    """TLS at once, and start_tls() on a connection that spoke before."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(CERTIFICATE)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE

    async def upgrade(reader, writer):
        assert await reader.readline() == b"plain\n"
        writer.write(b"go\n")
        await writer.start_tls(server_context)
        await echo(reader, writer)

    async def main():
        server = await streams.start_server(handler(upgrade), "127.0.0.1", 0)
        reader, writer = await streams.open_connection(*server.sockets[0].getsockname())
        writer.write(b"plain\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(client_context)
        assert writer.get_extra_info("cipher") is not None
        writer.write(b"secret\n" * 5000)
        assert await reader.readexactly(35_000) == b"secret\n" * 5000
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

        server = await streams.start_server(
            handler(echo), "127.0.0.1", 0, ssl=server_context)
        reader, writer = await streams.open_connection(
            *server.sockets[0].getsockname(), ssl=client_context)
        writer.write(b"secret\n")
        assert await reader.readline() == b"secret\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
    run(main())


def test_a_plain_function_is_called_for_a_client(run):
    """client_connected_cb need not be a coroutine function."""
    async def main():
        loop = asyncio.get_running_loop()
        came = loop.create_future()
        server = await streams.start_server(
            lambda reader, writer: came.set_result((reader, writer)), "127.0.0.1", 0)
        _, writer = await streams.open_connection(*server.sockets[0].getsockname())
        peer_reader, peer_writer = await came
        writer.write(b"!")
        assert await peer_reader.read(9) == b"!"
        for each in (writer, peer_writer):
            each.close()
            await each.wait_closed()
        server.close()
        await server.wait_closed()
    run(main())
