"""Servers: TCP and Unix, their sockets, their clients, their end."""
import asyncio
import contextlib
import errno
import functools
import gc
import os
import socket
import sys

import pytest

from .helpers import Recorder, turns


async def connect(server, factory=Recorder):
    """A client of the server: its protocol."""
    loop = asyncio.get_running_loop()
    port = server.sockets[0].getsockname()[1]
    _, made = await loop.create_connection(factory, "127.0.0.1", port)
    return made


class Accepting:
    """A protocol factory that keeps what it made."""

    def __init__(self):
        self.made = []

    def __call__(self):
        self.made.append(Recorder())
        return self.made[-1]


async def test_serves():
    """A server has sockets, accepts, and says that it serves."""
    loop = asyncio.get_running_loop()
    accepting = Accepting()
    server = await loop.create_server(accepting, "127.0.0.1", 0)
    assert isinstance(server, asyncio.AbstractServer)
    assert server.is_serving()
    assert server.get_loop() is loop
    assert isinstance(server.sockets, tuple)
    client = await connect(server)
    client.transport.write(b"x")
    while not accepting.made:
        await asyncio.sleep(0)
    assert await accepting.made[0].received(1) == b"x"
    client.transport.close()
    await accepting.made[0].lost()
    await client.lost()
    server.close()
    await server.wait_closed()


async def test_closed():
    """After close() there are no sockets, and nobody gets in."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    name = server.sockets[0].getsockname()
    server.close()
    assert server.sockets == ()
    assert not server.is_serving()
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, *name)


async def test_clients_outlive_close():
    """close() stops listening; connections go on."""
    loop = asyncio.get_running_loop()
    accepting = Accepting()
    server = await loop.create_server(accepting, "127.0.0.1", 0)
    client = await connect(server)
    while not accepting.made:
        await asyncio.sleep(0)
    server.close()
    client.transport.write(b"still here")
    assert await accepting.made[0].received(10) == b"still here"
    client.transport.close()
    await client.lost()
    await server.wait_closed()


@pytest.mark.skipif(sys.version_info < (3, 12, 1), reason="waits from 3.12.1")
async def test_wait_closed_waits_for_clients():
    """wait_closed() returns when the last connection is lost."""
    loop = asyncio.get_running_loop()
    accepting = Accepting()
    server = await loop.create_server(accepting, "127.0.0.1", 0)
    client = await connect(server)
    while not accepting.made:
        await asyncio.sleep(0)
    server.close()
    waiting = asyncio.ensure_future(server.wait_closed())
    await turns(10)
    assert not waiting.done()
    client.transport.close()
    await waiting
    await client.lost()
    assert "lost" in accepting.made[0].calls


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in Python 3.13")
@pytest.mark.parametrize("method", ["close_clients", "abort_clients"])
async def test_end_of_clients(method):
    """close_clients() and abort_clients() end every connection."""
    loop = asyncio.get_running_loop()
    accepting = Accepting()
    server = await loop.create_server(accepting, "127.0.0.1", 0)
    clients = [await connect(server) for _ in range(3)]
    while len(accepting.made) < 3 or not all(
            made.calls for made in accepting.made):
        await asyncio.sleep(0)
    server.close()
    getattr(server, method)()
    for side in [*clients, *accepting.made]:
        await side.lost()
    await server.wait_closed()


async def test_not_started():
    """start_serving=False: nobody is served until start_serving()."""
    loop = asyncio.get_running_loop()
    accepting = Accepting()
    server = await loop.create_server(accepting, "127.0.0.1", 0,
                                      start_serving=False)
    assert not server.is_serving()
    await server.start_serving()
    await server.start_serving()
    assert server.is_serving()
    client = await connect(server)
    client.transport.close()
    await client.lost()
    server.close()
    await turns(5)
    for made in accepting.made:
        await made.lost()
    await server.wait_closed()


async def test_serve_forever():
    """serve_forever() serves until it is cancelled, then it is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, "127.0.0.1", 0,
                                      start_serving=False)
    task = asyncio.ensure_future(server.serve_forever())
    await turns()
    assert server.is_serving()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not server.is_serving() and server.sockets == ()


async def test_several_addresses():
    """One server on several addresses has a socket for each."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Recorder, ["127.0.0.1", "127.0.0.2"], 0)
    assert sorted(s.getsockname()[0] for s in server.sockets) == [
        "127.0.0.1", "127.0.0.2"]
    server.close()
    await server.wait_closed()


async def test_given_socket():
    """A bound socket can be handed over; close() closes it."""
    loop = asyncio.get_running_loop()
    sock = socket.create_server(("127.0.0.1", 0))
    server = await loop.create_server(Recorder, sock=sock)
    assert server.sockets[0].getsockname() == sock.getsockname()
    server.close()
    await server.wait_closed()
    assert sock.fileno() == -1


async def test_address_in_use():
    """A taken port is an OSError, and leaves nothing open."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError):
            await loop.create_server(Recorder, "127.0.0.1", port)


async def test_factory_that_fails(contexts):
    """A protocol factory that raises costs that connection, not the server;
    the handler hears of it in debug mode."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    fail = True
    accepting = Accepting()

    def factory():
        if fail:
            raise ValueError("factory")
        return accepting()

    server = await loop.create_server(factory, "127.0.0.1", 0)
    client = await connect(server)
    while not contexts:
        await asyncio.sleep(0)
    kinds = [type(context["exception"]) for context in contexts]
    assert kinds == [ValueError]
    contexts.clear()                       # the traceback holds the socket
    gc.collect()
    await client.lost()
    fail = False
    client = await connect(server)
    client.transport.write(b"x")
    while not accepting.made:
        await asyncio.sleep(0)
    assert await accepting.made[0].received(1) == b"x"
    client.transport.close()
    await accepting.made[0].lost()
    await client.lost()
    server.close()
    await server.wait_closed()


async def test_burst_of_connections():
    """Many connections at the same moment are all accepted."""
    loop = asyncio.get_running_loop()
    accepting = Accepting()
    server = await loop.create_server(accepting, "127.0.0.1", 0, backlog=256)
    clients = await asyncio.gather(*(connect(server) for _ in range(200)))
    while len(accepting.made) < 200:
        await asyncio.sleep(0)
    for client in clients:
        client.transport.close()
    for side in [*clients, *accepting.made]:
        await side.lost()
    server.close()
    await server.wait_closed()


@contextlib.contextmanager
def no_descriptor_left():
    """In it nothing can be opened."""
    import resource
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = max(int(name) for name in os.listdir("/proc/self/fd"))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (top + 1, limits[1]))
        with contextlib.suppress(OSError):
            while True:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        yield


@contextlib.asynccontextmanager
async def out_of_descriptors(accepting, contexts):
    """(server, socket of a client that it could not accept), while accepting
    pauses."""
    server = await asyncio.get_running_loop().create_server(
        accepting, "127.0.0.1", 0)
    with socket.socket() as client:
        client.setblocking(False)
        with no_descriptor_left():
            client.connect_ex(server.sockets[0].getsockname())
            while not contexts:
                await asyncio.sleep(0)
        assert "out of system resource" in contexts[0]["message"]
        assert contexts[0]["exception"].errno == errno.EMFILE
        contexts.clear()
        yield server, client
    server.close()
    for made in accepting.made:
        await made.lost()
    await server.wait_closed()


@pytest.fixture
def retries(monkeypatch):
    """A function that does at once what a server out of descriptors put off; the
    stdlib may have put it off once for each connection that fits its backlog."""
    monkeypatch.setattr(asyncio.constants, "ACCEPT_RETRY_DELAY", 1000.0)
    late = []

    def watch(loop):
        call_later = loop.call_later

        def spy(delay, callback, *args, **kwargs):
            timer = call_later(delay, callback, *args, **kwargs)
            if delay == asyncio.constants.ACCEPT_RETRY_DELAY:
                late.append((timer, functools.partial(callback, *args)))
            return timer
        monkeypatch.setattr(loop, "call_later", spy)

        def now():
            assert late
            for timer, retry in late:
                timer.cancel()
                loop.call_soon(retry)
            late.clear()
        return now
    return watch


async def test_out_of_descriptors(contexts, retries):
    """With no descriptor left accepting pauses, says so, and goes on: who waited
    is served."""
    accepting = Accepting()
    loop = asyncio.get_running_loop()
    retry = retries(loop)
    async with out_of_descriptors(accepting, contexts) as (_, client):
        retry()
        await loop.sock_sendall(client, b"x")
        while not accepting.made:
            await asyncio.sleep(0.001)
        assert await accepting.made[0].received(1) == b"x"
    assert len(accepting.made) == 1


async def test_closed_while_out_of_descriptors(contexts, retries):
    """A server that is closed while accepting pauses does not begin again."""
    accepting = Accepting()
    retry = retries(asyncio.get_running_loop())
    async with out_of_descriptors(accepting, contexts) as (server, _):
        server.close()
        retry()
        await turns(5)
        assert not accepting.made
    contexts.clear()                       # the stdlib tries a closed socket


async def test_backlog_is_drained_fairly():
    """Of connections that wait at several listeners each iteration accepts no
    more than a backlog from each, and takes from all."""
    loop = asyncio.get_running_loop()
    made = [0, 0]
    history = []
    peers = []

    def factory(index):
        made[index] += 1
        return Recorder()

    def note():
        nonlocal noting
        history.append(tuple(made))
        noting = loop.call_soon(note)

    listeners = [socket.create_server(("127.0.0.1", 0), backlog=64)
                 for _ in made]
    with contextlib.ExitStack() as stack:
        for sock in listeners:
            for _ in range(40):
                peers.append(stack.enter_context(
                    socket.create_connection(sock.getsockname())))
        servers = [await loop.create_server(
            lambda index=index: factory(index), sock=sock, backlog=5,
            start_serving=False) for index, sock in enumerate(listeners)]
        noting = loop.call_soon(note)
        for server in servers:
            await server.start_serving()
        while sum(made) < 80:
            await asyncio.sleep(0)
        noting.cancel()
        await turns(5)
    for server in servers:
        server.close()
    for server in servers:
        await server.wait_closed()
    await turns(5)
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(history, history[1:])]
    # From 3.12 on the stdlib takes one more than the backlog.
    assert max(max(step) for step in steps) <= 6
    assert sum(min(step) > 0 for step in steps) >= 5


# ---- Unix sockets ---------------------------------------------------------

@pytest.mark.parametrize("kind", ["path", "pathlib", "abstract"])
async def test_unix(tmp_path, kind):
    """A Unix server by path or in the abstract name space."""
    loop = asyncio.get_running_loop()
    path = {"path": str(tmp_path / "s"), "pathlib": tmp_path / "s",
            "abstract": "\0kevent-test-%d" % os.getpid()}[kind]
    accepting = Accepting()
    server = await loop.create_unix_server(accepting, path)
    transport, client = await loop.create_unix_connection(
        Recorder, str(path))
    assert isinstance(transport, asyncio.Transport)
    assert transport.get_extra_info("socket").family == socket.AF_UNIX
    transport.write(b"hello")
    while not accepting.made:
        await asyncio.sleep(0)
    assert await accepting.made[0].received(5) == b"hello"
    accepting.made[0].transport.write(b"hi")
    assert await client.received(2) == b"hi"
    transport.close()
    await client.lost()
    await accepting.made[0].lost()
    server.close()
    await server.wait_closed()


async def test_unix_nobody_there(tmp_path):
    """Without a server: FileNotFoundError."""
    loop = asyncio.get_running_loop()
    with pytest.raises(FileNotFoundError):
        await loop.create_unix_connection(Recorder, str(tmp_path / "none"))


async def test_unix_path_taken_over(tmp_path):
    """A stale socket file does not stop a new server."""
    loop = asyncio.get_running_loop()
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    server = await loop.create_unix_server(Recorder, path)
    server.close()
    await server.wait_closed()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in Python 3.13")
async def test_unix_cleanup(tmp_path):
    """close() removes the socket's file, or keeps it if asked to."""
    loop = asyncio.get_running_loop()
    for keep in (False, True):
        path = tmp_path / f"s{keep}"
        server = await loop.create_unix_server(Recorder, path,
                                               cleanup_socket=not keep)
        assert path.exists()
        server.close()
        await server.wait_closed()
        assert path.exists() is keep


async def test_unix_big(tmp_path):
    """4 MiB over a Unix socket, with streams."""
    data = bytes(range(256)) * 16384

    async def send(reader, writer):
        writer.write(data)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    path = str(tmp_path / "s")
    async with await asyncio.start_unix_server(send, path):
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == data
        writer.close()
        await writer.wait_closed()
