"""Datagrams: endpoints, errors, sizes."""
import asyncio
import socket

import pytest

from .helpers import Awaitable, turns


class Datagrams(asyncio.DatagramProtocol, Awaitable):
    """Collects what comes."""

    def __init__(self):
        Awaitable.__init__(self)
        self.got = []
        self.errors = []
        self.calls = []
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self.calls.append("made")

    def datagram_received(self, data, addr):
        self.got.append((data, addr))
        self._happened()

    def error_received(self, exc):
        self.errors.append(exc)
        self._happened()

    def connection_lost(self, exc):
        self.calls.append("lost")
        self._happened()


class Echo(Datagrams):
    def datagram_received(self, data, addr):
        super().datagram_received(data, addr)
        self.transport.sendto(data, addr)


async def endpoint(factory=Datagrams, **options):
    loop = asyncio.get_running_loop()
    _, made = await loop.create_datagram_endpoint(factory, **options)
    return made


async def close(*protocols):
    for protocol in protocols:
        protocol.transport.close()
        await protocol.until(lambda: "lost" in protocol.calls)


async def test_echo():
    """A datagram goes there and comes back, with the peer's address."""
    server = await endpoint(Echo, local_addr=("127.0.0.1", 0))
    name = server.transport.get_extra_info("sockname")
    client = await endpoint(remote_addr=name)
    client.transport.sendto(b"ping")
    await client.until(lambda: client.got)
    assert client.got == [(b"ping", name)]
    assert server.got[0][1] == client.transport.get_extra_info("sockname")
    assert client.transport.get_extra_info("peername") == name
    await close(client, server)
    assert client.calls == ["made", "lost"]


async def test_unconnected():
    """Without remote_addr each datagram names its receiver."""
    servers = [await endpoint(Echo, local_addr=("127.0.0.1", 0))
               for _ in range(2)]
    client = await endpoint(local_addr=("127.0.0.1", 0))
    names = [s.transport.get_extra_info("sockname") for s in servers]
    for name in names:
        client.transport.sendto(b"x", name)
    await client.until(lambda: len(client.got) == 2)
    assert sorted(addr for _, addr in client.got) == sorted(names)
    await close(client, *servers)


async def test_many_in_order():
    """Five hundred datagrams, each one message."""
    server = await endpoint(Echo, local_addr=("127.0.0.1", 0))
    client = await endpoint(
        remote_addr=server.transport.get_extra_info("sockname"))
    for number in range(500):
        client.transport.sendto(b"%d" % number)
        if number % 20 == 19:
            await client.until(lambda: len(client.got) == number + 1)
    assert [data for data, _ in client.got] == [b"%d" % n for n in range(500)]
    await close(client, server)


async def test_nobody_there():
    """A refused datagram is error_received; the endpoint stays open."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        name = sock.getsockname()
    client = await endpoint(remote_addr=name)
    client.transport.sendto(b"x")
    await client.until(lambda: client.errors)
    assert isinstance(client.errors[0], ConnectionRefusedError)
    assert "lost" not in client.calls
    await close(client)


async def test_unix_datagrams(tmp_path):
    """Datagrams over Unix sockets."""
    server = await endpoint(local_addr=str(tmp_path / "server"),
                            family=socket.AF_UNIX)
    client = await endpoint(remote_addr=str(tmp_path / "server"),
                            family=socket.AF_UNIX)
    client.transport.sendto(b"x")
    await server.until(lambda: server.got)
    assert server.got[0][0] == b"x"
    await close(client, server)


async def test_given_socket():
    """A bound datagram socket can be handed over."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    server = await endpoint(Echo, sock=sock)
    client = await endpoint(remote_addr=sock.getsockname())
    client.transport.sendto(b"x" * 60000)
    await client.until(lambda: client.got)
    assert len(client.got[0][0]) == 60000
    await close(client, server)


async def test_wrong_address():
    """A connected endpoint refuses to send elsewhere."""
    server = await endpoint(local_addr=("127.0.0.1", 0))
    client = await endpoint(
        remote_addr=server.transport.get_extra_info("sockname"))
    with pytest.raises(ValueError):
        client.transport.sendto(b"x", ("127.0.0.1", 9))
    with pytest.raises(TypeError):
        client.transport.sendto("text")
    await close(client, server)


async def test_send_after_close():
    """abort() ends it; later datagrams are forgotten."""
    server = await endpoint(local_addr=("127.0.0.1", 0))
    server.transport.abort()
    assert server.transport.is_closing()
    await server.until(lambda: "lost" in server.calls)
    await turns()
    assert server.calls.count("lost") == 1


async def test_sock_calls():
    """sock_sendto, sock_recvfrom and sock_recvfrom_into."""
    loop = asyncio.get_running_loop()
    kinds = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*kinds) as ours, socket.socket(*kinds) as theirs:
        for sock in (ours, theirs):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        receiving = asyncio.ensure_future(loop.sock_recvfrom(theirs, 100))
        await turns()
        assert await loop.sock_sendto(ours, b"one", theirs.getsockname()) == 3
        assert await receiving == (b"one", ours.getsockname())
        buffer = bytearray(100)
        await loop.sock_sendto(theirs, b"three", ours.getsockname())
        assert await loop.sock_recvfrom_into(ours, buffer) == (
            5, theirs.getsockname())
        assert buffer[:5] == b"three"
