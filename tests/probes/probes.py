"""One function for each line of the table, in the order of the table.

A probe gets a loop factory.  It returns None if the loop does what the title
says, or a few words where there is more than yes and no to tell; whatever it
raises is a no.
"""
import asyncio
import contextlib
import contextvars
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROBES = {}


def probe(title, since=(3, 11)):
    """Registers a probe under its title, for Pythons from `since` on."""
    def register(function):
        function.title = title
        function.since = since
        PROBES[function.__name__] = function
        return function
    return register


def coroutine_probe(title, since=(3, 11)):
    """The same for a coroutine function of the running loop."""
    def register(function):
        def run(factory):
            with asyncio.Runner(loop_factory=factory) as runner:
                return runner.run(asyncio.wait_for(
                    function(runner.get_loop()), 10))
        run.__name__ = function.__name__
        return probe(title, since)(run)
    return register


def refuses(kind, function, *arguments):
    """Asserts that the call raises that kind of exception."""
    try:
        function(*arguments)
    except kind:
        return
    raise AssertionError(f"no {kind}")


# ---- handles and time -------------------------------------------------------

@coroutine_probe("`call_soon()` returns an `asyncio.Handle`")
async def handle_type(loop):
    assert isinstance(loop.call_soon(int), asyncio.Handle)


@coroutine_probe("`call_later(0)` returns a `TimerHandle` with `when()`")
async def zero_timer(loop):
    timer = loop.call_later(0, int)
    assert isinstance(timer, asyncio.TimerHandle)
    assert abs(timer.when() - loop.time()) < 1


@coroutine_probe("`Handle.get_context()`", since=(3, 12))
async def get_context(loop):
    context = contextvars.Context()
    assert loop.call_soon(int, context=context).get_context() is context


@coroutine_probe("`loop.time()` is `time.monotonic()`")
async def clock(loop):
    before = time.monotonic()
    assert before <= loop.time() <= time.monotonic()


@coroutine_probe("a sleep of 0.2 ms is")
async def short_sleep(loop):
    took = []
    for _ in range(50):
        began = time.monotonic()
        await asyncio.sleep(0.0002)
        took.append(time.monotonic() - began)
    took.sort()
    if took[0] < 0.0002:
        return "too short"
    # Not the shortest: a loop that was interrupted before it slept is late enough to
    # go round without a sleep.
    return "0.2 ms and a little" if took[10] < 0.0007 else "a whole millisecond"


@coroutine_probe("timers are never early")
async def never_early(loop):
    for _ in range(100):
        began = time.monotonic()
        await asyncio.sleep(0.0024)     # no whole number of milliseconds
        took = time.monotonic() - began
        assert took >= 0.0024 - 1e-6, f"{(0.0024 - took) * 1e6:.0f} µs early"


@coroutine_probe("timers of one deadline run in the order of creation")
async def equal_deadlines(loop):
    seen = []
    when = loop.time() + 0.01
    for number in range(50):
        loop.call_at(when, seen.append, number)
        done = time.monotonic() + 40e-6     # what a program does in between
        while time.monotonic() < done:
            pass
    await asyncio.sleep(0.02)
    return None if seen == list(range(50)) else "in any order"


@probe("a patched `loop.time` drives the timers")
def patched_clock(factory):
    loop = factory()
    now = 1000.0
    loop.time = lambda: now
    loop.call_later(3600, loop.stop)
    now += 3601
    loop.run_forever()
    loop.close()


# ---- transports ---------------------------------------------------------------

class Quiet(asyncio.Protocol):
    """Collects data, and knows when it was lost."""

    def __init__(self):
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)


async def on_pair(loop, protocol=Quiet):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    transport, made = await loop.create_connection(protocol, sock=ours)
    return transport, made, theirs


@coroutine_probe("a TCP transport is an `asyncio.Transport`")
async def transport_type(loop):
    transport, made, theirs = await on_pair(loop)
    with theirs:
        assert isinstance(transport, asyncio.Transport)
        transport.close()
        await made.lost


@coroutine_probe("`get_extra_info('socket')` is a `TransportSocket`")
async def extra_socket(loop):
    from asyncio.trsock import TransportSocket
    transport, made, theirs = await on_pair(loop)
    with theirs:
        sock = transport.get_extra_info("socket")
        assert type(sock) is TransportSocket, type(sock).__name__
        sock.shutdown(socket.SHUT_WR)
        transport.close()
        await made.lost


@coroutine_probe("`write()` after `close()` is ignored")
async def write_after_close(loop):
    transport, made, theirs = await on_pair(loop)
    with theirs:
        transport.close()
        transport.write(b"x")
        await made.lost


@coroutine_probe("a `bytearray` that changes after `write()` was sent unchanged")
async def mutated(loop):
    transport, made, theirs = await on_pair(loop)
    with theirs:
        transport.write(bytes(500_000))
        data = bytearray(b"a" * 500_000)
        transport.write(data)
        data[:] = b"b" * len(data)
        got = bytearray()
        while len(got) < 1_000_000:
            got += await loop.sock_recv(theirs, 1 << 20)
        transport.close()
        await made.lost
    return None if b"b" not in got else "the change is sent"


@coroutine_probe("`set_protocol()` switches to a `BufferedProtocol`")
async def switch_protocol(loop):
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.got = loop.create_future()

        def get_buffer(self, hint):
            self.buffer = bytearray(10)
            return self.buffer

        def buffer_updated(self, count):
            self.got.set_result(bytes(self.buffer[:count]))

    transport, made, theirs = await on_pair(loop)
    with theirs:
        other = Buffered()
        transport.set_protocol(other)
        theirs.send(b"abc")
        assert await other.got == b"abc"
        transport.set_protocol(made)
        transport.close()
        await made.lost


@coroutine_probe("`loop.sendfile()`")
async def sendfile(loop):
    transport, made, theirs = await on_pair(loop)
    with theirs, tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000)
        file.flush()
        assert await loop.sendfile(transport, file) == 1000
        assert await loop.sock_recv(theirs, 2000) == b"x" * 1000
        transport.close()
        await made.lost


@coroutine_probe("`sock_sendfile()`")
async def sock_sendfile(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as file:
        ours.setblocking(False)
        file.write(b"x" * 1000)
        file.seek(0)
        assert await loop.sock_sendfile(ours, file) == 1000


@coroutine_probe("`sock_sendto()` and `sock_recvfrom()`")
async def sock_datagrams(loop):
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*kind) as ours, socket.socket(*kind) as theirs:
        for sock in (ours, theirs):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        await loop.sock_sendto(ours, b"x", theirs.getsockname())
        assert await loop.sock_recvfrom(theirs, 9) == (b"x", ours.getsockname())


# ---- connections and servers ----------------------------------------------------

@contextlib.asynccontextmanager
async def serving(loop, protocol=Quiet, **options):
    server = await loop.create_server(protocol, "127.0.0.1", 0, **options)
    try:
        yield server, server.sockets[0].getsockname()[1]
    finally:
        server.close()


@coroutine_probe("`create_connection(happy_eyeballs_delay=)`")
async def happy_eyeballs(loop):
    async with serving(loop) as (_, port):
        transport, _ = await loop.create_connection(
            Quiet, "127.0.0.1", port, happy_eyeballs_delay=0.1)
        transport.close()


@coroutine_probe("`create_connection(all_errors=True)`", since=(3, 12))
async def all_errors(loop):
    try:
        await loop.create_connection(Quiet, "127.0.0.1", 1, all_errors=True)
    except ExceptionGroup:
        return
    raise AssertionError("no ExceptionGroup")


@coroutine_probe("`getaddrinfo()` keeps the scope of an IPv6 address")
async def scope_id(loop):
    found = await loop.getaddrinfo("fe80::1%lo", 80, type=socket.SOCK_STREAM)
    assert found[0][4][3] == socket.if_nametoindex("lo"), found


@coroutine_probe("`Server.close_clients()` and `abort_clients()`", (3, 13))
async def close_clients(loop):
    async with serving(loop) as (server, port):
        _, client = await loop.create_connection(Quiet, "127.0.0.1", port)
        await asyncio.sleep(0.02)
        server.close_clients()
        await asyncio.wait_for(client.lost, 2)


@coroutine_probe("`Server.sockets` is an empty tuple after `close()`")
async def closed_sockets(loop):
    async with serving(loop) as (server, _):
        server.close()
        assert server.sockets == (), server.sockets


@coroutine_probe("`Server.wait_closed()` waits for the clients", (3, 12, 1))
async def wait_closed(loop):
    async with serving(loop) as (server, port):
        transport, _ = await loop.create_connection(Quiet, "127.0.0.1", port)
        await asyncio.sleep(0.02)
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        transport.close()
        await asyncio.wait_for(waiting, 2)


@coroutine_probe("`create_server(keep_alive=)`", (3, 13))
async def keep_alive(loop):
    async with serving(loop, keep_alive=True) as (server, _):
        assert server.sockets[0].getsockopt(
            socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@coroutine_probe("Unix sockets in the abstract name space")
async def abstract(loop):
    name = f"\0probe-{os.getpid()}"
    server = await loop.create_unix_server(Quiet, name)
    transport, _ = await loop.create_unix_connection(Quiet, name)
    transport.close()
    server.close()


# ---- datagrams -------------------------------------------------------------------

class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.queue = asyncio.Queue()

    def datagram_received(self, data, address):
        self.queue.put_nowait(data)


@coroutine_probe("a datagram transport is an `asyncio.DatagramTransport`", (3, 12))
async def datagram_type(loop):
    transport, _ = await loop.create_datagram_endpoint(
        Datagrams, ("127.0.0.1", 0))
    assert isinstance(transport, asyncio.DatagramTransport)
    transport.close()


@coroutine_probe("empty datagrams are sent", since=(3, 13))
async def empty_datagram(loop):
    server, there = await loop.create_datagram_endpoint(
        Datagrams, ("127.0.0.1", 0))
    client, _ = await loop.create_datagram_endpoint(
        Datagrams, remote_addr=server.get_extra_info("sockname"))
    client.sendto(b"")
    assert await asyncio.wait_for(there.queue.get(), 2) == b""
    client.close()
    server.close()


@coroutine_probe("datagrams over Unix sockets by path")
async def unix_datagrams(loop):
    with tempfile.TemporaryDirectory() as folder:
        server, there = await loop.create_datagram_endpoint(
            Datagrams, f"{folder}/s", family=socket.AF_UNIX)
        client, _ = await loop.create_datagram_endpoint(
            Datagrams, remote_addr=f"{folder}/s", family=socket.AF_UNIX)
        client.sendto(b"x")
        assert await asyncio.wait_for(there.queue.get(), 2) == b"x"
        client.close()
        server.close()


@coroutine_probe("a datagram transport has `pause_reading()`", (3, 12))
async def datagram_pause(loop):
    server, there = await loop.create_datagram_endpoint(
        Datagrams, ("127.0.0.1", 0))
    server.pause_reading()
    server.resume_reading()
    server.close()


# ---- pipes, children, signals -------------------------------------------------------

@coroutine_probe("`connect_read_pipe()` of a regular file raises `ValueError`")
async def regular_file(loop):
    with tempfile.TemporaryFile() as file:
        try:
            await loop.connect_read_pipe(asyncio.Protocol, file)
        except ValueError:
            return
    raise AssertionError("no ValueError")


async def status_of(*command, **options):
    process = await asyncio.create_subprocess_exec(*command, **options)
    return await process.wait()


@coroutine_probe("children get no descriptor that was not given to them")
async def close_fds(loop):
    rfd, wfd = os.pipe()
    os.set_inheritable(wfd, True)
    code = f"import os; os.fstat({wfd})"
    status = await status_of(sys.executable, "-c", code,
                             stderr=subprocess.DEVNULL)
    os.close(rfd)
    os.close(wfd)
    assert status != 0


@coroutine_probe("`umask`, `process_group` and `pipesize` of a child")
async def child_options(loop):
    assert await status_of("true", umask=0o77, process_group=0,
                           pipesize=8192) == 0


@coroutine_probe("children start with no signal blocked")
async def signal_mask(loop):
    loop.add_signal_handler(signal.SIGUSR1, int)
    code = "import signal; exit(len(signal.pthread_sigmask(0, [])))"
    assert await status_of(sys.executable, "-c", code) == 0
    loop.remove_signal_handler(signal.SIGUSR1)


@coroutine_probe("a handler for SIGCHLD can be set")
async def sigchld(loop):
    called = asyncio.Event()
    loop.add_signal_handler(signal.SIGCHLD, called.set)
    assert await status_of("true") == 0
    await asyncio.wait_for(called.wait(), 2)
    loop.remove_signal_handler(signal.SIGCHLD)


@probe("an exception of a `signal.signal()` handler leaves `run_forever()`")
def raising_handler(factory):
    loop = factory()

    def handle(*_):
        raise LookupError

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.05)     # while it sleeps
    loop.call_later(2, loop.stop)
    refuses(LookupError, loop.run_forever)
    loop.close()


@probe("Ctrl-C in a callback keeps what was queued behind it")
def ctrl_c(factory):
    loop = factory()
    seen = []
    loop.call_soon(signal.raise_signal, signal.SIGINT)
    loop.call_soon(seen.append, 1)
    refuses(KeyboardInterrupt, loop.run_forever)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1]
    loop.close()


# ---- debug mode -------------------------------------------------------------------

@coroutine_probe("debug mode refuses `call_soon()` from another thread")
async def wrong_thread(loop):
    loop.set_debug(True)
    errors = []

    def other():
        try:
            loop.call_soon(int)
        except RuntimeError as exc:
            errors.append(exc)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert errors


@coroutine_probe("debug mode refuses blocking sockets in `sock_recv()`")
async def blocking_socket(loop):
    loop.set_debug(True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            await loop.sock_recv(ours, 1)
        except ValueError:
            return
    raise AssertionError("no ValueError")


# ---- what others rely on --------------------------------------------------------------

@probe("`isinstance(loop, asyncio.BaseEventLoop)`")
def base_class(factory):
    loop = factory()
    loop.close()
    assert isinstance(loop, asyncio.BaseEventLoop)


@probe("`_ready`, `_stopping`, `_default_executor` can be read")
def private_names(factory):
    loop = factory()
    try:
        assert len(loop._ready) == 0
        assert loop._stopping is False and loop._default_executor is None
    finally:
        loop.close()


@probe("methods can be replaced on the instance")
def patched_method(factory):
    loop = factory()
    original, seen = loop.call_soon, []

    def call_soon(*arguments, **options):
        seen.append(arguments)
        return original(*arguments, **options)

    loop.call_soon = call_soon
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert seen


@probe("`loop._selector` is")
def selector(factory):
    loop = factory()
    try:
        found = getattr(loop, "_selector", None)
        if not isinstance(found, selectors.BaseSelector):
            return "absent"
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                found.register(ours, selectors.EVENT_READ)
            except NotImplementedError:
                return "a read-only view of what is watched"
            found.unregister(ours)
            return "the selector that waits"
    finally:
        loop.close()


@probe("descriptors of an idle loop")
def idle_descriptors(factory):
    import_it = factory()
    import_it.close()
    del import_it
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    loop = factory()
    count = len(os.listdir("/proc/self/fd")) - before
    loop.close()
    return str(count)


@coroutine_probe("`create_task(eager_start=True)`", (3, 14))
async def eager_start(loop):
    async def work():
        return 7

    task = loop.create_task(work(), eager_start=True)
    assert task.done() and task.result() == 7


@probe("works in a sub-interpreter")
def sub_interpreter(factory):
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    code = (f"import sys; sys.path[:] = {sys.path!r}\n"
            f"from tests.probes.__main__ import factory_of\nimport asyncio\n"
            f"loop = factory_of({factory.probed!r})()\n"
            "loop.run_until_complete(asyncio.sleep(0.001))\nloop.close()\n")
    one = interpreters.create()
    try:
        failed = (interpreters.exec if hasattr(interpreters, "exec")
                  else interpreters.run_string)(one, code)
    finally:
        interpreters.destroy(one)
    assert not failed, failed
