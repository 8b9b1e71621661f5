"""Servers: options, contexts, fairness, and each version's end."""
import asyncio
import contextvars
import socket
import sys

import pytest

from .helpers import Recorder, turns


async def test_options():
    """reuse_address, reuse_port, backlog, keep_alive reach the socket."""
    loop = asyncio.get_running_loop()
    options = dict(reuse_port=True, reuse_address=True, backlog=7)
    if sys.version_info >= (3, 13):
        options["keep_alive"] = True
    server = await loop.create_server(Recorder, "127.0.0.1", 0, **options)
    async with server:
        sock = server.sockets[0]
        names = ["SO_REUSEPORT", "SO_REUSEADDR"] + [
            "SO_KEEPALIVE"] * ("keep_alive" in options)
        for name in names:
            assert sock.getsockopt(socket.SOL_SOCKET, getattr(socket, name))
        other = await loop.create_server(
            Recorder, *sock.getsockname(), reuse_port=True)
        other.close()


async def test_sockets_after_close():
    """sockets are TransportSockets, and () after close()."""
    from asyncio.trsock import TransportSocket
    server = await asyncio.get_running_loop().create_server(
        Recorder, "127.0.0.1", 0)
    assert [type(each) for each in server.sockets] == [TransportSocket]
    assert isinstance(server, asyncio.AbstractServer)
    server.close()
    assert server.sockets == ()
    server.close()
    await server.wait_closed()


async def test_nobody_starves():
    """While many connect at once timers and callbacks have their turn, and a
    second listener, too."""
    loop = asyncio.get_running_loop()
    made = []

    class Client(asyncio.Protocol):
        pass

    class Serving(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(transport)

    servers = [await loop.create_server(Serving, "127.0.0.1", 0, backlog=64)
               for _ in range(2)]
    ticks = 0

    def tick():
        nonlocal ticks, timer
        ticks += 1
        timer = loop.call_later(0.0005, tick)

    timer = loop.call_soon(tick)
    transports = await asyncio.gather(*[
        loop.create_connection(Client, *server.sockets[0].getsockname())
        for _ in range(100) for server in servers])
    while len(made) < 200:
        await asyncio.sleep(0)
    assert ticks > 1
    timer.cancel()
    for transport, _ in transports:
        transport.close()
    for server in servers:
        server.close()
    for transport in made:
        transport.close()
    await turns(10)


async def test_serve_forever_twice():
    """serve_forever() twice is a RuntimeError; cancelled it closes."""
    server = await asyncio.get_running_loop().create_server(
        Recorder, "127.0.0.1", 0)
    task = asyncio.ensure_future(server.serve_forever())
    await turns()
    with pytest.raises(RuntimeError):
        await server.serve_forever()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not server.is_serving()


@pytest.mark.skipif(sys.version_info < (3, 15), reason="so from 3.15 on")
async def test_cancelled_serve_forever_closes_clients():
    """Cancelling serve_forever() closes the connections."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    task = asyncio.ensure_future(server.serve_forever())
    _, client = await loop.create_connection(
        Recorder, *server.sockets[0].getsockname())
    await turns(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.lost()


@pytest.mark.skipif(sys.version_info < (3, 15), reason="so from 3.15 on")
async def test_context_of_connections():
    """Each connection runs in a copy of the context of the server's making."""
    loop = asyncio.get_running_loop()
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    class Serving(Recorder):
        def connection_made(self, transport):
            seen.append(variable.get())
            variable.set("changed by a connection")
            super().connection_made(transport)

        def connection_lost(self, exc):
            seen.append(variable.get())
            super().connection_lost(exc)

    variable.set("server")
    server = await loop.create_server(Serving, "127.0.0.1", 0)
    variable.set("later")
    for _ in range(2):
        _, client = await loop.create_connection(
            Recorder, *server.sockets[0].getsockname())
        client.transport.close()
        await client.lost()
        await turns(5)
    server.close()
    await server.wait_closed()
    assert seen == ["server", "changed by a connection"] * 2


async def test_wait_closed_of_an_open_server():
    """wait_closed() of a server that is open waits for its close()."""
    server = await asyncio.get_running_loop().create_server(
        Recorder, "127.0.0.1", 0)
    waiting = asyncio.ensure_future(server.wait_closed())
    await turns(5)
    # 3.12.0 had it otherwise.
    assert waiting.done() is (sys.version_info[:3] == (3, 12, 0))
    server.close()
    await waiting


async def test_local_address_that_is_not_there():
    """An address of nobody here is an OSError that names it."""
    with pytest.raises(OSError, match="192.0.2.1"):
        await asyncio.get_running_loop().create_server(
            Recorder, "192.0.2.1", 0)
