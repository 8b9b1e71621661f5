"""TLS: asyncio's sslproto over the loop's transports."""
import asyncio
import ssl
from pathlib import Path

import pytest

from .helpers import Recorder, turns

PEM = Path(__file__).with_name("localhost.pem")   # self-signed, until 2126


def contexts_of():
    """(server's context, client's context that trusts it)."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(PEM)
    client = ssl.create_default_context(cafile=PEM)
    return server, client


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def test_echo():
    """Streams over TLS: 2 MiB there and back, verified by name."""
    serving, trusting = contexts_of()
    data = bytes(range(256)) * 8192
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting, server_hostname="localhost")
        assert writer.get_extra_info("cipher")
        assert writer.get_extra_info("peercert")["subject"]
        assert writer.get_extra_info("ssl_object").version()
        writer.write(data)
        got, _ = await asyncio.gather(reader.readexactly(len(data)),
                                      writer.drain())
        assert got == data
        writer.close()
        await writer.wait_closed()
        await turns(10)


async def test_protocols():
    """Protocols over TLS hear the same calls as over TCP."""
    loop = asyncio.get_running_loop()
    serving, trusting = contexts_of()
    accepted = loop.create_future()

    class Server(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            accepted.set_result(self)

    server = await loop.create_server(Server, "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport, client = await loop.create_connection(
            Recorder, "127.0.0.1", port, ssl=trusting,
            server_hostname="localhost")
        theirs = await accepted
        transport.writelines([b"he", b"llo"])
        assert await theirs.received(5) == b"hello"
        theirs.transport.write(b"hi")
        assert await client.received(2) == b"hi"
        transport.close()
        await client.lost()
        await theirs.lost()
        assert client.calls[0] == "made" and client.calls[-1] == "lost"


async def test_start_tls():
    """A plain connection turns to TLS on both sides, and goes on."""
    loop = asyncio.get_running_loop()
    serving, trusting = contexts_of()
    finished = loop.create_future()

    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(serving)
        writer.write((await reader.readline()).upper())
        await writer.drain()
        await reader.read()
        writer.close()
        finished.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(trusting, server_hostname="localhost")
        assert writer.get_extra_info("cipher")
        writer.write(b"secret\n")
        assert await reader.readline() == b"SECRET\n"
        writer.close()
        await writer.wait_closed()
        await finished
        await turns(5)


async def test_untrusted():
    """A certificate that nobody vouches for is refused by the client."""
    loop = asyncio.get_running_loop()
    serving, _ = contexts_of()
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.create_connection(
                Recorder, "127.0.0.1", port, server_hostname="localhost",
                ssl=ssl.create_default_context())
        await turns(10)


async def test_wrong_name():
    """A certificate for another name is refused."""
    loop = asyncio.get_running_loop()
    serving, trusting = contexts_of()
    server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.create_connection(
                Recorder, "127.0.0.1", port, server_hostname="example.org",
                ssl=trusting)
        await turns(10)


async def test_no_tls_on_the_other_side():
    """A handshake with a peer that speaks no TLS fails, in time."""
    loop = asyncio.get_running_loop()
    _, trusting = contexts_of()

    class Plain(Recorder):
        def data_received(self, data):
            self.transport.write(b"no idea what you mean\r\n")

    server = await loop.create_server(Plain, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await loop.create_connection(
                Recorder, "127.0.0.1", port, ssl=trusting,
                server_hostname="localhost")
        await turns(10)


async def test_handshake_timeout():
    """A peer that is silent in the handshake: ConnectionAbortedError."""
    loop = asyncio.get_running_loop()
    _, trusting = contexts_of()
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ConnectionAbortedError, TimeoutError)):
            await loop.create_connection(
                Recorder, "127.0.0.1", port, ssl=trusting,
                server_hostname="localhost", ssl_handshake_timeout=0.05)
        await turns(10)
