"""Datagrams: endpoints, errors, sizes, flow control, what callbacks may do."""
import asyncio
import contextlib
import contextvars
import gc
import logging
import socket
import sys
import weakref
from asyncio import trsock

import pytest

from .helpers import Awaitable, python, turns

LOCAL = ("127.0.0.1", 0)
HEADER = 8 if sys.version_info >= (3, 13) else 0
ADDRESSED = (socket.AF_INET, socket.SOCK_DGRAM)


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
    with socket.socket(*ADDRESSED) as raw:
        raw.bind(LOCAL)
        raw.connect(made.transport.get_extra_info("sockname"))
        raw.settimeout(10)
        yield made, raw
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
        yield made, raw
    if "lost" not in made.calls:
        made.transport.abort()
        await lost(made)


async def read_numbers(raw, count, first=0):
    """Reads that many datagrams while the loop runs: numbers in order."""
    for number in range(first, first + count):
        data = await asyncio.to_thread(raw.recv, 1000)
        assert data == b"%d" % number


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
    with pytest.raises(ValueError, match="Invalid address: must be None or"):
        client.transport.sendto(b"x", ("127.0.0.1", 9))
    with pytest.raises(TypeError, match="data argument must be a bytes-like object, "
                                        "not 'str'"):
        client.transport.sendto("text")
    client.transport.sendto(b"x", server.transport.get_extra_info("sockname"))
    await server.until(lambda: server.got)
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


# ---- what is sent ------------------------------------------------------------


async def test_empty_datagrams():
    """One that comes is delivered; one is sent from Python 3.13 on."""
    async with raw_peer() as (made, raw):
        raw.send(b"")
        await made.until(lambda: made.got)
        assert made.got == [(b"", raw.getsockname())]
        for empty in (b"", bytearray(), memoryview(b"")):
            made.transport.sendto(empty, raw.getsockname())
        made.transport.sendto(b"end", raw.getsockname())
        came = [raw.recv(10)]
        while came[-1] != b"end":
            came.append(raw.recv(10))
        assert came == ([b""] * 3 if HEADER else []) + [b"end"]


async def test_kinds_of_data():
    """bytes, a subclass, bytearray, memoryview of either."""
    class Bytes(bytes):
        pass
    async with raw_peer() as (made, raw):
        for data in (b"one", Bytes(b"two"), bytearray(b"three"), memoryview(b"four"),
                     memoryview(bytearray(b"xfivex"))[1:5]):
            made.transport.sendto(data, addr=raw.getsockname())
            assert raw.recv(100) == bytes(data)
        for wrong in (None, 5, [b"x"], "text"):
            with pytest.raises(TypeError):
                made.transport.sendto(wrong, raw.getsockname())
        with pytest.raises(TypeError):
            made.transport.sendto()
        with pytest.raises(TypeError):
            made.transport.sendto(b"x", raw.getsockname(), 3)
        with pytest.raises(TypeError):
            made.transport.sendto(b"x", other=3)


async def test_changed_after_sendto():
    """A bytearray that is changed later was sent as it had been."""
    class Answers(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            answer = bytearray(data)
            self.transport.sendto(answer, addr)
            answer[:] = b"changed"
    async with raw_peer(Answers) as (made, raw):
        for number in range(5):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 5)
        assert [raw.recv(100) for _ in range(5)] == [b"%d" % n for n in range(5)]


async def test_sizes():
    """From one byte to the longest that UDP has."""
    async with raw_peer(Echo) as (made, raw):
        for size in (1, 100, 1472, 1473, 9000, 65507):
            raw.send(b"x" * size)
            await made.until(lambda: made.got)
            assert made.got.pop()[0] == b"x" * size
            assert raw.recv(70000) == b"x" * size


async def test_too_long():
    """What cannot be sent is error_received, at once; the endpoint stays."""
    async with raw_peer() as (made, raw):
        made.transport.sendto(b"x" * 70000, raw.getsockname())
        assert [type(exc) for exc in made.errors] == [OSError]
        made.transport.sendto(b"y", raw.getsockname())
        assert raw.recv(10) == b"y"
    assert made.calls == ["made", "lost"] and made.lost_with is None


async def test_names_and_numbers():
    """A receiver by name, which the socket module looks up."""
    async with raw_peer() as (made, raw):
        made.transport.sendto(b"by name", ("localhost", raw.getsockname()[1]))
        assert raw.recv(10) == b"by name"
        made.transport.sendto(b"a list", tuple(list(raw.getsockname())))
        assert raw.recv(10) == b"a list"


@pytest.mark.parametrize("addr", [None, "127.0.0.1", ("127.0.0.1", 70000),
                                  ("127.0.0.1",), ("127.0.0.1", "9"),
                                  ("127.0.0.1\0", 9), ("\ud800", 9), 5])
async def test_no_address(addr, contexts):
    """What is no address at all closes the endpoint, with a report."""
    made = await endpoint(local_addr=LOCAL)
    made.transport.sendto(b"x", addr)
    await lost(made)
    [context] = contexts
    assert context["message"] == "Fatal write error on datagram transport"
    assert context["exception"] is made.lost_with
    assert context["transport"] is made.transport
    assert context["protocol"] is made
    assert isinstance(made.lost_with, (TypeError, OverflowError, ValueError))
    contexts.clear()


async def test_name_that_is_none():
    """A name that cannot be found is error_received."""
    made = await endpoint(local_addr=LOCAL)
    made.transport.sendto(b"x", ("no-such-host.invalid.", 9))
    assert [type(exc) for exc in made.errors] == [socket.gaierror]
    await close(made)


async def test_connected_socket_given():
    """A socket that was connected before sends to its peer, whatever is said."""
    with socket.socket(*ADDRESSED) as raw:
        raw.bind(LOCAL)
        raw.settimeout(10)
        sock = socket.socket(*ADDRESSED)
        sock.connect(raw.getsockname())
        made = await endpoint(sock=sock)
        assert made.transport.get_extra_info("peername") == raw.getsockname()
        for addr in (None, raw.getsockname(), ("127.0.0.1", 9), "anything"):
            made.transport.sendto(b"x", addr)
            assert raw.recv(10) == b"x"
        await close(made)


async def test_broadcast_is_not_connected():
    """remote_addr with allow_broadcast: the only address, without connect()."""
    with socket.socket(*ADDRESSED) as raw:
        raw.bind(LOCAL)
        raw.settimeout(10)
        made = await endpoint(remote_addr=raw.getsockname(), allow_broadcast=True)
        assert made.transport.get_extra_info("peername") is None
        made.transport.sendto(b"one")
        made.transport.sendto(b"two", raw.getsockname())
        assert [raw.recv(10), raw.recv(10)] == [b"one", b"two"]
        with pytest.raises(ValueError):
            made.transport.sendto(b"x", ("127.0.0.1", 9))
        await close(made)


async def test_ipv6():
    """Addresses of four; a receiver may be named by two."""
    try:
        server = await endpoint(Echo, local_addr=("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    name = server.transport.get_extra_info("sockname")
    client = await endpoint(local_addr=("::1", 0))
    ours = client.transport.get_extra_info("sockname")
    for addr in (name, name[:2], name[:3]):
        client.transport.sendto(b"x", addr)
        await client.until(lambda: client.got)
        assert client.got.pop() == (b"x", name)
    assert [addr for _, addr in server.got] == [ours] * 3 and len(ours) == 4
    await close(client, server)


async def test_many_peers():
    """Each of 300 peers is told from the others, each time."""
    async with raw_peer(Echo) as (made, _):
        peers = [socket.socket(*ADDRESSED) for _ in range(300)]
        with contextlib.ExitStack() as stack:
            for peer in peers:
                stack.enter_context(peer)
                peer.connect(made.transport.get_extra_info("sockname"))
                peer.settimeout(10)
            for turn in range(2):
                for number, peer in enumerate(peers):
                    peer.send(b"%d" % number)
                    if number % 50 == 49:
                        await made.until(
                            lambda: len(made.got) == 300 * turn + number + 1)
                for number, peer in enumerate(peers):
                    assert peer.recv(10) == b"%d" % number
            assert made.got[:300] == made.got[300:] == [
                (b"%d" % n, peer.getsockname()) for n, peer in enumerate(peers)]


# ---- Unix sockets -------------------------------------------------------------


async def test_unix_addresses(tmp_path):
    """A path, an abstract name, a sender without a name."""
    class Answers(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if addr is not None:
                self.transport.sendto(data, addr)
    path, abstract = str(tmp_path / "server"), b"\0kevent-test-%d" % id(tmp_path)
    server = await endpoint(Answers, local_addr=path, family=socket.AF_UNIX)
    assert server.transport.get_extra_info("sockname") == path
    for name in (str(tmp_path / "client"), abstract):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as raw:
            raw.bind(name)
            raw.settimeout(10)
            raw.sendto(b"x", path)
            await server.until(lambda: server.got)
            assert server.got.pop() == (b"x", name)
            assert raw.recv(10) == b"x"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as raw:
        raw.sendto(b"x", path)
        await server.until(lambda: server.got)
        assert server.got.pop() == (b"x", None)
    await close(server)


async def test_unix_long(tmp_path):
    """A Unix datagram can be longer than any of UDP."""
    path = str(tmp_path / "server")
    server = await endpoint(local_addr=path, family=socket.AF_UNIX)
    client = await endpoint(remote_addr=path, family=socket.AF_UNIX)
    for size in (150_000, 1, 150_000):
        client.transport.sendto(b"x" * size)
        client.transport.sendto(b"y")
        await server.until(lambda: len(server.got) == 2)
        assert server.data == [b"x" * size, b"y"]
        del server.got[:]
    await close(client, server)


async def test_unix_nobody(tmp_path):
    """A path where nobody listens: error_received."""
    made = await endpoint(local_addr=str(tmp_path / "ours"), family=socket.AF_UNIX)
    made.transport.sendto(b"x", str(tmp_path / "nobody"))
    assert [type(exc) for exc in made.errors] == [FileNotFoundError]
    await close(made)


# ---- waiting to send ---------------------------------------------------------


@pytest.mark.parametrize("connected", [True, False])
async def test_buffered_in_order(tmp_path, connected):
    """What a full receiver does not take is sent when it can, in order."""
    async with full_queue(tmp_path, connected=connected) as (made, raw):
        last = made.sent - 1
        assert made.transport.get_write_buffer_size() == len(str(last)) + HEADER
        data = bytearray(b"%d" % made.sent)
        made.transport.sendto(data, made.receiver)
        data[:] = b"changed"
        await read_numbers(raw, made.sent + 1)
        await turns()
        assert made.transport.get_write_buffer_size() == 0
        assert not made.errors


async def test_pause_and_resume_writing(tmp_path):
    """pause_writing() above the high mark, resume_writing() at the low one."""
    async with full_queue(tmp_path) as (made, raw):
        made.transport.set_write_buffer_limits(high=200, low=100)
        assert made.transport.get_write_buffer_limits() == (100, 200)
        while "pause" not in made.calls:
            made.transport.sendto(b"%d" % made.sent)
            made.sent += 1
        size = made.transport.get_write_buffer_size()
        assert 200 < size <= 200 + len(str(made.sent)) + HEADER
        made.transport.sendto(b"%d" % made.sent)
        await read_numbers(raw, made.sent + 1)
        await made.until(lambda: "resume" in made.calls)
        assert made.calls == ["made", "pause", "resume"]
        made.transport.set_write_buffer_limits(high=0)
        assert made.transport.get_write_buffer_limits() == (0, 0)
        with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\)"):
            made.transport.set_write_buffer_limits(1, 2)


async def test_close_sends_what_is_buffered(tmp_path):
    """close(): connection_lost() comes after the last datagram has left."""
    async with full_queue(tmp_path) as (made, raw):
        made.transport.close()
        made.transport.sendto(b"%d" % made.sent)
        await turns()
        assert made.transport.is_closing() and "lost" not in made.calls
        await read_numbers(raw, made.sent + 1)
        await lost(made)
        assert made.lost_with is None


async def test_abort_forgets_what_is_buffered(tmp_path):
    """abort(): what was not sent never is."""
    async with full_queue(tmp_path) as (made, raw):
        made.transport.abort()
        await lost(made)
        await read_numbers(raw, made.sent - 1)
        raw.settimeout(0)
        with pytest.raises(BlockingIOError):
            raw.recv(10)


async def test_receiver_gone_while_buffered(tmp_path):
    """Each datagram that cannot be sent any more is error_received."""
    async with full_queue(tmp_path) as (made, raw):
        made.transport.sendto(b"another")
        raw.close()
        await made.until(lambda: len(made.errors) == 2)
        assert all(isinstance(exc, OSError) for exc in made.errors)
        assert made.transport.get_write_buffer_size() == 0
        await turns()


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
async def test_flow_control_that_raises(tmp_path, method, contexts):
    """An exception of pause_writing() or resume_writing() is reported only."""
    class Raises(Datagrams):
        def _raise(self):
            self.calls.append(method)
            self._happened()
            raise ZeroDivisionError
    setattr(Raises, method, Raises._raise)
    async with full_queue(tmp_path, Raises) as (made, raw):
        made.transport.set_write_buffer_limits(0)
        await read_numbers(raw, made.sent)
        await made.until(lambda: "resume" in "".join(made.calls))
        assert not made.transport.is_closing()
    [context] = contexts
    assert context["message"] == f"protocol.{method}() failed"
    assert isinstance(context["exception"], ZeroDivisionError)
    contexts.clear()


# ---- what callbacks may do -------------------------------------------------------


async def test_raising_datagram_received(contexts):
    """An exception concerns that datagram; those behind it are delivered."""
    class Raises(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if data == b"1":
                raise ZeroDivisionError
    async with raw_peer(Raises) as (made, raw):
        for number in range(4):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 4)
        assert not made.transport.is_closing()
    [context] = contexts
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["message"].startswith("Exception in ")
    contexts.clear()


async def test_raising_connection_made(contexts):
    """The endpoint is made nevertheless, and reads."""
    class Raises(Datagrams):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ZeroDivisionError
    async with raw_peer(Raises) as (made, raw):
        raw.send(b"x")
        await made.until(lambda: made.got)
    assert len(contexts) == 1
    contexts.clear()


async def test_raising_error_received(contexts):
    """In sendto() it comes out of sendto(); while reading it is reported."""
    class Raises(Datagrams):
        def error_received(self, exc):
            super().error_received(exc)
            raise ZeroDivisionError
    async with raw_peer(Raises) as (made, raw):
        with pytest.raises(ZeroDivisionError):
            made.transport.sendto(b"x" * 70000, raw.getsockname())
        name = raw.getsockname()
    assert not contexts
    made = await endpoint(Raises, remote_addr=name)
    made.transport.sendto(b"x")
    await made.until(lambda: made.errors)
    await turns(1)
    assert isinstance(contexts.pop()["exception"], ZeroDivisionError)
    assert not contexts and not made.transport.is_closing()
    await close(made)


async def test_raising_connection_lost(contexts):
    """Reported; the socket is closed."""
    class Raises(Datagrams):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            raise ZeroDivisionError
    made = await endpoint(Raises, local_addr=LOCAL)
    await close(made)
    await turns(1)
    assert isinstance(contexts.pop()["exception"], ZeroDivisionError)
    assert made.transport.get_extra_info("socket").fileno() == -1


async def test_pause_reading():
    """Nothing is delivered while reading is paused; nothing is lost."""
    class Pauses(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if len(self.got) in (2, 5):
                self.transport.pause_reading()
    async with raw_peer(Pauses) as (made, raw):
        assert made.transport.is_reading()
        for number in range(10):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 2)
        await turns(5)
        assert len(made.got) == 2 and not made.transport.is_reading()
        made.transport.pause_reading()
        made.transport.resume_reading()
        made.transport.resume_reading()
        assert len(made.got) == 2 and made.transport.is_reading()
        await made.until(lambda: len(made.got) == 5)
        raw.send(b"10")
        await turns(5)
        assert len(made.got) == 5
        made.transport.resume_reading()
        await made.until(lambda: len(made.got) == 11)
        assert made.data == [b"%d" % n for n in range(11)]


async def test_pause_in_connection_made():
    """Then nothing comes until reading is resumed."""
    class Pauses(Datagrams):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()
    async with raw_peer(Pauses) as (made, raw):
        raw.send(b"x")
        await turns(5)
        assert not made.got
        made.transport.resume_reading()
        await made.until(lambda: made.got)


@pytest.mark.parametrize("method", ["close", "abort"])
async def test_end_in_datagram_received(method):
    """What had come besides is delivered no more."""
    class Ends(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            getattr(self.transport, method)()
    async with raw_peer(Ends) as (made, raw):
        for _ in range(5):
            raw.send(b"x")
        await lost(made)
        await turns()
        assert len(made.got) == 1
        assert made.calls == ["made", "lost"] and made.lost_with is None


async def test_end_in_connection_made():
    """close() at once: nothing is read."""
    class Ends(Datagrams):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.close()
    made = await endpoint(Ends, local_addr=LOCAL)
    await lost(made)
    assert made.calls == ["made", "lost"]


async def test_another_protocol():
    """set_protocol() in the middle of a batch: the next datagram is the new one's."""
    second = Datagrams()

    class First(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            second.transport = self.transport
            self.transport.set_protocol(second)
    async with raw_peer(First) as (made, raw):
        for number in range(3):
            raw.send(b"%d" % number)
        await second.until(lambda: len(second.got) == 2)
        assert made.data == [b"0"] and second.data == [b"1", b"2"]
        assert made.transport.get_protocol() is second
        made.transport.set_protocol(made)


async def test_answers_in_order():
    """What a callback sends arrives in the order of sending, to each receiver."""
    class Twice(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.sendto(data + b"a", addr)
            self.transport.sendto(bytearray(data + b"b"), addr)
            self.transport.sendto(data + b"c", ("localhost", addr[1]))
            self.transport.sendto(data + b"d", addr)
    async with raw_peer(Twice) as (made, raw):
        for number in range(8):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 8)
        expected = [b"%d%c" % (n, c) for n in range(8) for c in b"abcd"]
        assert [raw.recv(10) for _ in range(32)] == expected


async def test_through_another_socket():
    """A relay: what comes in at one endpoint goes out at others."""
    with socket.socket(*ADDRESSED) as far:
        far.bind(LOCAL)
        far.settimeout(10)
        out = await endpoint(remote_addr=far.getsockname())
        loose = await endpoint(local_addr=LOCAL)

        class Relay(Datagrams):
            def datagram_received(self, data, addr):
                super().datagram_received(data, addr)
                out.transport.sendto(data)
                loose.transport.sendto(data, far.getsockname())
        async with raw_peer(Relay) as (made, raw):
            for number in range(6):
                raw.send(b"%d" % number)
            await made.until(lambda: len(made.got) == 6)
            came = [far.recvfrom(10) for _ in range(12)]
        for sender in (out, loose):
            name = sender.transport.get_extra_info("sockname")
            assert [data for data, addr in came if addr == name] == made.data
        await close(out, loose)


async def test_errors_within_a_batch():
    """Of what a batch sends, each datagram that cannot be sent is
    error_received, and the others leave."""
    class Answers(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.sendto(data * 70000 if data in b"25" else data, addr)
    async with raw_peer(Answers) as (made, raw):
        for number in range(8):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 8)
        await made.until(lambda: len(made.errors) == 2)
        assert [raw.recv(10) for _ in range(6)] == [b"%d" % n for n in (0, 1, 3, 4, 6, 7)]


async def test_contexts():
    """Callbacks run in copies of the context in which the endpoint was made."""
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    class Looks(Datagrams):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(variable.get())
            variable.set("made")

        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            seen.append(variable.get())
            variable.set(data)
    variable.set("outside")
    async with raw_peer(Looks) as (made, raw):
        variable.set("changed")
        for data in (b"1", b"2"):
            raw.send(data)
            await made.until(lambda: made.data[-1:] == [data])
        assert seen == ["outside", "outside", b"1"]
        made.transport.pause_reading()
        made.transport.resume_reading()
        raw.send(b"3")
        await made.until(lambda: made.data[-1:] == [b"3"])
        assert seen[-1] == "changed" and variable.get() == "changed"


async def test_made_before_anything_comes():
    """Who awaits the endpoint goes on before the first datagram is delivered."""
    sock = socket.socket(*ADDRESSED)
    sock.bind(LOCAL)
    with socket.socket(*ADDRESSED) as raw:
        raw.sendto(b"early", sock.getsockname())
    made = await endpoint(sock=sock)
    assert made.calls == ["made"] and not made.got
    await made.until(lambda: made.got)
    await close(made)


async def test_interrupted_batch(loop_factory):
    """A KeyboardInterrupt leaves the loop; the rest of the batch is delivered
    when the loop goes on."""
    done = python("-c", """if 1:
        import asyncio, socket, sys
        kind = sys.argv[1]
        if kind == "kevent":
            import kevent
            loop = kevent.new_event_loop()
        else:
            loop = asyncio.SelectorEventLoop()
        got = []
        class Protocol(asyncio.DatagramProtocol):
            def datagram_received(self, data, addr):
                got.append(data)
                self.transport.sendto(data, addr)
                if data in (b"1", b"3"):
                    raise KeyboardInterrupt if data == b"1" else SystemExit
                if len(got) == 5:
                    loop.stop()
            def connection_made(self, transport):
                self.transport = transport
        transport, _ = loop.run_until_complete(loop.create_datagram_endpoint(
            Protocol, local_addr=("127.0.0.1", 0)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
            raw.settimeout(10)
            raw.connect(transport.get_extra_info("sockname"))
            for number in range(5):
                raw.send(b"%d" % number)
            ends = []
            while len(ends) < 3:
                try:
                    loop.run_forever()
                    ends.append("stop")
                except BaseException as exc:
                    ends.append(type(exc).__name__)
            assert [raw.recv(9) for _ in got] == got
        transport.close()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        print(got == [b"%d" % n for n in range(5)], ends)
        """, "kevent" if loop_factory.__module__ == "kevent.loop" else "asyncio")
    assert done.stdout == "True ['KeyboardInterrupt', 'SystemExit', 'stop']\n", (
        done.stdout, done.stderr)


# ---- what it says of itself -----------------------------------------------------


async def test_extra_info():
    """The socket as asyncio wraps it, both names, nothing else."""
    async with raw_peer() as (made, raw):
        tell = made.transport.get_extra_info
        assert type(tell("socket")) is trsock.TransportSocket
        assert tell("socket").type == socket.SOCK_DGRAM
        assert tell("sockname") == tell("socket").getsockname()
        assert tell("peername") is None and tell("peername", 5) is None
        assert tell("cipher") is None and tell("cipher", 5) == 5
        assert tell("cipher", default=6) == 6
    assert tell("sockname")[0] == "127.0.0.1" and tell("socket").fileno() == -1


async def test_types():
    """It is a DatagramTransport (asyncio's own is one from 3.12 on), and what
    asyncio's is besides."""
    made = await endpoint(local_addr=LOCAL)
    assert isinstance(made.transport, (asyncio.Transport, asyncio.BaseTransport))
    if sys.version_info >= (3, 12) or "kevent" in type(made.transport).__module__:
        assert isinstance(made.transport, asyncio.DatagramTransport)
    await close(made)


async def test_repr():
    """Its state, descriptor and buffer."""
    async with raw_peer() as (made, _):
        fd = made.transport.get_extra_info("socket").fileno()
        text = repr(made.transport)
        assert text.endswith(f"Transport fd={fd} read=polling write=<idle, bufsize=0>>")
        made.transport.pause_reading()
        assert "read=idle" in repr(made.transport)
        made.transport.close()
        assert f"closing fd={fd} read=idle" in repr(made.transport)
    assert repr(made.transport).endswith(f"Transport closed fd={fd}>")


async def test_repr_while_buffered(tmp_path):
    """Waiting to send is polling, with the size of the buffer."""
    async with full_queue(tmp_path) as (made, _):
        size = made.transport.get_write_buffer_size()
        assert f"write=<polling, bufsize={size}>" in repr(made.transport)


def test_unclosed(loop):
    """An endpoint that is dropped warns and closes its socket."""
    sock = socket.socket(*ADDRESSED)
    sock.bind(LOCAL)
    with pytest.warns(ResourceWarning, match="unclosed transport <.*Transport"):
        transport, _ = loop.run_until_complete(
            loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock))
        loop.close()
        del transport
        gc.collect()
    assert sock.fileno() == -1


async def test_dropped_while_it_reads():
    """A transport that nobody has is kept by the loop while it reads."""
    class Forgets(Datagrams):
        def connection_made(self, transport):
            self.calls.append("made")
            self.ref = weakref.ref(transport)
    loop = asyncio.get_running_loop()
    sock = socket.socket(*ADDRESSED)
    sock.bind(LOCAL)
    made = (await loop.create_datagram_endpoint(Forgets, sock=sock))[1]
    await turns()
    gc.collect()
    with socket.socket(*ADDRESSED) as raw:
        raw.sendto(b"x", sock.getsockname())
        await made.until(lambda: made.got)
    made.transport = made.ref()
    await close(made)


async def test_descriptor_in_use():
    """The loop's callbacks cannot be put on its socket."""
    loop = asyncio.get_running_loop()
    made = await endpoint(local_addr=LOCAL)
    sock = made.transport.get_extra_info("socket")
    for call in (loop.add_reader, loop.add_writer):
        with pytest.raises(RuntimeError, match="is used by transport"):
            call(sock, print)
    for call in (loop.remove_reader, loop.remove_writer):
        with pytest.raises(RuntimeError, match="is used by transport"):
            call(sock)
    await close(made)


async def test_socket_in_use():
    """One socket, one endpoint (from 3.12 on in asyncio)."""
    sock = socket.socket(*ADDRESSED)
    sock.bind(LOCAL)
    made = await endpoint(sock=sock)
    if sys.version_info >= (3, 12) or "kevent" in type(made.transport).__module__:
        with pytest.raises(RuntimeError, match="is used by transport"):
            await endpoint(sock=sock)
    await close(made)


async def test_warning_of_lost_sends(caplog):
    """A connected endpoint that is lost: from the sixth datagram on a warning."""
    with socket.socket(*ADDRESSED) as raw:
        raw.bind(LOCAL)
        made = await endpoint(remote_addr=raw.getsockname())
        made.transport.abort()
        for stage in range(2):
            with caplog.at_level(logging.WARNING, logger="asyncio"):
                for _ in range(4):
                    made.transport.sendto(b"x")
            assert len(caplog.records) == (0 if stage == 0 else 4)
            await lost(made)
        assert {r.message for r in caplog.records} == {"socket.send() raised exception."}


async def test_send_between_close_and_lost():
    """An endpoint without a peer sends until connection_lost() is called."""
    async with raw_peer() as (made, raw):
        made.transport.close()
        made.transport.sendto(b"late", raw.getsockname())
        assert raw.recv(10) == b"late"
        await lost(made)


@pytest.mark.only_kevent("AttributeError in asyncio")
async def test_calls_after_lost():
    """They do nothing."""
    async with raw_peer() as (made, raw):
        await close(made)
        transport = made.transport
        transport.sendto(b"x", raw.getsockname())
        transport.close()
        transport.abort()
        transport.pause_reading()
        transport.resume_reading()
        assert transport.get_write_buffer_size() == 0
        assert transport.is_closing() and not transport.is_reading()


async def test_debug(caplog):
    """In debug mode: pausing is logged, and a callback that takes long."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0

    async with raw_peer(Echo) as (made, raw):
        with caplog.at_level(logging.DEBUG, logger="asyncio"):
            made.transport.pause_reading()
            for number in range(3):
                raw.send(b"%d" % number)
            made.transport.resume_reading()
            await made.until(lambda: len(made.got) == 3)
            await turns()
        assert [raw.recv(9) for _ in range(3)] == made.data
    loop.set_debug(False)
    text = [record.getMessage() for record in caplog.records]
    assert any(line.endswith("pauses reading") for line in text)
    assert any(line.endswith("resumes reading") for line in text)
    # Each datagram is a callback of its own, as ever.
    assert sum("DatagramTransport" in line and "Executing" in line
               for line in text) >= 3


# ---- batches -----------------------------------------------------------------


class Lists(Datagrams):
    """Takes whole batches; echoes each."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def datagrams_received(self, datagrams):
        self.batches.append(datagrams)
        for data, addr in datagrams:
            self.got.append((data, addr))
            self.transport.sendto(data, addr)
        self._happened()


@pytest.mark.only_kevent("an offer of kevent's")
async def test_lists():
    """A class with datagrams_received() gets what had come as a list."""
    async with raw_peer(Lists) as (made, raw):
        for number in range(20):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 20)
        assert [raw.recv(10) for _ in range(20)] == made.data == [
            b"%d" % n for n in range(20)]
        assert len(made.batches) < 20 and made.batches[0][0] == (b"0", raw.getsockname())
        assert all(type(batch) is list for batch in made.batches)
        raw.send(b"one")
        await made.until(lambda: len(made.got) == 21)
        assert made.batches[-1] == [(b"one", raw.getsockname())]


@pytest.mark.only_kevent("an offer of kevent's")
async def test_lists_by_class_only():
    """An object that claims every attribute is still asked one by one."""
    class Claims(Datagrams):
        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return lambda *args: pytest.fail(name)
    async with raw_peer(Claims) as (made, raw):
        raw.send(b"x")
        await made.until(lambda: made.got)


@pytest.mark.only_kevent("asyncio reads one in a pass")
async def test_batches_are_bounded():
    """A pass takes 32 datagrams of a socket, so that others have their turn."""
    loop = asyncio.get_running_loop()
    async with raw_peer() as (made, raw):
        turns_taken = []
        made.transport.pause_reading()
        for number in range(100):
            raw.send(b"%d" % number)
        made.transport.resume_reading()

        def look():
            turns_taken.append(len(made.got))
            if len(made.got) < 100:
                loop.call_soon(look)
        look()
        await made.until(lambda: len(made.got) == 100)
        steps = {b - a for a, b in zip(turns_taken, turns_taken[1:])}
        assert max(steps) <= 32 and made.data == [b"%d" % n for n in range(100)]


@pytest.mark.only_kevent("asyncio sends each at once")
async def test_batch_leaves_before_the_next_poll():
    """What a batch sends is held until its last callback has returned, unless
    somebody asks how much is buffered."""
    class Answers(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.sendto(data, addr)
            self.seen.append(arrived(raw))
            if data == b"2":
                assert self.transport.get_write_buffer_size() == 0
                self.seen.append(arrived(raw))

    def arrived(raw):
        count = 0
        raw.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while raw.recv(100):
                count += 1
        return count
    async with raw_peer(Answers) as (made, raw):
        made.seen = []
        for number in range(4):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 4)
        assert made.seen == [0, 0, 0, 3, 0]
        await turns(1)
        assert arrived(raw) == 1


@pytest.mark.only_kevent("uses a private method of ours")
def test_pass_within_a_callback(loop):
    """A callback that runs a pass of the loop: what it sent before is out, the
    rest of the batch is not delivered twice."""
    got = []

    class Nests(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            got.append(data)
            self.transport.sendto(data, addr)
            if data == b"1":
                loop.call_soon(int)
                loop._run_once()
                assert raw.recv(9) == b"0" and raw.recv(9) == b"1"
    transport, _ = loop.run_until_complete(
        loop.create_datagram_endpoint(Nests, local_addr=LOCAL))
    with socket.socket(*ADDRESSED) as raw:
        raw.settimeout(10)
        raw.connect(transport.get_extra_info("sockname"))
        for number in range(5):
            raw.send(b"%d" % number)
        while len(got) < 5:
            loop.run_until_complete(asyncio.sleep(0))
        assert [raw.recv(9) for _ in range(3)] == [b"2", b"3", b"4"]
    assert got == [b"%d" % n for n in range(5)]
    transport.close()
    loop.run_until_complete(asyncio.sleep(0))
