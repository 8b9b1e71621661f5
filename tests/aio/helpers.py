"""Protocols that note what they are told, and small set-ups."""
import asyncio
import contextlib
import gc
import os
import socket
import struct
import sys
import threading
from pathlib import Path

SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))
LIMIT_S = 30 * SLOWNESS
ROOT = Path(__file__).parents[2]


class Awaitable:
    """Something that happens in steps, and can be waited for."""

    def __init__(self):
        self._waiters = []

    def _happened(self):
        for predicate, future in self._waiters[:]:
            if not future.done() and predicate():
                future.set_result(None)

    async def until(self, predicate):
        """Returns once predicate() holds after a step (or already)."""
        if predicate():
            return
        future = asyncio.get_running_loop().create_future()
        entry = (predicate, future)
        self._waiters.append(entry)
        try:
            await future
        finally:
            self._waiters.remove(entry)


class Notes(Awaitable):
    """Notes each call by name in `calls`, and collects the data."""

    keep_open = False                      # what eof_received answers

    def __init__(self):
        Awaitable.__init__(self)
        self.calls = []
        self.data = bytearray()
        self.transport = None
        self.error = None

    def _note(self, name):
        self.calls.append(name)
        self._happened()

    def connection_made(self, transport):
        self.transport = transport
        self._note("made")

    def data_received(self, data):
        self.data += data
        if self.calls[-1:] != ["data"]:
            self.calls.append("data")
        self._happened()

    def eof_received(self):
        self._note("eof")
        return self.keep_open

    def connection_lost(self, exc):
        self.error = exc
        self._note("lost")

    def pause_writing(self):
        self._note("pause")

    def resume_writing(self):
        self._note("resume")

    async def lost(self):
        """The exception (or None) with which the connection was lost."""
        await self.until(lambda: "lost" in self.calls)
        return self.error

    async def received(self, count):
        """The data, once there are count bytes."""
        await self.until(lambda: len(self.data) >= count)
        return bytes(self.data)


class Recorder(Notes, asyncio.Protocol):
    """A protocol that gets bytes."""


class BufferedRecorder(Notes, asyncio.BufferedProtocol):
    """A protocol with a buffer of its own."""

    def __init__(self, size=4096):
        super().__init__()
        self.buffer = bytearray(size)
        self.hints = []

    def get_buffer(self, sizehint):
        self.hints.append(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes):
        Notes.data_received(self, bytes(self.buffer[:nbytes]))


@contextlib.asynccontextmanager
async def connected(protocol=Recorder, peer=Recorder, **options):
    """(client's protocol, server's protocol) of one TCP connection."""
    loop = asyncio.get_running_loop()
    accepted = loop.create_future()

    def accept():
        made = peer()
        accepted.set_result(made)
        return made

    server = await loop.create_server(accept, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        _, ours = await loop.create_connection(protocol, "127.0.0.1", port,
                                               **options)
        theirs = await accepted
        await theirs.until(lambda: "made" in theirs.calls)
        try:
            yield ours, theirs
        finally:
            # Also of a body that fails: from 3.12 on the server waits for it.
            await end(ours)
            await end(theirs)
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def on_socket(protocol=Recorder):
    """(protocol, plain blocking socket): a transport with a raw peer."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        raw = socket.create_connection(listener.getsockname())
        mine, _ = listener.accept()
    mine.setblocking(False)
    with raw:
        _, made = await loop.create_connection(protocol, sock=mine)
        try:
            yield made, raw
        finally:
            await end(made)


async def end(protocol):
    """Its connection is lost, if it is not yet."""
    if "lost" not in protocol.calls:
        protocol.transport.abort()
    async with asyncio.timeout(LIMIT_S):
        await protocol.lost()


def reset(sock):
    """Closes so that the peer gets an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


async def turns(count=3):
    """That many iterations of the loop go by."""
    for _ in range(count):
        await asyncio.sleep(0)


def python(*arguments, **options):
    """Runs this Python in a process of its own; the finished process."""
    import subprocess
    options.setdefault("timeout", LIMIT_S)
    env = dict(os.environ, **options.pop("env", {}))
    return subprocess.run([sys.executable, *arguments], text=True,
                          capture_output=True, env=env, **options)


@contextlib.contextmanager
def nothing_left():
    """Afterwards there are no more descriptors and threads than before."""
    gc.collect()
    fds = open_fds()
    threads = set(threading.enumerate())
    yield
    gc.collect()
    left = {fd: what for fd, what in open_fds().items() if fd not in fds}
    assert not left, f"descriptors left open: {left}"
    more = [t for t in set(threading.enumerate()) - threads
            if not isinstance(t, threading._DummyThread)]
    for thread in more[:]:
        # 3.11 has a thread wait for a child: it tells the loop, and then ends.
        if thread.name.startswith("asyncio-waitpid-"):
            thread.join(LIMIT_S)
            more.remove(thread)
            assert not thread.is_alive()
    assert not more, f"threads left running: {more}"


def open_fds():
    """{descriptor: what it is} of this process."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass                       # the one that listdir itself had open
    return found
