"""TLS beyond an echo: TLS in TLS, buffered data, timeouts, extra info."""
import asyncio
import socket
import ssl
import sys

import pytest

from .helpers import BufferedRecorder, Recorder, turns
from .test_tls import contexts_of


async def both_ends(loop, protocol=Recorder, **options):
    """(client, server) protocols of one TLS connection, and the server."""
    serving, trusting = contexts_of()
    accepted = loop.create_future()

    class Server(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            accepted.set_result(self)

    server = await loop.create_server(Server, "127.0.0.1", 0, ssl=serving)
    _, client = await loop.create_connection(
        protocol, *server.sockets[0].getsockname(), ssl=trusting,
        server_hostname="localhost", **options)
    return client, await accepted, server


async def end(client, theirs, server):
    client.transport.close()
    await client.lost()
    await theirs.lost()
    server.close()
    await server.wait_closed()
    await turns(5)


async def test_buffered_protocol():
    """A BufferedProtocol over TLS gets the data in its own buffer."""
    loop = asyncio.get_running_loop()
    client, theirs, server = await both_ends(
        loop, lambda: BufferedRecorder(1000))
    theirs.transport.write(bytes(10_000))
    assert len(await client.received(10_000)) == 10_000
    await end(client, theirs, server)


async def test_extra_info():
    """Every key of a TLS transport, and of the socket under it."""
    loop = asyncio.get_running_loop()
    client, theirs, server = await both_ends(loop)
    ask = client.transport.get_extra_info
    assert ask("peercert")["subject"] and ask("cipher")[0]
    assert ask("compression") is None
    assert isinstance(ask("sslcontext"), ssl.SSLContext)
    assert isinstance(ask("ssl_object"), ssl.SSLObject)
    assert ask("socket").getsockname() == ask("sockname")
    assert ask("peername") == server.sockets[0].getsockname()
    assert ask("unheard of", 7) == 7
    assert isinstance(client.transport, asyncio.Transport)
    assert client.transport.can_write_eof() is False
    await end(client, theirs, server)


async def test_tls_in_tls():
    """start_tls over a connection that is TLS already."""
    loop = asyncio.get_running_loop()
    serving, trusting = contexts_of()
    client, theirs, server = await both_ends(loop)
    inner_client, inner_server = Recorder(), Recorder()
    upper, lower = await asyncio.gather(
        loop.start_tls(client.transport, inner_client, trusting,
                       server_hostname="localhost"),
        loop.start_tls(theirs.transport, inner_server, serving,
                       server_side=True))
    upper.write(b"deep")
    assert await inner_server.received(4) == b"deep"
    lower.write(bytes(200_000))
    await inner_client.received(200_000)
    upper.close()
    await inner_client.until(lambda: "lost" in inner_client.calls)
    await inner_server.until(lambda: "lost" in inner_server.calls)
    client.calls.append("lost"), theirs.calls.append("lost")
    server.close()
    await server.wait_closed()
    await turns(10)


@pytest.mark.skipif(sys.version_info < (3, 15),
                    reason="before, asyncio drops what the reader has buffered")
async def test_start_tls_with_buffered_data():
    """The client's hello is in the reader's buffer before start_tls()."""
    serving, trusting = contexts_of()
    done = asyncio.get_running_loop().create_future()

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        while not reader._buffer:
            await asyncio.sleep(0.001)
        await writer.start_tls(serving)
        writer.write(await reader.readline())
        await writer.drain()
        await reader.read()
        writer.close()
        done.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        await writer.start_tls(trusting, server_hostname="localhost")
        writer.write(b"secret\n")
        assert await reader.readline() == b"secret\n"
        writer.close()
        await writer.wait_closed()
        await done
        await turns(5)


async def test_start_tls_refuses():
    """A transport that cannot, a context that is none: TypeError."""
    loop = asyncio.get_running_loop()
    client, theirs, server = await both_ends(loop)
    with pytest.raises(TypeError):
        await loop.start_tls(client.transport, client, None)
    with pytest.raises(TypeError):
        await loop.start_tls(asyncio.Transport(), client, contexts_of()[1])
    await end(client, theirs, server)


async def test_shutdown_timeout():
    """A peer that does not answer the close: the connection ends in time."""
    loop = asyncio.get_running_loop()
    client, theirs, server = await both_ends(loop, ssl_shutdown_timeout=0.05)
    theirs.transport.pause_reading()
    ours = theirs.transport.get_extra_info("socket")
    assert ours.fileno() >= 0
    # The peer's own TLS is not asked any more: it is silent.
    theirs.transport._ssl_protocol._transport.pause_reading()
    began = loop.time()
    client.transport.close()
    assert isinstance(await client.lost(), (TimeoutError, type(None)))
    assert loop.time() - began < 5
    theirs.transport.abort()
    await theirs.lost()
    server.close()
    await server.wait_closed()
    await turns(5)


@pytest.mark.parametrize("side", ["client", "server"])
async def test_handshake_timeouts(side):
    """ssl_handshake_timeout on either side ends a silent handshake."""
    loop = asyncio.get_running_loop()
    serving, trusting = contexts_of()
    loop.set_exception_handler(lambda *_: None)
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    with theirs:
        with pytest.raises((ConnectionAbortedError, TimeoutError)):
            if side == "client":
                await loop.create_connection(
                    Recorder, sock=ours, ssl=trusting,
                    server_hostname="localhost", ssl_handshake_timeout=0.05)
            else:
                await loop.connect_accepted_socket(
                    Recorder, ours, ssl=serving, ssl_handshake_timeout=0.05)
        await turns(5)


async def test_peer_vanishes():
    """The socket under TLS breaks: connection_lost comes, once."""
    loop = asyncio.get_running_loop()
    client, theirs, server = await both_ends(loop)
    theirs.transport.abort()
    await client.lost()
    await theirs.lost()
    assert client.calls.count("lost") == 1
    server.close()
    await server.wait_closed()
    await turns(5)


async def test_sendfile_over_tls(tmp_path):
    """loop.sendfile falls back to reading and writing; fallback=False says
    so."""
    loop = asyncio.get_running_loop()
    client, theirs, server = await both_ends(loop)
    path = tmp_path / "file"
    path.write_bytes(bytes(300_000))
    with open(path, "rb") as file:
        with pytest.raises((RuntimeError, asyncio.SendfileNotAvailableError)):
            await loop.sendfile(client.transport, file, fallback=False)
        sending = asyncio.ensure_future(loop.sendfile(client.transport, file))
        await theirs.received(300_000)
        assert await sending == 300_000
    await end(client, theirs, server)
