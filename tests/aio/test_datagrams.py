"""Datagram endpoints: what can be set, and what is told when."""
import asyncio
import socket
import sys

import pytest

from .datagrams import never_empty
from .helpers import turns
from .test_udp import close, endpoint


async def two(**options):
    """(server, client connected to it)."""
    server = await endpoint(local_addr=("127.0.0.1", 0))
    client = await endpoint(
        remote_addr=server.transport.get_extra_info("sockname"), **options)
    return server, client


@pytest.mark.skipif(sys.version_info < (3, 13), reason="dropped before 3.13")
async def test_empty():
    """An empty datagram is a datagram."""
    server, client = await two()
    client.transport.sendto(b"")
    await server.until(lambda: server.got)
    assert server.got[0][0] == b""
    await close(client, server)


async def test_kind_and_extra_info():
    """A datagram socket, and the names of both ends."""
    server, client = await two()
    sock = client.transport.get_extra_info("socket")
    assert sock.type == socket.SOCK_DGRAM
    assert client.transport.get_extra_info("peername") \
        == server.transport.get_extra_info("sockname")
    assert server.transport.get_extra_info("peername") is None
    assert client.transport.get_write_buffer_size() == 0
    await close(client, server)


async def test_options():
    """family, proto, allow_broadcast, reuse_port, and the socket has them."""
    made = await endpoint(local_addr=("127.0.0.1", 0), family=socket.AF_INET,
                          proto=socket.IPPROTO_UDP, allow_broadcast=True,
                          reuse_port=True)
    sock = made.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    other = await endpoint(local_addr=sock.getsockname(), reuse_port=True)
    await close(made, other)


async def test_wrong_options():
    """Contradictions are ValueError."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, \
            socket.socket() as stream:
        for options in (dict(sock=sock, local_addr=("127.0.0.1", 0)),
                        dict(sock=stream), dict(),
                        dict(sock=sock, family=socket.AF_INET)):
            with pytest.raises(ValueError):
                await loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, **options)
        with pytest.raises(TypeError):
            await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=b"/bytes",
                family=socket.AF_UNIX)


async def test_unix_paths(tmp_path):
    """AF_UNIX: paths as local and remote address; an answer by name."""
    path, mine = str(tmp_path / "s"), str(tmp_path / "c")
    server = await endpoint(local_addr=path, family=socket.AF_UNIX)
    client = await endpoint(local_addr=mine, remote_addr=path,
                            family=socket.AF_UNIX)
    client.transport.sendto(b"x")
    await server.until(lambda: server.got)
    assert server.got == [(b"x", mine)]
    server.transport.sendto(b"y", mine)
    await client.until(lambda: client.got)
    assert client.got[0][0] == b"y"
    await close(client, server)


async def test_errors_in_callbacks(contexts):
    """An exception of datagram_received goes to the handler or is fatal, as
    the stdlib has it; the loop goes on."""
    server, client = await two()
    loop = asyncio.get_running_loop()

    def fail(data, address):
        server.calls.append("failed")
        raise LookupError

    server.datagram_received = fail
    client.transport.sendto(b"x")
    while "failed" not in server.calls:
        await asyncio.sleep(0.001)
    await turns(5)
    assert [type(c["exception"]) for c in contexts] == [LookupError]
    contexts.clear()
    assert loop.is_running()
    for side in (client, server):
        side.transport.abort()
    await turns(5)


def receiver(path):
    """A Unix datagram socket at that path: few datagrams fill it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    sock.setblocking(False)
    return sock


@never_empty
async def test_flow_control(tmp_path):
    """A full Unix socket pauses the protocol, and resumes it; all arrive."""
    theirs = receiver(path := str(tmp_path / "s"))
    loop = asyncio.get_running_loop()
    calls = []

    class Flow(asyncio.DatagramProtocol):
        def pause_writing(self):
            calls.append("pause")

        def resume_writing(self):
            calls.append("resume")

    with theirs:
        transport, _ = await loop.create_datagram_endpoint(
            Flow, remote_addr=path, family=socket.AF_UNIX)
        transport.set_write_buffer_limits(high=5000)
        for number in range(300):
            transport.sendto(number.to_bytes(2, "big") * 500)
        assert calls == ["pause"] and transport.get_write_buffer_size() > 5000
        got = [await loop.sock_recv(theirs, 2000) for _ in range(300)]
        assert got == [n.to_bytes(2, "big") * 500 for n in range(300)]
        try:
            assert calls == ["pause", "resume"]
        finally:
            transport.close()
            await turns(5)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.12's")
async def test_pause_reading():
    """pause_reading() holds datagrams back, resume_reading() brings them."""
    server, client = await two()
    server.transport.pause_reading()
    client.transport.sendto(b"x")
    await asyncio.sleep(0.01)
    assert server.got == []
    server.transport.resume_reading()
    await server.until(lambda: server.got)
    await close(client, server)


async def test_close_sends_what_is_buffered(tmp_path):
    """close() sends what is buffered first; connection_lost comes once."""
    theirs = receiver(path := str(tmp_path / "s"))
    loop = asyncio.get_running_loop()
    lost = []

    class Flow(asyncio.DatagramProtocol):
        def connection_lost(self, exc):
            lost.append(exc)

    with theirs:
        transport, _ = await loop.create_datagram_endpoint(
            Flow, remote_addr=path, family=socket.AF_UNIX)
        for _ in range(300):
            transport.sendto(bytes(1000))
        assert transport.get_write_buffer_size() > 0
        transport.close()
        transport.close()
        for _ in range(300):
            await loop.sock_recv(theirs, 2000)
        await turns(5)
        assert lost == [None]
