"""Transports under protocols, servers and programs that fight them."""
import pytest

from .child import run

METHODS = ("connection_made", "data_received", "eof_received", "connection_lost",
           "pause_writing", "resume_writing", "get_buffer", "buffer_updated")

ACTS = {
    "raise": "raise ValueError(name)",
    "base": "raise BaseException(name)",
    "exit": "raise SystemExit(name)",
    "close": "self.transport.close()",
    "abort": "self.transport.abort()",
    "lose": "self.transport._call_connection_lost(None)",
    "force": "self.transport._force_close(OSError(name))",
    "none": "self.transport.set_protocol(None)",
    "swap": "self.transport.set_protocol(Recorder())",
    "swap_buffered": "self.transport.set_protocol(Other())",
    "release": "self.transport._release_fd()",
    "reclaim": "self.transport._release_fd(); self.transport._reclaim_fd()",
    "write": "self.transport.write(b'x' * 300_000)",
    "writelines": "self.transport.writelines([b'x' * 100_000] * 3)",
    "eof": "self.transport.write_eof()",
    "closed_socket": "self.transport._sock.close()",
    "stolen_fd": "os.close(self.transport._sock_fd)",
    "detached": "self.transport._sock.detach()",
    "clear": "loop._ready.clear(); loop.stop()",
    "stop": "loop.stop()",
    "close_loop": "loop._thread_id = None; loop.close()",
    "release_loop": "loop._thread_id = None; loop._release()",
    "nested": "loop.call_soon(int); loop._run_once()",
    "transports": "del loop._transports",
    "waiter": "self.transport._empty_waiter = self",
    "limits": "self.transport._set_limits(-1, -1); self.transport._set_limits(0, 0)",
    "collect": "del self.transport; gc.collect()",
}


@pytest.mark.parametrize("method", METHODS)
def test_every_act_in(method):
    """Each thing that a protocol's method may do to its transport and loop,
    while data, the end of data and room to write arrive."""
    run(f"""
    import traceback
    ACTS = {ACTS!r}
    class Base:
        def __init__(self, act):
            self.act = act
        def did(self, name):
            if name == {method!r} and self.act is not None:
                act, self.act = self.act, None
                exec(act, globals(), dict(self=self, name=name, loop=self.loop,
                                          Other=Other))
        def connection_made(self, transport):
            self.transport = transport
            self.did("connection_made")
        def eof_received(self):
            self.did("eof_received")
        def connection_lost(self, exc):
            self.did("connection_lost")
        def pause_writing(self):
            self.did("pause_writing")
        def resume_writing(self):
            self.did("resume_writing")
    class Plain(Base, asyncio.Protocol):
        def data_received(self, data):
            self.did("data_received")
    class Buffered(Base, asyncio.BufferedProtocol):
        def get_buffer(self, hint):
            self.did("get_buffer")
            return bytearray(10)
        def buffer_updated(self, size):
            self.did("buffer_updated")
    class Other(asyncio.BufferedProtocol):
        def get_buffer(self, hint):
            return bytearray(100)
        def buffer_updated(self, size):
            pass
    def attempt(call, *args):
        try:
            return call(*args)
        except BaseException as exc:
            told.append(exc)
    for kind in (Plain, Buffered):
        for name, act in ACTS.items():
            loop = new_loop()
            protocol = kind(act)
            protocol.loop = loop
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.settimeout(0.2)
            transport = attempt(loop._make_socket_transport, ours, protocol)
            attempt(spin, loop)
            attempt(theirs.send, b"a" * 1000)
            attempt(spin, loop)
            attempt(transport.write, b"b" * 2_000_000)
            attempt(spin, loop, 2)
            attempt(theirs.recv, 1_000_000)
            attempt(spin, loop)
            attempt(theirs.recv, 1_000_000)
            attempt(transport.writelines, [b"c", bytearray(b"d"), memoryview(b"e")])
            attempt(theirs.shutdown, socket.SHUT_WR)
            attempt(spin, loop)
            theirs.close()
            attempt(spin, loop)
            attempt(transport.close)
            attempt(spin, loop)
            repr(transport)
            attempt(transport.get_extra_info, "peername")
            del transport, protocol
            attempt(loop.close)
            del loop
            gc.collect()
    """)


@pytest.mark.parametrize("slot", ["_loop", "_extra", "_high_water", "_low_water",
                                  "_protocol_paused"])
def test_slots_of_the_base_class(slot):
    """asyncio's descriptors write and delete what the base class keeps in our
    struct; the transport does not depend on it."""
    run(f"""
    import asyncio.transports
    def slot_of(name):
        for base in asyncio.transports._FlowControlMixin.__mro__:
            if name in vars(base):
                return vars(base)[name]
    loop = new_loop()
    protocol = Recorder()
    transport, theirs = connect(loop, protocol)
    slot = slot_of({slot!r})
    for garbage in (5, None, "text", object(), [transport], {{}}, new_loop()):
        slot.__set__(transport, garbage)
        transport.write(b"x")
        theirs.send(b"y")
        spin(loop)
        repr(transport)
        try:
            transport.get_extra_info("peername")
        except (TypeError, ValueError):
            pass
        gc.collect()
    slot.__delete__(transport)
    gc.collect()
    transport.write(b"x")
    theirs.send(b"y")
    spin(loop)
    assert protocol.data == b"y" * 8, protocol.data
    transport.close()
    spin(loop)
    assert protocol.lost == 1
    loop.close()
    """)


def test_constructed_with_wrong_things():
    """Every wrong argument is an exception, and no descriptor is lost."""
    run("""
    class Socket:
        family = socket.AF_INET
        def __init__(self, fd):
            self.fd = fd
        def fileno(self):
            return self.fd
        def close(self):
            pass
    class NoFamily(Socket):
        family = property(lambda self: 1 / 0)
    loop = new_loop()
    good = (loop, Socket(0), Recorder())
    wrong = [
        (), (loop,), (5, Socket(0), None), (loop, 5, None), (loop, Socket(-1), None),
        (loop, Socket(2**31), None), (loop, Socket(2**100), None),
        (loop, Socket("x"), None), (loop, Socket(10**6), Recorder()),
        (loop, NoFamily(0), None), (loop, Socket(0), None),
        good + (None, 5), good + (None, None, 5), good + (None, None, None, 5),
        good + (5, {}, object(), None), (asyncio.new_event_loop(), Socket(0), None),
    ]
    before = os.listdir("/proc/self/fd")
    for cls in (_core.StreamTransport, kevent.EventLoop._stream_class):
        for args in wrong:
            raises(Exception, cls, *args)
        raises(TypeError, object.__new__, cls)
        raises(TypeError, cls, nothing=1)
    assert os.listdir("/proc/self/fd") == before
    loop.close()
    raises(RuntimeError, _core.StreamTransport, loop, *good[1:])
    """)


def test_bare_core_transport():
    """_core.StreamTransport without its Python half: what it lacks is an
    AttributeError."""
    run("""
    loop = new_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    class Bad(Recorder):
        def data_received(self, data):
            raise ValueError
    transport = _core.StreamTransport(loop, ours, Bad())
    spin(loop)
    theirs.send(b"x")
    spin(loop)
    theirs.close()
    spin(loop)
    for name in ("write", "writelines", "set_protocol", "_force_close"):
        try:
            getattr(transport, name)(b"x")
        except (AttributeError, TypeError):
            pass
    repr(transport)
    del transport
    loop.close()
    """)


def test_two_transports_on_one_socket():
    """The second takes the descriptor over; closing both closes once."""
    run("""
    loop = new_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    first, second = Recorder(), Recorder()
    one = _core.StreamTransport(loop, ours, first)
    two = kevent.EventLoop._stream_class(loop, ours, second)
    theirs.send(b"x")
    spin(loop)
    one.write(b"1")
    two.write(b"2")
    one.close()
    spin(loop)
    try:
        two.write(b"x" * 10_000_000)
    except OSError:
        pass
    two.close()
    spin(loop)
    theirs.close()
    loop.close()
    """)


def test_evil_buffers():
    """Buffers that close, write and change in the middle of a write."""
    run("""
    loop = new_loop()
    class Evil(bytes):
        act = None
        def __buffer__(self, flags):
            self.act()
            return memoryview(b"evil" * 1000)
        def __release_buffer__(self, view):
            self.act()
    for big in (b"", b"x" * 5_000_000):
        for act in ("close", "abort", "write_eof", "_release_fd"):
            for method in ("write", "writelines"):
                transport, theirs = connect(loop, Recorder())
                evil = Evil(b"evil")
                evil.act = getattr(transport, act)
                transport.write(big)
                for data in (evil, memoryview(b"abc"), bytearray(b"abc")):
                    try:
                        if method == "write":
                            transport.write(data)
                        else:
                            transport.writelines(iter([b"x", data, b"y"]))
                    except (RuntimeError, OSError):
                        pass
                spin(loop)
                theirs.close()
                spin(loop)
    def lines(transport):
        yield b"x"
        transport.abort()
        transport._call_connection_lost(None)
        yield b"y"
        yield 5
    transport, theirs = connect(loop, Recorder())
    transport.writelines(lines(transport))
    transport, theirs = connect(loop, Recorder())
    data = bytearray(b"x" * 1_000_000)
    transport.write(data)
    data.clear()
    transport.abort()
    spin(loop)
    loop.close()
    """)


def test_evil_receive_buffers():
    """get_buffer() returning what is no buffer, too small, read-only, or what
    loses the connection when it is let go."""
    run("""
    class Releases:
        def __init__(self, act):
            self.act = act
            self.memory = bytearray(10)
        def __buffer__(self, flags):
            return memoryview(self.memory)
        def __release_buffer__(self, view):
            self.act()
    class Protocol(asyncio.BufferedProtocol):
        make = None
        updated = 0
        def connection_made(self, transport):
            self.transport = transport
        def get_buffer(self, hint):
            return self.make()
        def buffer_updated(self, size):
            self.updated += size
    loop = new_loop()
    makes = ["5", "b''", "b'xxx'", "bytearray()", "None", "memoryview(b'x')",
             "Releases(transport.abort)", "Releases(transport.close)",
             "Releases(lambda: transport._call_connection_lost(None))",
             "Releases(lambda: transport.set_protocol(None))"]
    for make in makes:
        for data in (b"x" * 100, b""):
            protocol = Protocol()
            transport, theirs = connect(loop, protocol)
            protocol.make = lambda: eval(make)
            if data:
                theirs.send(data)
            else:
                theirs.close()
            spin(loop)
            theirs.close()
            transport.close()
            spin(loop)
    loop.close()
    """)


def test_server_closes_as_it_attaches():
    """A server whose _attach() ends the transport that is being made."""
    run("""
    acts = ["abort", "close", "_release_fd", "_reclaim_fd"]
    class Server:
        def __init__(self, act):
            self.act = act
        def _attach(self, transport=None):
            # 3.11 and 3.12 do not pass it: the collector has it
            if transport is None:
                transport = [each for each in gc.get_objects()
                             if isinstance(each, _core.StreamTransport)][-1]
            if self.act == "lose":
                transport._call_connection_lost(None)
            else:
                getattr(transport, self.act)()
        def _detach(self, transport=None):
            raise ValueError
    loop = new_loop()
    for act in acts + ["lose"]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            loop._make_socket_transport(ours, Recorder(), server=Server(act))
        except (RuntimeError, OSError, ValueError):
            pass
        spin(loop)
        theirs.close()
        spin(loop)
    loop.close()
    """)


@pytest.mark.parametrize("act", [
    "server.server.close()", "loop._thread_id = None; loop.close()",
    "raise ValueError", "os.close(listener)",
    "server.server.close(); other = socket.socket(); other.bind(('127.0.0.1', 0)); other.listen()",
    "loop._ready.clear(); loop.stop()", "loop._run_once()", "loop.stop()"])
def test_protocol_factory_fights_the_server(act):
    """What a protocol factory may do while connections wait to be accepted."""
    run(f"""
    loop = new_loop()
    done = []
    def factory():
        if not done:
            done.append(1)
            {act}
        return Recorder()
    server = Server(loop, factory)
    listener = server.server.sockets[0].fileno()
    clients = [server.client() for _ in range(5)]
    for step in (spin, spin, server.server.close, loop.close):
        try:
            step(*([loop, 10] if step is spin else []))
        except (RuntimeError, OSError):
            pass
        for client in clients:
            client.close()
    """)


def test_transport_outlives_its_loop():
    """A transport whose loop is closed, or gone, raises or does nothing."""
    run("""
    loop = new_loop()
    protocol = Recorder()
    transport, theirs = connect(loop, protocol)
    loop.close()
    for call in ("write", "writelines", "close", "abort", "pause_reading",
                 "resume_reading", "write_eof", "is_reading", "_reclaim_fd",
                 "_release_fd", "get_write_buffer_size", "set_write_buffer_limits"):
        try:
            if call.startswith("write") and call != "write_eof":
                getattr(transport, call)([b"x" * 5_000_000] if call == "writelines"
                                         else b"x" * 5_000_000)
            else:
                getattr(transport, call)()
        except (RuntimeError, OSError):
            pass
        repr(transport)
    del loop
    gc.collect()
    transport.get_extra_info("peername")
    transport.get_extra_info("socket")
    del transport, protocol
    gc.collect()
    """)


def test_finalizer_that_keeps_the_transport():
    """A warning's receiver that keeps an unclosed transport has a closed one."""
    run("""
    import warnings
    kept = []
    warnings.simplefilter("always")
    warnings._showwarnmsg_impl = lambda msg: kept.append(msg.source)
    loop = new_loop()
    transport, theirs = connect(loop, Recorder())
    del transport
    loop.close()
    del loop
    gc.collect()
    kept = [each for each in kept if isinstance(each, _core.StreamTransport)]
    for transport in kept:
        for call in ("resume_reading", "_reclaim_fd", "_release_fd", "close",
                     "abort", "write_eof"):
            try:
                getattr(transport, call)()
            except RuntimeError:
                pass
        try:
            transport.write(b"x")
        except RuntimeError:
            pass
        repr(transport)
    del transport, kept[:]
    gc.collect()
    """)


def test_socket_object_made_twice():
    """Asking for the socket runs code that asks for the socket, or closes the
    transport: one object owns the descriptor."""
    run("""
    import socket as module
    loop = new_loop()
    protocols = []
    def factory():
        protocols.append(Recorder())
        return protocols[-1]
    server = Server(loop, factory)
    made = []
    class Evil(module.socket):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            if made:
                made.pop()()
    init = module.socket.__init__
    def evil(self, *args, **kwargs):
        init(self, *args, **kwargs)
        if made:
            made.pop()()
    for act in ("_sock", "lose"):
        client = server.client()
        spin(loop, 10)
        transport = protocols[-1].transport
        module.socket.__init__ = evil
        made.append((lambda: transport._sock) if act == "_sock"
                    else lambda: transport._call_connection_lost(None))
        try:
            sock = transport._sock
        except OSError:
            sock = None
        module.socket.__init__ = init
        client.close()
        del sock
        gc.collect()
        if act == "_sock":
            os.fstat(transport._sock.fileno())
        transport.abort()
        spin(loop)
    server.server.close()
    spin(loop)
    loop.close()
    """)
