"""An echo server through each of asyncio's doors.

protocol, buffered, streams and sock over TCP or a Unix socket, protocol over
TLS, and udp; kstreams are the streams of kevent.streams.  Streams read by
read(n), readline() or readexactly(size).
"""
from __future__ import annotations

import asyncio
import socket
import ssl

from . import common

BUFFER_BYTES = 256 * 1024
SOCK_BYTES = 64 * 1024
BACKLOG = 4096


class Echo(asyncio.Protocol):
    """Writes back what it is given."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    """The same with a buffer of its own.

    What is written is a copy: a transport may keep what it cannot send at
    once, and the buffer is filled again before that has left.
    """

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = memoryview(bytearray(BUFFER_BYTES))

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.transport.write(bytes(self.buffer[:nbytes]))


class DatagramEcho(asyncio.DatagramProtocol):
    """Sends each datagram back to where it came from."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def echo_read(reader, writer, size):
    """Whatever has come."""
    while data := await reader.read(BUFFER_BYTES):
        writer.write(data)
        await writer.drain()


async def echo_lines(reader, writer, size):
    """Line by line."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


async def echo_exactly(reader, writer, size):
    """Message by message, each of so many bytes."""
    while True:
        writer.write(await reader.readexactly(size))
        await writer.drain()


READS = {"read": echo_read, "readline": echo_lines, "readexactly": echo_exactly}


def stream_echo(read: str, size: int):
    """What asyncio.start_server calls for each connection."""
    work = READS[read]

    async def connected(reader, writer):
        try:
            await work(reader, writer, size)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return connected


async def sock_echo(loop, sock):
    """A connection of loop.sock_accept."""
    with sock:
        try:
            while data := await loop.sock_recv(sock, SOCK_BYTES):
                await loop.sock_sendall(sock, data)
        except ConnectionError:
            pass


async def sock_accept(loop, listener):
    """Accepts for ever."""
    tasks = set()
    while True:
        sock, _ = await loop.sock_accept(listener)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.ensure_future(sock_echo(loop, sock))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def listen(path: str | None) -> socket.socket:
    """A non-blocking listener on a port of the kernel's choice, or on path."""
    if path:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
    else:
        # The number of the protocol matters: asyncio sets TCP_NODELAY only on
        # sockets that have it, and accepted ones inherit it from here.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    listener.listen(BACKLOG)
    return listener


async def serve_datagrams() -> None:
    """Serve UDP until cancelled."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        DatagramEcho, local_addr=("127.0.0.1", 0))
    common.announce(transport.get_extra_info("sockname")[1])
    await loop.create_future()


async def serve(api: str, path: str | None, certificate: str | None = None,
                read: str = "read", size: int = 1024) -> None:
    """Serve until cancelled; with a certificate (a PEM file with its key) over TLS.

    read is how streams read, size is readexactly()'s.
    """
    loop = asyncio.get_running_loop()
    if api == "udp":
        await serve_datagrams()
        return
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    if api == "sock":
        listener = listen(path)
        common.announce(0 if path else listener.getsockname()[1])
        await sock_accept(loop, listener)
        return
    # By address, which every loop can; with sock= there are some that never accept.
    where = {"path": path} if path else {"host": "127.0.0.1", "port": 0}
    if api in ("streams", "kstreams"):
        streams = asyncio
        if api == "kstreams":
            import kevent.streams as streams
        start = streams.start_unix_server if path else streams.start_server
        server = await start(stream_echo(read, size), **where, backlog=BACKLOG, ssl=context)
    else:
        protocol = BufferedEcho if api == "buffered" else Echo
        start = loop.create_unix_server if path else loop.create_server
        server = await start(protocol, **where, backlog=BACKLOG, ssl=context)
    common.announce(0 if path else server.sockets[0].getsockname()[1])
    # Not `async with server`: some loops' servers cannot do it, and could
    # otherwise be measured.
    await loop.create_future()
    server.close()


APIS = ("protocol", "buffered", "streams", "kstreams", "sock")


def main() -> None:
    parser = common.arguments(__doc__)
    parser.add_argument("--api", choices=(*APIS, "udp"), default="protocol")
    parser.add_argument("--tls", metavar="PEM", help="certificate and key in one file")
    parser.add_argument("--read", choices=READS, default="read", help="how streams read")
    parser.add_argument("--size", type=int, default=1024, help="of readexactly()")
    options = parser.parse_args()
    common.serve(options.loop, lambda: serve(
        options.api, options.unix, options.tls, options.read, options.size))


if __name__ == "__main__":
    main()
