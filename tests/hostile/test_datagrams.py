"""Datagram transports under protocols, programs and kernels that fight them."""
import pytest

from .child import run

METHODS = ("connection_made", "datagram_received", "datagrams_received", "error_received",
           "connection_lost", "pause_writing", "resume_writing")

ACTS = {
    "raise": "raise ValueError(name)",
    "base": "raise BaseException(name)",
    "exit": "raise SystemExit(name)",
    "close": "self.transport.close()",
    "abort": "self.transport.abort()",
    "lose": "self.transport._call_connection_lost(None)",
    "force": "self.transport._force_close(OSError(name))",
    "none": "self.transport.set_protocol(None)",
    "swap": "self.transport.set_protocol(asyncio.DatagramProtocol())",
    "start": "self.transport._start()",
    "pause": "self.transport.pause_reading()",
    "pause_twice": "self.transport.pause_reading(); self.transport.resume_reading()",
    "send": "[self.transport.sendto(b'x' * 100, self.name) for _ in range(500)]",
    "send_long": "self.transport.sendto(b'x' * 400_000, self.name)",
    "send_nowhere": "self.transport.sendto(b'x', object())",
    "send_wrong": "self.transport.sendto(memoryview(b'xyz')[::2], self.name)",
    "closed_socket": "self.transport._sock.close()",
    "stolen_fd": "os.close(self.transport._sock_fd)",
    "detached": "self.transport._sock.detach()",
    "clear": "loop._ready.clear(); loop.stop()",
    "stop": "loop.stop()",
    "close_loop": "loop._thread_id = None; loop.close()",
    "release_loop": "loop._thread_id = None; loop._release()",
    "nested": "loop.call_soon(int); loop._run_once()",
    "nested_more": "self.raw.sendto(b'n', self.own); loop.call_soon(int); loop._run_once()",
    "transports": "del loop._transports",
    "limits": "self.transport._set_limits(-1, -1); self.transport._set_limits(0, 0)",
    "collect": "del self.transport; gc.collect()",
}

PROTOCOLS = """
class Plain(asyncio.DatagramProtocol):
    def __init__(self, act):
        self.act = act
    def did(self, name):
        if name == METHOD and self.act is not None:
            act, self.act = self.act, None
            exec(act, globals(), dict(self=self, name=name, loop=self.loop))
    def connection_made(self, transport):
        self.transport = transport
        self.did("connection_made")
    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)
        self.did("datagram_received")
    def error_received(self, exc):
        self.did("error_received")
    def connection_lost(self, exc):
        self.did("connection_lost")
    def pause_writing(self):
        self.did("pause_writing")
    def resume_writing(self):
        self.did("resume_writing")
class Lists(Plain):
    def datagrams_received(self, datagrams):
        for data, addr in datagrams:
            self.transport.sendto(data, addr)
        self.did("datagrams_received")
def attempt(call, *args):
    try:
        return call(*args)
    except BaseException as exc:
        told.append(exc)
"""


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
@pytest.mark.parametrize("method", METHODS)
def test_every_act_in(method, family, tmp_path):
    """Each thing that a protocol's method may do to its transport and loop,
    while datagrams, errors and room to send arrive."""
    run(f"""
    ACTS = {ACTS!r}
    METHOD = {method!r}
    FAMILY = socket.{family}
    PATH = {str(tmp_path)!r}
    """ + f"exec({PROTOCOLS!r})" + """
    number = 0
    def bound():
        global number
        number += 1
        sock = socket.socket(FAMILY, socket.SOCK_DGRAM)
        sock.bind(f"{PATH}/{number}" if FAMILY == socket.AF_UNIX else ("127.0.0.1", 0))
        sock.setblocking(False)
        return sock
    for kind in (Plain, Lists):
        for name, act in ACTS.items():
            for connected in (False, True):
                loop = new_loop()
                protocol = kind(act)
                protocol.loop = loop
                ours, theirs = bound(), bound()
                protocol.raw, protocol.name = theirs, theirs.getsockname()
                protocol.own = own = ours.getsockname()
                if connected:
                    ours.connect(protocol.name)
                transport = attempt(loop._make_datagram_transport, ours, protocol)
                attempt(spin, loop)
                for text in (b"a", b"b" * 1000, b"", b"c"):
                    attempt(theirs.sendto, text, own)
                attempt(spin, loop)
                for _ in range(60):     # more than a Unix receiver's queue takes
                    attempt(transport.sendto, b"d" * 2000, protocol.name)
                attempt(transport.sendto, b"e" * 300_000, protocol.name)
                attempt(spin, loop, 2)
                for _ in range(70):
                    attempt(theirs.recv, 1_000_000)
                attempt(spin, loop)
                theirs.close()
                attempt(transport.sendto, b"f", protocol.name)
                attempt(spin, loop)
                attempt(transport.sendto, b"g", protocol.name)
                attempt(spin, loop)
                attempt(transport.close)
                attempt(spin, loop)
                repr(transport)
                attempt(transport.get_extra_info, "peername")
                attempt(transport.sendto, b"h", protocol.name)
                del transport, protocol, ours
                attempt(loop.close)
                del loop
                gc.collect()
    """)


def test_constructed_with_wrong_things():
    """Every wrong argument is an exception; the socket stays its maker's."""
    run("""
    loop = new_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    class Odd:
        def __init__(self, **attributes):
            self.__dict__.update(attributes)
        def fileno(self):
            return self.fd
    class NoTruth:
        def __bool__(self):
            1 / 0
    class NoProtocol(asyncio.DatagramProtocol):
        connection_made = property(lambda self: 1 / 0)
    protocol = asyncio.DatagramProtocol()
    cls = kevent.EventLoop._datagram_class
    for args in [(), (loop,), (5, sock, protocol), (loop, 5, protocol), (loop, sock),
                 (loop, Odd(fd=-1), protocol), (loop, Odd(fd=10**6, family=2), protocol),
                 (loop, Odd(fd=sock.fileno()), protocol),
                 (loop, Odd(fd=sock.fileno(), family="x"), protocol),
                 (loop, sock, None), (loop, sock, NoProtocol()),
                 (loop, sock, protocol, NoTruth()), (loop, sock, protocol, None, None, 5)]:
        raises(Exception, cls, *args)
        raises(Exception, _core.DatagramTransport, *args)
    raises(TypeError, cls, nothing=1)
    raises(TypeError, object.__new__, cls)
    raises(AttributeError, _core.DatagramTransport, loop, sock, protocol)
    spin(loop)
    assert sock.fileno() >= 0 and not told, told
    transport = cls(loop, sock, protocol)
    raises(RuntimeError, loop._make_datagram_transport, sock, protocol)
    transport.abort()
    spin(loop)
    loop.close()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    raises(RuntimeError, cls, loop, sock, protocol)
    sock.close()
    """)


def test_addresses_that_fight():
    """Objects with an __eq__ or __index__ that raise, lie or close."""
    run("""
    loop = new_loop()
    lost = []
    class Protocol(asyncio.DatagramProtocol):
        def connection_lost(self, exc):
            lost.append(exc)
    def endpoint(remote=None):
        return loop.run_until_complete(loop.create_datagram_endpoint(
            Protocol, local_addr=("127.0.0.1", 0), remote_addr=remote))[0]
    class Address:
        def __init__(self, act):
            self.act = act
        def __eq__(self, other):
            return self.act()
    target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    target.bind(("127.0.0.1", 0))
    target.settimeout(10)
    name = target.getsockname()
    transport = endpoint(name)
    raises(ZeroDivisionError, transport.sendto, b"x", Address(lambda: 1 / 0))
    raises(ValueError, transport.sendto, b"x", Address(lambda: False))
    transport.sendto(b"x", Address(lambda: True))
    assert target.recv(9) == b"x"
    transport.sendto(b"x", Address(lambda: transport.abort() or True))
    spin(loop)
    transport = endpoint(name)
    transport.sendto(b"x", Address(lambda: transport._call_connection_lost(None) or True))
    assert lost == [None, None]
    class Port(int):
        def __index__(self):
            transport.abort()
            return 9
    class Host(str):
        def encode(self, *args):
            transport.abort()
            return b"127.0.0.1"
    for address in ((name[0], Port(name[1])), (Host(name[0]), name[1]),
                    ((), ()), (name[0],) * 9, [*name], {}, ("", name[1]), (name[0], -1),
                    (name[0], 2**64), ("<broadcast>", name[1]), (b"127.0.0.1", name[1])):
        transport = endpoint()
        transport.sendto(b"x", address)
        transport.sendto(bytearray(b"y"), address)
        transport.abort()
        spin(loop)
    loop.close()
    target.close()
    """)


def test_audit_hooks():
    """A hook hears of each sendto(); it may refuse one, or end the endpoint."""
    run("""
    loop = new_loop()
    events, refuse = [], []
    def hook(event, args):
        if event == "socket.sendto":
            events.append(args)
            if refuse:
                raise refuse[0]
            if len(events) == 7:
                transport._call_connection_lost(None)
    class Echo(asyncio.DatagramProtocol):
        errors = []
        def datagram_received(self, data, addr):
            transport.sendto(data, addr)
        def error_received(self, exc):
            self.errors.append(exc)
    transport = loop.run_until_complete(
        loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0)))[0]
    sock = transport._sock
    raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    raw.connect(transport.get_extra_info("sockname"))
    raw.settimeout(10)
    name = raw.getsockname()
    sys.addaudithook(hook)
    raw.send(b"0")
    raw.send(b"1")
    spin(loop)
    assert raw.recv(9) == b"0" and raw.recv(9) == b"1"
    assert events == [(sock, name)] * 2, events
    refuse.append(PermissionError("no"))
    transport.sendto(b"x", name)
    raw.send(b"2")
    raw.send(b"3")
    spin(loop)
    assert Echo.errors == [refuse[0]] * 3
    refuse.clear()
    raw.send(b"4")
    raw.send(b"5")
    raw.send(b"6")
    spin(loop)
    assert transport.is_closing() or transport._loop is None
    spin(loop)
    loop.close()
    """)


FILTER = """
import ctypes, platform, struct
def without(*names):
    # A seccomp filter for this process: those calls answer ENOSYS.
    numbers = {"x86_64": dict(recvmmsg=299, sendmmsg=307),
               "aarch64": dict(recvmmsg=243, sendmmsg=269)}[platform.machine()]
    code = struct.pack("=HBBI", 0x20, 0, 0, 0)              # load the number
    for left, name in zip(range(len(names), 0, -1), names):
        code += struct.pack("=HBBI", 0x15, left, 0, numbers[name])
    code += struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)    # allow
    code += struct.pack("=HBBI", 0x06, 0, 0, 0x00050000 | 38)
    code = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    ulong = ctypes.c_ulong
    assert prctl(38, ulong(1), ulong(0), ulong(0), ulong(0)) == 0
    assert prctl(22, ulong(2), program, ulong(0), ulong(0)) == 0, ctypes.get_errno()
    for name in names:
        assert ctypes.CDLL(None, use_errno=True)[name](-1, None, 0, 0, None) == -1
        assert ctypes.get_errno() == 38
"""


@pytest.mark.parametrize("missing", [("recvmmsg",), ("sendmmsg",), ("recvmmsg", "sendmmsg")])
def test_kernel_without(missing):
    """A kernel, or a sandbox, without the calls for several datagrams: each is
    received or sent by itself, and nothing else changes."""
    run(f"""
    exec({FILTER!r})
    without(*{missing!r})
    """ + """
    class Echo(asyncio.DatagramProtocol):
        got, errors = [], []
        def datagram_received(self, data, addr):
            self.got.append(data)
            transport.sendto(data * (70000 if data == b"3" else 1), addr)
        def error_received(self, exc):
            self.errors.append(exc)
    loop = new_loop()
    transport = loop.run_until_complete(
        loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0)))[0]
    raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    raw.connect(transport.get_extra_info("sockname"))
    raw.settimeout(10)
    for turn in range(2):
        sent = [b"%d" % number for number in range(10)]
        for data in sent:
            raw.send(data)
        while len(Echo.got) < 10:
            spin(loop, 1)
        spin(loop)
        assert Echo.got == sent and len(Echo.errors) == 1, Echo.errors
        assert [raw.recv(9) for _ in range(9)] == sent[:3] + sent[4:]
        del Echo.got[:], Echo.errors[:]
    transport.close()
    spin(loop)
    loop.close()
    """)
