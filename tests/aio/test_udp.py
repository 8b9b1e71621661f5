"""Datagrams: endpoints, addresses, sizes, errors, what an endpoint says of itself."""
import asyncio
import contextlib
import gc
import logging
import socket
import sys
import weakref
from asyncio import trsock

import pytest

from .datagrams import (
    HEADER, KIND, LOCAL, Datagrams, Echo, close, endpoint, full_queue, lost, raw_peer,
)
from .helpers import turns


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


# ---- what is sent ----------------------------------------------------------


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
    with socket.socket(*KIND) as raw:
        raw.bind(LOCAL)
        raw.settimeout(10)
        sock = socket.socket(*KIND)
        sock.connect(raw.getsockname())
        made = await endpoint(sock=sock)
        assert made.transport.get_extra_info("peername") == raw.getsockname()
        for addr in (None, raw.getsockname(), ("127.0.0.1", 9), "anything"):
            made.transport.sendto(b"x", addr)
            assert raw.recv(10) == b"x"
        await close(made)


async def test_broadcast_is_not_connected():
    """remote_addr with allow_broadcast: the only address, without connect()."""
    with socket.socket(*KIND) as raw:
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
        peers = [socket.socket(*KIND) for _ in range(300)]
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


# ---- Unix sockets ----------------------------------------------------------


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


# ---- what it says of itself ------------------------------------------------


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


@pytest.mark.stdlib_differs("before 3.12 it is a Transport",
                            when=sys.version_info < (3, 12))
async def test_types():
    """It is a DatagramTransport, and a BaseTransport."""
    async with raw_peer() as (made, _):
        assert isinstance(made.transport, asyncio.BaseTransport)
        assert isinstance(made.transport, asyncio.DatagramTransport)


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
    sock = socket.socket(*KIND)
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
    sock = socket.socket(*KIND)
    sock.bind(LOCAL)
    made = (await loop.create_datagram_endpoint(Forgets, sock=sock))[1]
    await turns()
    gc.collect()
    with socket.socket(*KIND) as raw:
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


@pytest.mark.stdlib_differs(
    "before 3.12 it makes another endpoint", raises=pytest.fail.Exception,
    when=sys.version_info < (3, 12))
async def test_socket_in_use():
    """One socket, one endpoint."""
    sock = socket.socket(*KIND)
    sock.bind(LOCAL)
    made = await endpoint(sock=sock)
    try:
        with pytest.raises(RuntimeError, match="is used by transport"):
            await close(await endpoint(sock=sock))
    finally:
        await close(made)


async def test_warning_of_lost_sends(caplog):
    """A connected endpoint that is lost: from the sixth datagram on a warning."""
    with socket.socket(*KIND) as raw:
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


@pytest.mark.stdlib_differs(
    "sendto() uses the socket and the loop that it has let go of",
    raises=AttributeError)
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
