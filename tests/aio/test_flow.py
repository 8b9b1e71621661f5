"""Flow control: watermarks, paused reading, and big transfers."""
import asyncio
import hashlib
import socket

import pytest

from .helpers import BufferedRecorder, Recorder, connected, on_socket, turns

MIB = 1 << 20


async def fill(protocol):
    """Writes until the transport has told the protocol to pause."""
    while "pause" not in protocol.calls:
        protocol.transport.write(bytes(65536))


async def test_limits():
    """The default limits, and how one follows from the other."""
    async with connected() as (ours, _):
        transport = ours.transport
        assert transport.get_write_buffer_limits() == (16384, 65536)
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        transport.set_write_buffer_limits(low=1000)
        assert transport.get_write_buffer_limits() == (1000, 4000)
        transport.set_write_buffer_limits(high=9, low=8)
        assert transport.get_write_buffer_limits() == (8, 9)
        transport.set_write_buffer_limits(high=0)
        assert transport.get_write_buffer_limits() == (0, 0)
        transport.set_write_buffer_limits()
        assert transport.get_write_buffer_limits() == (16384, 65536)


@pytest.mark.parametrize("limits", [{"high": 1, "low": 2}, {"high": -1},
                                    {"low": -1, "high": 5}])
async def test_wrong_limits(limits):
    """Limits that make no sense raise ValueError and change nothing."""
    async with connected() as (ours, _):
        before = ours.transport.get_write_buffer_limits()
        with pytest.raises(ValueError):
            ours.transport.set_write_buffer_limits(**limits)
        assert ours.transport.get_write_buffer_limits() == before


async def test_pause_and_resume():
    """pause_writing above the high mark, resume_writing at the low one."""
    async with on_socket() as (ours, raw):
        raw.setblocking(False)
        await fill(ours)
        assert ours.transport.get_write_buffer_size() > 65536
        assert ours.calls == ["made", "pause"]
        loop = asyncio.get_running_loop()
        while "resume" not in ours.calls:
            await loop.sock_recv(raw, MIB)
        assert ours.transport.get_write_buffer_size() <= 16384
        assert ours.calls == ["made", "pause", "resume"]


async def test_pause_is_told_once():
    """Further writes above the mark tell nothing again."""
    async with on_socket() as (ours, raw):
        await fill(ours)
        for _ in range(5):
            ours.transport.write(bytes(65536))
        assert ours.calls == ["made", "pause"]


async def test_zero_high_mark():
    """With a high mark of zero any buffered byte pauses; empty resumes."""
    async with on_socket() as (ours, raw):
        raw.setblocking(False)
        ours.transport.set_write_buffer_limits(high=0)
        ours.transport.write(b"x")
        assert ours.calls == ["made"]
        await fill(ours)
        loop = asyncio.get_running_loop()
        while "resume" not in ours.calls:
            await loop.sock_recv(raw, MIB)
        assert ours.transport.get_write_buffer_size() == 0


async def test_new_limits_take_effect():
    """Limits that are set below what is buffered pause at once or at the
    next write."""
    async with on_socket() as (ours, raw):
        ours.transport.set_write_buffer_limits(high=1 << 30)
        while not ours.transport.get_write_buffer_size():
            ours.transport.write(bytes(MIB))
        assert "pause" not in ours.calls
        ours.transport.set_write_buffer_limits(high=1)
        ours.transport.write(b"x")
        assert "pause" in ours.calls


async def test_pause_reading():
    """Nothing is delivered while paused; then everything is."""
    async with connected() as (ours, theirs):
        assert theirs.transport.is_reading()
        theirs.transport.pause_reading()
        assert not theirs.transport.is_reading()
        ours.transport.write(b"patience")
        await turns(20)
        assert theirs.data == b""
        theirs.transport.resume_reading()
        assert theirs.transport.is_reading()
        assert await theirs.received(8) == b"patience"


async def test_pause_and_resume_are_idempotent():
    """Twice is as once, for both."""
    async with connected() as (ours, theirs):
        transport = theirs.transport
        transport.resume_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        transport.resume_reading()
        transport.resume_reading()
        assert transport.is_reading()
        ours.transport.write(b"x")
        assert await theirs.received(1) == b"x"


async def test_pause_on_a_closing_transport():
    """A transport that closes is not reading, and does not start again."""
    async with connected() as (ours, _):
        ours.transport.close()
        assert not ours.transport.is_reading()
        ours.transport.pause_reading()
        ours.transport.resume_reading()
        assert not ours.transport.is_reading()
        await ours.lost()


async def test_pause_inside_data_received():
    """After pause_reading() in data_received() no second call comes."""
    class Sip(Recorder):
        sips = 0

        def data_received(self, data):
            self.sips += 1
            self.transport.pause_reading()
            super().data_received(data)

    async with connected(peer=Sip) as (ours, theirs):
        for number in range(1, 6):
            ours.transport.write(bytes(MIB))
            await theirs.until(lambda: theirs.sips == number)
            await turns(5)
            assert theirs.sips == number
            theirs.transport.resume_reading()
        ours.transport.abort()
        theirs.transport.abort()


async def test_pause_inside_connection_made():
    """A protocol can begin paused."""
    class Paused(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async with connected(peer=Paused) as (ours, theirs):
        ours.transport.write(b"x")
        await turns(20)
        assert theirs.data == b""
        theirs.transport.resume_reading()
        assert await theirs.received(1) == b"x"


async def test_end_while_paused():
    """The end of the stream waits, too, until reading goes on."""
    async with on_socket() as (ours, raw):
        ours.transport.pause_reading()
        raw.sendall(b"x")
        raw.close()
        await turns(20)
        assert ours.calls == ["made"]
        ours.transport.resume_reading()
        await ours.lost()
        assert ours.calls == ["made", "data", "eof", "lost"]


async def test_paused_and_closed():
    """close() on a paused transport ends it."""
    async with connected() as (ours, theirs):
        theirs.transport.pause_reading()
        ours.transport.write(b"x")
        await turns()
        theirs.transport.close()
        await theirs.lost()
        assert theirs.data == b""


def payload(seed, size):
    """Bytes without a short period, so that a slip in order is seen."""
    import random
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("kind", [Recorder, BufferedRecorder])
async def test_big_both_ways(kind):
    """16 MiB in each direction at once arrive whole."""
    there, back = payload(1, 16 * MIB), payload(2, 16 * MIB)
    async with connected(kind, kind) as (ours, theirs):
        ours.transport.write(there)
        theirs.transport.write(back)
        await asyncio.gather(ours.received(len(back)),
                             theirs.received(len(there)))
        assert ours.data == back and theirs.data == there


async def test_big_with_a_slow_reader():
    """8 MiB in odd pieces, past a reader that pauses all the time."""
    class Slow(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(
                self.transport.resume_reading)

    data = payload(3, 8 * MIB)
    async with connected(peer=Slow) as (ours, theirs):
        position, piece = 0, 1
        while position < len(data):
            ours.transport.write(data[position:position + piece])
            position += piece
            piece = piece * 3 % 99991 + 1
            if ours.calls[-1] == "pause":
                await ours.until(lambda: ours.calls[-1] == "resume")
        got = await theirs.received(len(data))
        assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
        theirs.transport.pause_reading()
        await turns()


async def test_big_writelines():
    """16 MiB in pieces of all sizes by writelines."""
    data = payload(4, 16 * MIB)
    pieces, position, size = [], 0, 1
    while position < len(data):
        pieces.append(memoryview(data)[position:position + size])
        position += size
        size = size * 7 % 65521 + 1
    async with connected() as (ours, theirs):
        ours.transport.writelines(pieces)
        ours.transport.write_eof()
        await theirs.until(lambda: "eof" in theirs.calls)
        assert theirs.data == data


async def test_streams_echo():
    """asyncio's streams: lines, exact counts, drain, half close."""
    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    data = payload(5, 4 * MIB)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"line\n")
        assert await reader.readline() == b"line\n"
        writer.write(data)
        got, _ = await asyncio.gather(reader.readexactly(len(data)),
                                      writer.drain())
        assert got == data
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        await turns(5)


async def test_sendfile(tmp_path):
    """loop.sendfile: the file arrives between what is written around it."""
    loop = asyncio.get_running_loop()
    data = payload(6, 3 * MIB)
    path = tmp_path / "data"
    path.write_bytes(data)
    async with connected() as (ours, theirs):
        ours.transport.write(b"before ")
        with open(path, "rb") as file:
            assert await loop.sendfile(ours.transport, file) == len(data)
            assert await loop.sendfile(ours.transport, file, 10, 20) == 20
        ours.transport.write(b" after")
        want = b"before " + data + data[10:30] + b" after"
        assert await theirs.received(len(want)) == want


async def test_sock_calls():
    """sock_connect, sock_accept, sock_sendall, sock_recv, sock_recv_into."""
    loop = asyncio.get_running_loop()
    data = payload(7, 2 * MIB)
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        accepting = asyncio.ensure_future(loop.sock_accept(listener))
        await loop.sock_connect(client, listener.getsockname())
        conn, _ = await accepting
        with conn:
            sending = asyncio.ensure_future(loop.sock_sendall(client, data))
            got = bytearray()
            buffer = bytearray(10000)
            while len(got) < len(data):
                got += await loop.sock_recv(conn, 65536)
                if len(got) < len(data):
                    count = await loop.sock_recv_into(conn, buffer)
                    got += buffer[:count]
            await sending
            assert got == data
            waiting = asyncio.ensure_future(loop.sock_recv(conn, 1))
            await turns()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await loop.sock_sendall(client, b"after")
            assert await loop.sock_recv(conn, 10) == b"after"
