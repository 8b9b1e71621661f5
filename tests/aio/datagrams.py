"""Protocols that note what datagrams come, and endpoints for them."""
import asyncio.selector_events
import contextlib
import socket
import sys

import pytest

from .helpers import Awaitable

LOCAL = ("127.0.0.1", 0)
# What a datagram counts for in the buffer beyond its bytes.
HEADER = 8 if sys.version_info >= (3, 13) else 0
never_empty = pytest.mark.stdlib_differs(
    "3.13.0 counts headers that it never takes off again: its buffer is never empty",
    when=HEADER and not hasattr(
        asyncio.selector_events._SelectorDatagramTransport, "_header_size"))
KIND = (socket.AF_INET, socket.SOCK_DGRAM)


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

    def pause_writing(self):
        self.calls.append("pause")
        self._happened()

    def resume_writing(self):
        self.calls.append("resume")
        self._happened()

    def connection_lost(self, exc):
        self.calls.append("lost")
        self.lost_with = exc
        self._happened()

    @property
    def data(self):
        return [data for data, _ in self.got]


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
        await lost(protocol)


async def lost(protocol):
    await protocol.until(lambda: "lost" in protocol.calls)


@contextlib.asynccontextmanager
async def raw_peer(factory=Datagrams, **options):
    """(an endpoint, a plain socket that is connected to it)."""
    made = await endpoint(factory, local_addr=LOCAL, **options)
    try:
        with socket.socket(*KIND) as raw:
            raw.bind(LOCAL)
            raw.connect(made.transport.get_extra_info("sockname"))
            raw.settimeout(10)
            yield made, raw
    finally:
        if "lost" not in made.calls:
            await close(made)


@contextlib.asynccontextmanager
async def full_queue(tmp_path, factory=Datagrams, connected=True):
    """(an endpoint that cannot send, who does not read): Unix sockets, whose
    receiver's queue is short, and the numbers sent so far."""
    path = str(tmp_path / "receiver")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as raw:
        raw.bind(path)
        raw.settimeout(10)
        if connected:
            made = await endpoint(factory, remote_addr=path, family=socket.AF_UNIX)
            made.receiver = None
        else:
            made = await endpoint(factory, local_addr=str(tmp_path / "sender"),
                                  family=socket.AF_UNIX)
            made.receiver = path
        made.sent = 0
        while not made.transport.get_write_buffer_size():
            made.transport.sendto(b"%d" % made.sent, made.receiver)
            made.sent += 1
        try:
            yield made, raw
        finally:
            raw.close()
            if "lost" not in made.calls:
                made.transport.abort()
                await lost(made)


async def read_numbers(raw, count, first=0):
    """Reads that many datagrams while the loop runs: numbers in order."""
    for number in range(first, first + count):
        data = await asyncio.to_thread(raw.recv, 1000)
        assert data == b"%d" % number
