"""TCP transports: what a protocol is told, and what a transport promises."""
import asyncio
import socket
import sys

import pytest

from .helpers import (BufferedRecorder, Recorder, connected, on_socket, reset,
                      turns)

# 3.12 to 3.13.9 and 3.14.0 (python/cpython#136234).
WRITELINES = asyncio.selector_events._SelectorSocketTransport.writelines
WRITELINES_OF_3_12 = ("_write_ready" in WRITELINES.__code__.co_names
                      and "_conn_lost" not in WRITELINES.__code__.co_names)


async def test_kind():
    """The transport is an asyncio.Transport, so libraries know it."""
    async with connected() as (ours, theirs):
        for side in (ours, theirs):
            assert isinstance(side.transport, asyncio.Transport)
            assert isinstance(side.transport, asyncio.BaseTransport)
            assert not side.transport.is_closing()
            assert side.transport.get_protocol() is side


async def test_order_of_calls():
    """connection_made first, connection_lost last and once."""
    async with connected() as (ours, theirs):
        ours.transport.write(b"x")
        await theirs.received(1)
        ours.transport.close()
        await ours.lost()
        assert await theirs.lost() is None
        await turns()
    assert ours.calls == ["made", "lost"]
    assert theirs.calls == ["made", "data", "eof", "lost"]


async def test_extra_info():
    """socket, sockname and peername are there; unknown names are None."""
    async with connected() as (ours, theirs):
        for side, other in ((ours, theirs), (theirs, ours)):
            info = side.transport.get_extra_info
            sock = info("socket")
            assert sock.family == socket.AF_INET
            assert sock.fileno() >= 0
            assert info("sockname") == sock.getsockname()
            assert info("peername") == sock.getpeername()
            assert info("sockname") == other.transport.get_extra_info(
                "peername")
            assert info("nonsense") is None
            assert info("nonsense", 7) == 7
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("when", ["before the loss is told", "afterwards"])
async def test_names_survive_a_reset(host, when):
    """sockname and peername are those of the beginning though nobody asked before
    the peer reset the connection, at either end."""
    loop = asyncio.get_running_loop()
    found = loop.create_future()

    class Asks(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def connection_lost(self, exc):
            if when == "afterwards":
                loop.call_soon(self.ask)
            else:
                self.ask()

        def ask(self):
            found.set_result([self.transport.get_extra_info(name)
                              for name in ("sockname", "peername")])

    server = await loop.create_server(Asks, host, 0)
    address = server.sockets[0].getsockname()
    async with server:
        raw = socket.create_connection(address[:2])
        expected = [raw.getpeername(), raw.getsockname()]
        reset(raw)
        assert await found == expected

    found = loop.create_future()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        await loop.create_connection(Asks, *listener.getsockname()[:2])
        raw, address = listener.accept()
        expected = [address, raw.getsockname()]
        reset(raw)
        assert await found == expected


async def test_socket_is_wrapped():
    """The socket given out refuses what would disturb the loop."""
    async with connected() as (ours, _):
        sock = ours.transport.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        for name in ("recv", "send", "close"):
            assert not hasattr(sock, name)


@pytest.mark.parametrize("data", [b"bytes", bytearray(b"bytes"),
                                  memoryview(b"bytes"),
                                  memoryview(bytearray(b"bytes"))])
async def test_write_kinds(data):
    """bytes, bytearray and memoryview can be written."""
    async with connected() as (ours, theirs):
        ours.transport.write(data)
        assert await theirs.received(5) == b"bytes"


async def test_write_of_other_formats():
    """A memoryview of wider items is written as its bytes."""
    import array
    numbers = array.array("I", range(5000))
    async with connected() as (ours, theirs):
        ours.transport.write(memoryview(numbers).cast("B"))
        got = await theirs.received(20000)
        assert got == numbers.tobytes()


@pytest.mark.parametrize("data", ["text", None, 5, [b"x"]])
async def test_write_wrong_type(data):
    """Anything else raises TypeError and does no harm."""
    async with connected() as (ours, theirs):
        with pytest.raises(TypeError):
            ours.transport.write(data)
        ours.transport.write(b"still well")
        assert await theirs.received(10) == b"still well"


async def test_write_nothing():
    """Empty writes are no events for the peer."""
    async with connected() as (ours, theirs):
        ours.transport.write(b"")
        ours.transport.writelines([])
        ours.transport.writelines([b"", b""])
        ours.transport.write(b"x")
        assert await theirs.received(1) == b"x"


async def test_write_is_sent_at_once():
    """A small write reaches the kernel before the call returns."""
    async with on_socket() as (ours, raw):
        ours.transport.write(b"now")
        assert raw.recv(10) == b"now"
        assert ours.transport.get_write_buffer_size() == 0


@pytest.mark.parametrize("kind", [list, tuple, iter])
async def test_writelines(kind):
    """All pieces arrive in order, whatever iterable they come in."""
    pieces = [b"one", bytearray(b"two"), memoryview(b"three"), b"", b"four"]
    async with connected() as (ours, theirs):
        ours.transport.writelines(kind(pieces))
        assert await theirs.received(15) == b"onetwothreefour"


async def test_writelines_many():
    """More pieces than a vectored write takes."""
    pieces = [b"%05d" % n for n in range(5000)]
    async with connected() as (ours, theirs):
        ours.transport.writelines(pieces)
        assert await theirs.received(25000) == b"".join(pieces)


async def test_writelines_after_write_keeps_the_order():
    """Pieces queue behind what is still in the buffer."""
    first = bytes(4 << 20)
    async with connected() as (ours, theirs):
        ours.transport.write(first)
        ours.transport.writelines([b"a", b"b"])
        ours.transport.write(b"c")
        got = await theirs.received(len(first) + 3)
        assert got[-3:] == b"abc"


async def test_writelines_wrong_piece():
    """A piece of a wrong type raises TypeError."""
    async with connected() as (ours, theirs):
        with pytest.raises(TypeError):
            ours.transport.writelines([b"x", "text"])
        with pytest.raises(TypeError):
            ours.transport.writelines(5)


@pytest.mark.stdlib_differs(
    "from 3.12 on it keeps a view of the caller's buffer, and sends what that "
    "holds by then", when=sys.version_info >= (3, 12))
async def test_buffer_changed_after_write():
    """What is sent is what the buffer held when write() was called."""
    data = bytearray(b"a" * (8 << 20))
    async with connected() as (ours, theirs):
        ours.transport.write(data)
        assert ours.transport.get_write_buffer_size() > 0
        data[:] = b"b" * len(data)
        got = await theirs.received(8 << 20)
        assert got.count(b"a") == 8 << 20


@pytest.mark.stdlib_differs(
    "from 3.12 on it keeps a view of the caller's buffer, which cannot be resized",
    raises=BufferError, when=sys.version_info >= (3, 12))
async def test_buffer_cleared_after_write():
    """The buffer is the caller's again once write() has returned, to be resized,
    too; what it held arrives."""
    data = bytearray(b"a" * (8 << 20))
    async with connected() as (ours, theirs):
        ours.transport.write(data)
        assert ours.transport.get_write_buffer_size() > 0
        data.clear()
        got = await theirs.received(8 << 20)
        assert got.count(b"a") == 8 << 20


async def test_close_flushes():
    """close() sends what is buffered first, then the end of the stream."""
    data = bytes(range(256)) * 32768
    async with connected() as (ours, theirs):
        ours.transport.write(data)
        ours.transport.close()
        assert ours.transport.is_closing()
        assert await theirs.lost() is None
        assert theirs.data == data
        assert await ours.lost() is None


async def test_close_twice():
    """The second close and an abort after it change nothing."""
    async with connected() as (ours, theirs):
        ours.transport.close()
        ours.transport.close()
        ours.transport.abort()
        await ours.lost()
        ours.transport.close()
        ours.transport.abort()
        await turns()
        assert ours.calls.count("lost") == 1


async def test_connection_lost_is_not_called_from_close():
    """close() and abort() return first, connection_lost comes later."""
    for name in ("close", "abort"):
        async with connected() as (ours, _):
            getattr(ours.transport, name)()
            assert "lost" not in ours.calls
            await ours.lost()


async def test_abort_drops():
    """abort() forgets the buffer and is lost without an exception."""
    async with on_socket() as (ours, raw):
        while not ours.transport.get_write_buffer_size():
            ours.transport.write(bytes(1 << 20))
        ours.transport.abort()
        assert await ours.lost() is None
        assert ours.transport.get_write_buffer_size() == 0


async def test_write_after_close():
    """Writing to a closed transport is forgotten in silence, as asyncio
    does."""
    async with connected() as (ours, theirs):
        ours.transport.close()
        for _ in range(3):
            ours.transport.write(b"late")
        await ours.lost()
        ours.transport.write(b"later")
        await theirs.lost()
        assert theirs.data == b""


@pytest.mark.stdlib_differs(
    "where it has a writelines() that does not ask whether the connection is "
    "lost, that calls what is no more there", raises=TypeError,
    when=WRITELINES_OF_3_12)
async def test_any_call_after_lost():
    """Every method of a lost transport still answers."""
    async with connected() as (ours, theirs):
        ours.transport.close()
        ours.transport.writelines([b"late"])
        await ours.lost()
        transport = ours.transport
        transport.writelines([b"late", b"later"])
        transport.write(b"late")
        transport.abort()
        transport.close()
        transport.pause_reading()
        transport.resume_reading()
        assert transport.is_closing() and not transport.is_reading()
        assert transport.get_write_buffer_size() == 0
        assert transport.get_extra_info("nonsense") is None
        repr(transport)
        await theirs.lost()
        assert theirs.data == b""


async def test_write_after_eof():
    """After write_eof() writing raises RuntimeError."""
    async with connected() as (ours, theirs):
        theirs.keep_open = True
        ours.transport.write_eof()
        with pytest.raises(RuntimeError):
            ours.transport.write(b"x")
        with pytest.raises(RuntimeError):
            ours.transport.writelines([b"x"])


async def test_half_close():
    """After write_eof() the other direction goes on."""
    async with connected() as (ours, theirs):
        theirs.keep_open = True
        assert ours.transport.can_write_eof()
        ours.transport.write(b"question")
        ours.transport.write_eof()
        ours.transport.write_eof()
        await theirs.until(lambda: "eof" in theirs.calls)
        assert theirs.data == b"question"
        theirs.transport.write(b"answer")
        assert await ours.received(6) == b"answer"
        theirs.transport.close()
        assert await ours.lost() is None


async def test_half_close_after_a_large_write():
    """The end of the stream follows the buffered data."""
    data = bytes(6 << 20)
    async with connected() as (ours, theirs):
        theirs.keep_open = True
        ours.transport.write(data)
        ours.transport.write_eof()
        await theirs.until(lambda: "eof" in theirs.calls)
        assert len(theirs.data) == len(data)


async def test_eof_closes_by_default():
    """If eof_received() answers false the transport closes itself."""
    async with on_socket() as (ours, raw):
        raw.shutdown(socket.SHUT_WR)
        assert await ours.lost() is None
        assert ours.calls == ["made", "eof", "lost"]
        assert raw.recv(1) == b""


async def test_data_before_eof():
    """Data that came with the end of the stream is delivered first."""
    async with on_socket() as (ours, raw):
        raw.sendall(b"last words")
        raw.close()
        await ours.lost()
        assert ours.calls == ["made", "data", "eof", "lost"]
        assert ours.data == b"last words"


async def test_peer_reset():
    """A reset is connection_lost with ConnectionResetError, once."""
    async with on_socket() as (ours, raw):
        reset(raw)
        assert isinstance(await ours.lost(), ConnectionResetError)
        await turns()
        assert ours.calls == ["made", "lost"]
        assert ours.transport.is_closing()


async def test_reset_while_writing():
    """Writing against a reset ends in connection_lost with an OSError."""
    async with on_socket() as (ours, raw):
        while not ours.transport.get_write_buffer_size():
            ours.transport.write(bytes(1 << 20))
        ours.transport.pause_reading()
        reset(raw)
        assert isinstance(await ours.lost(), OSError)
        assert ours.calls.count("lost") == 1


async def test_write_to_a_peer_that_went():
    """Writes after the peer's reset do not raise; the protocol is told."""
    async with on_socket() as (ours, raw):
        ours.transport.pause_reading()
        reset(raw)
        while "lost" not in ours.calls:
            ours.transport.write(b"x")
            await asyncio.sleep(0)
        assert isinstance(ours.error, OSError)


async def test_protocol_switch():
    """set_protocol() hands the next data to the new protocol."""
    async with connected() as (ours, theirs):
        ours.transport.write(b"one")
        await theirs.received(3)
        second = Recorder()
        theirs.transport.set_protocol(second)
        assert theirs.transport.get_protocol() is second
        ours.transport.write(b"two")
        assert await second.received(3) == b"two"
        assert theirs.data == b"one"
        ours.transport.close()
        await second.lost()
        assert "lost" not in theirs.calls
        theirs.calls.append("lost")        # for the helper's end


async def test_switch_to_buffered_and_back():
    """From Protocol to BufferedProtocol and back in one connection."""
    async with connected() as (ours, theirs):
        buffered, plain = BufferedRecorder(), Recorder()
        ours.transport.write(b"one")
        await theirs.received(3)
        theirs.transport.set_protocol(buffered)
        ours.transport.write(b"two")
        assert await buffered.received(3) == b"two"
        theirs.transport.set_protocol(plain)
        ours.transport.write(b"three")
        assert await plain.received(5) == b"three"
        theirs.transport.set_protocol(theirs)


async def test_switch_inside_data_received():
    """A protocol can hand over in the middle of data_received()."""
    second = []

    class First(Recorder):
        def data_received(self, data):
            super().data_received(data)
            second.append(BufferedRecorder(2))
            self.transport.set_protocol(second[0])

    async with connected(peer=First) as (ours, theirs):
        ours.transport.write(b"one")
        await theirs.received(3)
        ours.transport.write(b"twothree")
        assert await second[0].received(8) == b"twothree"
        theirs.transport.set_protocol(theirs)


async def test_buffered_protocol():
    """A BufferedProtocol gets the data in its own buffer, piece by piece."""
    data = bytes(range(256)) * 400
    async with connected(peer=lambda: BufferedRecorder(1000)) as (ours, theirs):
        ours.transport.write(data)
        assert await theirs.received(len(data)) == data
        assert all(isinstance(hint, int) for hint in theirs.hints)
        theirs.keep_open = True
        ours.transport.write_eof()
        await theirs.until(lambda: "eof" in theirs.calls)


async def test_context_of_callbacks_sees_nothing_of_others():
    """A ContextVar set in one protocol's callback is unset in another's."""
    import contextvars
    var = contextvars.ContextVar("var", default=None)
    seen = []

    class Setting(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(var.get())
            var.set("dirty")

    for _ in range(2):
        async with connected(peer=Setting):
            pass
    assert seen == [None, None]


# ---- exceptions in a protocol's callbacks ---------------------------------

async def test_error_in_connection_made(contexts):
    """It goes to the handler; the connection goes on."""
    class Bad(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ValueError("made")

    async with connected(peer=Bad) as (ours, theirs):
        ours.transport.write(b"x")
        assert await theirs.received(1) == b"x"
    (context,) = contexts
    assert isinstance(context["exception"], ValueError)
    contexts.clear()


@pytest.mark.parametrize("base", [Recorder, BufferedRecorder])
@pytest.mark.parametrize("method", ["data_received", "eof_received"])
async def test_error_in_reading(contexts, base, method):
    """It goes to the handler, and the connection is lost with it."""
    def raising(self, *args):
        getattr(base, name)(self, *args)
        raise ValueError(name)

    name = method
    if method == "data_received" and base is BufferedRecorder:
        name = "buffer_updated"
    Bad = type("Bad", (base,), {name: raising})
    async with connected(peer=Bad) as (ours, theirs):
        ours.transport.write(b"x")
        if method == "eof_received":
            await theirs.received(1)
            ours.transport.write_eof()
        error = await theirs.lost()
        assert isinstance(error, ValueError)
    (context,) = contexts
    assert context["exception"] is error
    assert context["transport"] is theirs.transport
    assert context["protocol"] is theirs
    assert "Fatal error" in context["message"]
    contexts.clear()


@pytest.mark.parametrize("get_buffer", [
    lambda self, hint: bytearray(), lambda self, hint: None,
    lambda self, hint: b"read-only", lambda self, hint: 1 / 0])
async def test_bad_get_buffer(contexts, get_buffer):
    """A buffer that cannot be read into is fatal for the connection."""
    Bad = type("Bad", (BufferedRecorder,), {"get_buffer": get_buffer})
    async with connected(peer=Bad) as (ours, theirs):
        ours.transport.write(b"x")
        assert isinstance(await theirs.lost(), Exception)
    assert len(contexts) == 1
    contexts.clear()


async def test_error_in_connection_lost(contexts):
    """It goes to the handler; the descriptor is closed all the same."""
    class Bad(Recorder):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            raise ValueError("lost")

    async with connected(protocol=Bad) as (ours, theirs):
        ours.transport.close()
        await ours.lost()
        await theirs.lost()
        await turns()
    (context,) = contexts
    assert isinstance(context["exception"], ValueError)
    contexts.clear()


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
async def test_error_in_flow_control(contexts, method):
    """It goes to the handler, with the transport; the connection goes on."""
    def raising(self):
        getattr(Recorder, method)(self)
        raise ValueError(method)

    Bad = type("Bad", (Recorder,), {method: raising})
    async with connected(protocol=Bad) as (ours, theirs):
        ours.transport.write(bytes(8 << 20))
        await theirs.received(8 << 20)
        await ours.until(lambda: "resume" in ours.calls)
        await turns()
        assert "lost" not in ours.calls
    (context,) = contexts
    assert isinstance(context["exception"], ValueError)
    assert context["transport"] is ours.transport
    contexts.clear()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_exit_in_data_received(loop, error):
    """SystemExit and KeyboardInterrupt leave the loop."""
    class Leaving(Recorder):
        def data_received(self, data):
            raise error

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        transport, protocol = loop.run_until_complete(
            loop.create_connection(Leaving, sock=ours))
        theirs.send(b"x")
        with pytest.raises(error):
            loop.run_until_complete(asyncio.sleep(10))
        transport.abort()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))


async def test_close_inside_data_received():
    """close() from data_received(): no more data, lost once."""
    class Closing(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.close()

    async with connected(peer=Closing) as (ours, theirs):
        ours.transport.write(b"x")
        assert await theirs.lost() is None
        assert theirs.calls == ["made", "data", "lost"]


async def test_abort_inside_connection_made():
    """abort() from connection_made() ends in connection_lost."""
    class Aborting(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.abort()

    async with connected(peer=Aborting) as (ours, theirs):
        assert await theirs.lost() is None
        assert theirs.calls == ["made", "lost"]


# ---- how connections are made ---------------------------------------------

async def test_refused():
    """Nobody listens: ConnectionRefusedError."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, "127.0.0.1", port)


async def test_local_address():
    """local_addr is where the connection comes from."""
    async with connected(local_addr=("127.0.0.1", 0)) as (ours, _):
        name = ours.transport.get_extra_info("sockname")
        assert name[0] == "127.0.0.1"


async def test_by_name_and_happy_eyeballs():
    """A name is resolved; happy eyeballs take the family that answers."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport, made = await loop.create_connection(
            Recorder, "localhost", port, happy_eyeballs_delay=0.25)
        transport.close()
        await made.lost()
        await turns(10)


async def test_accepted_socket():
    """connect_accepted_socket makes a transport of what someone accepted."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        raw = socket.create_connection(listener.getsockname())
        conn, _ = listener.accept()
    with raw:
        transport, made = await loop.connect_accepted_socket(Recorder, conn)
        raw.sendall(b"hello")
        assert await made.received(5) == b"hello"
        transport.close()
        await made.lost()


async def test_socketpair():
    """Any connected stream socket will do: a socketpair."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    with theirs:
        transport, made = await loop.create_connection(Recorder, sock=ours)
        theirs.send(b"hi")
        assert await made.received(2) == b"hi"
        transport.close()
        await made.lost()


async def test_datagram_socket_is_refused():
    """A datagram socket is no stream: ValueError, the socket stays ours."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError):
            await loop.create_connection(Recorder, sock=sock)
        assert sock.fileno() >= 0


async def test_cancelled_connect():
    """Cancelling a connect leaves nothing behind."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        name = listener.getsockname()
        fill = []
        try:
            for _ in range(4):             # a full backlog lets connects hang
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(name)
                fill.append(sock)
            task = asyncio.ensure_future(
                loop.create_connection(Recorder, *name))
            await turns(5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        finally:
            for sock in fill:
                sock.close()


async def test_wait_for_a_thousand_requests():
    """A thousand small requests in a row over one connection."""
    class Echo(Recorder):
        def data_received(self, data):
            self.transport.write(data)

    async with connected(peer=Echo) as (ours, _):
        for number in range(1000):
            ours.transport.write(b"%04d" % number)
            await ours.received(4 * (number + 1))
    assert ours.data == b"".join(b"%04d" % n for n in range(1000))


async def test_many_connections():
    """A hundred connections at a time, each with its own data."""
    class Echo(Recorder):
        def data_received(self, data):
            self.transport.write(data)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=128)
    port = server.sockets[0].getsockname()[1]

    async def client(number):
        transport, made = await loop.create_connection(
            Recorder, "127.0.0.1", port)
        text = b"%d " % number * 1000
        transport.write(text)
        assert await made.received(len(text)) == text
        transport.close()
        await made.lost()

    async with server:
        await asyncio.gather(*(client(n) for n in range(100)))
        await turns(10)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 differs")
async def test_unreferenced_transport_warns():
    """A transport that is dropped while open warns and closes."""
    import gc
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    with theirs:
        transport, made = await loop.create_connection(Recorder, sock=ours)
        transport.pause_reading()
        made.transport = None
        del made, ours
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            del transport
            for _ in range(3):
                await asyncio.sleep(0)
                gc.collect()
