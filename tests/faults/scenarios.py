"""What the loop is made to do while its calls fail.

Each scenario is a coroutine function of the running loop that cleans up behind
itself, whatever happens, and returns True if all went well.
"""
import asyncio
import contextlib
import os
import signal
import socket
import ssl
import tempfile
import threading

import kevent
import kevent.streams

SCENARIOS = {}
PEM = os.path.join(os.path.dirname(__file__), "..", "aio", "localhost.pem")
BIG = b"0123456789abcdef" * 40_000


def scenario(function):
    """Register it under its name."""
    SCENARIOS[function.__name__] = function
    return function


class Closing(contextlib.ExitStack):
    """Closes what was opened, and lets the loop see it."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        self.close()
        for _ in range(3):
            await asyncio.sleep(0)


async def closed(server):
    """The server is closed; its connections may take a moment."""
    server.close()
    await asyncio.sleep(0)


def whole(got, wanted):
    """Whether it is what was sent; ConnectionError if it was cut off."""
    if len(got) < len(wanted) and wanted.startswith(got):
        raise ConnectionError("cut off")
    return got == wanted


@scenario
async def timers_and_threads(loop):
    """Sleeps, a call from another thread, a callback."""
    future = loop.create_future()

    def call():
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(
                lambda: future.done() or future.set_result(True))
    thread = threading.Thread(target=call)
    try:
        await asyncio.sleep(0.0005)
        thread.start()
        return await future
    finally:
        if thread.ident is not None:
            thread.join()


@scenario
async def watched_descriptors(loop):
    """add_reader, add_writer and their removal; a second descriptor."""
    async with Closing() as closing:
        left, right = socket.socketpair()
        closing.enter_context(left)
        closing.enter_context(right)
        left.setblocking(False)
        got = loop.create_future()
        closing.callback(loop.remove_reader, left)
        closing.callback(loop.remove_writer, left)
        loop.add_writer(left, lambda: got.done() or right.send(b"x"))
        loop.add_reader(left, lambda: got.done() or got.set_result(left.recv(100)))
        loop.remove_writer(left) if got.done() else None
        data = await got
        loop.remove_writer(left)
        return data.startswith(b"x")


class Echo(asyncio.Protocol):
    """Sends back, in two writes; ends when the peer ends."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data[:10])
        self.transport.writelines([data[10:20], data[20:]])

    def connection_lost(self, exc):
        self.transport = None


class BufferedEcho(asyncio.BufferedProtocol):
    """The same with a buffer of its own."""

    def __init__(self):
        self.buffer = bytearray(70_000)

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, hint):
        return self.buffer

    def buffer_updated(self, size):
        self.transport.write(self.buffer[:size])


class Asks(asyncio.Protocol):
    """Sends some, and waits until all came back."""

    def __init__(self, data, done):
        self.data, self.done = data, done
        self.got = 0

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.data)

    def data_received(self, data):
        self.got += len(data)
        if self.got >= len(self.data) and not self.done.done():
            self.done.set_result(self.got == len(self.data))

    def connection_lost(self, exc):
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("ended early"))


async def ask(loop, make, data, **where):
    """Connects an Asks by `make` and waits for its result."""
    done = loop.create_future()
    transport = None
    try:
        transport, _ = await make(lambda: Asks(data, done), **where)
        return await done
    finally:
        if not done.done():
            done.cancel()
        elif not done.cancelled():
            done.exception()
        if transport is not None:
            transport.close()


@scenario
async def tcp(loop):
    """Protocols over TCP, little and much."""
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        little = await ask(loop, loop.create_connection, b"hello", host=host, port=port)
        much = await ask(loop, loop.create_connection, BIG, host=host, port=port)
        return little and much
    finally:
        await closed(server)


@scenario
async def unix_buffered(loop):
    """BufferedProtocol over a Unix socket."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        server = await loop.create_unix_server(BufferedEcho, path)
        try:
            return await ask(loop, loop.create_unix_connection, BIG, path=path)
        finally:
            await closed(server)


@scenario
async def streams(loop):
    """kevent.streams: lines, exact reads, drain, the end."""
    tasks = []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
            writer.write_eof()
        except OSError:
            pass
        finally:
            writer.close()

    server = await kevent.streams.start_server(serve, "127.0.0.1", 0)
    writer = None
    try:
        reader, writer = await kevent.streams.open_connection(
            *server.sockets[0].getsockname())
        writer.write(b"one\n" + b"x" * 30_000 + b"\ntwo")
        await writer.drain()
        writer.write_eof()
        return (whole(await reader.readline(), b"one\n")
                and whole(await reader.readexactly(30_001), b"x" * 30_000 + b"\n")
                and whole(await reader.read(), b"two"))
    finally:
        if writer is not None:
            writer.close()
        await closed(server)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@scenario
async def tls(loop):
    """The same over TLS."""
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(PEM)
    outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outside.check_hostname = False
    outside.verify_mode = ssl.CERT_NONE
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=inside)
    try:
        host, port = server.sockets[0].getsockname()
        return await ask(loop, loop.create_connection, BIG[:50_000], host=host,
                         port=port, ssl=outside)
    finally:
        await closed(server)


@scenario
async def datagrams(loop):
    """UDP both ways."""
    class Side(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            if self.answer:
                self.transport.sendto(data, address)
            elif not self.done.done():
                self.done.set_result(data == b"ping")

        def error_received(self, exc):
            if not self.answer and not self.done.done():
                self.done.set_exception(exc)

        def connection_lost(self, exc):
            if exc is not None and not self.done.done():
                self.done.set_exception(exc)

    class Server(Side):
        answer = True

    done = loop.create_future()
    Side.done = done
    async with Closing() as closing:
        server, _ = await loop.create_datagram_endpoint(
            Server, local_addr=("127.0.0.1", 0))
        closing.callback(server.close)
        Side.answer = False
        client, _ = await loop.create_datagram_endpoint(
            Side, remote_addr=server.get_extra_info("sockname"))
        closing.callback(client.close)
        try:
            while not done.done():    # it is UDP: a send that failed is lost
                client.sendto(b"ping")
                await asyncio.wait([done], timeout=0.05)
            return done.result()
        finally:
            done.cancel() if not done.done() else done.exception()


@scenario
async def pipes(loop):
    """A pipe's two ends as transports."""
    reading, writing = os.pipe()
    done = loop.create_future()
    data = BIG[:200_000]

    class Reads(asyncio.Protocol):
        got = 0

        def data_received(self, piece):
            self.got += len(piece)

        def connection_lost(self, exc):
            if not done.done():
                done.set_result(self.got == len(data)) if exc is None \
                    else done.set_exception(exc)

    class Writes(asyncio.BaseProtocol):
        def connection_lost(self, exc):
            if exc is not None and not done.done():
                done.set_exception(exc)

    async with Closing() as closing:
        reads = open(reading, "rb", buffering=0)
        writes = open(writing, "wb", buffering=0)
        closing.callback(reads.close)
        closing.callback(writes.close)
        reader, _ = await loop.connect_read_pipe(Reads, reads)
        closing.callback(reader.close)
        writer, _ = await loop.connect_write_pipe(Writes, writes)
        closing.callback(writer.close)
        writer.write(data)
        writer.write_eof()
        try:
            return await done
        finally:
            done.cancel() if not done.done() else done.exception()


@scenario
async def sock_calls(loop):
    """sock_accept, sock_connect, sock_recv, sock_sendall, sock_sendfile."""
    async with Closing() as closing:
        listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setblocking(False)
        ours = closing.enter_context(socket.socket())
        ours.setblocking(False)
        accepting = asyncio.ensure_future(loop.sock_accept(listener))
        closing.callback(accepting.cancel)
        await loop.sock_connect(ours, listener.getsockname())
        theirs, _ = await accepting
        closing.enter_context(theirs)
        if not await through(loop, theirs, loop.sock_sendall(ours, BIG), len(BIG)):
            return False
        with tempfile.TemporaryFile() as file:
            file.write(BIG[:100_000])
            file.seek(0)
            return await through(loop, theirs, loop.sock_sendfile(ours, file), 100_000)


async def through(loop, sock, sends, size):
    """Whether so much arrives of what a coroutine sends; its exception."""
    sending = asyncio.ensure_future(sends)
    receiving = None
    try:
        while size > 0:
            receiving = asyncio.ensure_future(loop.sock_recv(sock, 100_000))
            while not receiving.done():
                rest = [receiving] if sending.done() else [receiving, sending]
                await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
                if sending.done() and sending.exception() is not None:
                    raise sending.exception()
            if not receiving.result():
                return False
            size -= len(receiving.result())
        await sending
        return size == 0
    finally:
        for task in (sending, receiving):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
                task.cancelled() or task.exception()


@scenario
async def a_signal(loop):
    """A signal handler of the loop."""
    got = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, got.set)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        await got.wait()
        return True
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


@scenario
async def selectors_and_queues(loop):
    """The selector and the kevent calls, beside the loop."""
    left, right = socket.socketpair()
    with left, right, kevent.KeventSelector() as selector:
        selector.register(left, 1)
        selector.register(right, 3)
        left.send(b"x")
        good = any(key.fileobj is right and mask & 1
                   for key, mask in selector.select(1))
        selector.modify(left, 2)
        selector.unregister(right)
        with kevent.Queue(ring_size=8) as queue:
            queue.add(left.fileno(), kevent.KEVENT_POLL, 4)
            queue.get_events(0, 8, 0)
            queue.add(5, kevent.KEVENT_TIMER, 1)
            queue.get_events(0, 8, 0)
        return good
