"""anyio on its asyncio backend, with kevent's loop."""
import asyncio
import signal
import socket
import sys

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import SocketAttribute

import kevent


def everything():
    """Each part in one anyio.run()."""
    anyio.run(main, backend="asyncio",
              backend_options={"loop_factory": kevent.new_event_loop})


everything.runs_itself = True


async def main():
    assert type(asyncio.get_running_loop()) is kevent.EventLoop
    with anyio.fail_after(40):
        await groups()
        await threads()
        await tcp()
        await unix()
        await udp()
        await raw()
        await processes()
        await signals()


async def groups():
    """Children of a group, a failure that cancels, scopes that end in time."""
    done = []

    async def child(number):
        await anyio.sleep(0)
        done.append(number)

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(child, number)
    assert sorted(done) == list(range(100))

    async def fail():
        raise LookupError("on purpose")

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.start_soon(fail)
    except BaseExceptionGroup as many:
        assert isinstance(many.exceptions[0], LookupError)
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught


async def threads():
    """Into worker threads, and from them back."""
    def work(number):
        return anyio.from_thread.run(double, number)

    async def double(number):
        await anyio.sleep(0)
        return 2 * number

    results = {}

    async def one(number):
        results[number] = await anyio.to_thread.run_sync(work, number)

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(one, number)
    assert results == {number: 2 * number for number in range(50)}


async def echo(stream):
    async with stream:
        async for data in stream:
            await stream.send(data)


async def exchange(stream):
    async with stream:
        message = b"x" * 300_000
        got = b""

        async def send():
            await stream.send(message)
            await stream.send_eof()

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            async for data in stream:
                got += data
        assert got == message


async def tcp():
    """A listener and clients over TCP, with half-close."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, echo)
        async with anyio.create_task_group() as clients:
            for _ in range(10):
                clients.start_soon(client, port)
        group.cancel_scope.cancel()


async def client(port):
    await exchange(await anyio.connect_tcp("127.0.0.1", port))


async def unix():
    """Unix sockets, which anyio drives by add_reader and add_writer."""
    async with anyio.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        async with await anyio.create_unix_listener(path) as listener:
            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, echo)
                await exchange(await anyio.connect_unix(path))
                group.cancel_scope.cancel()


async def udp():
    """Datagrams there and back."""
    async with await anyio.create_udp_socket(
            socket.AF_INET, local_host="127.0.0.1") as one:
        address = one.extra(SocketAttribute.local_address)
        async with await anyio.create_connected_udp_socket(*address) as other:
            await other.send(b"there")
            data, sender = await one.receive()
            assert data == b"there"
            await one.sendto(b"back", *sender)
            assert await other.receive() == b"back"


async def raw():
    """Waiting for a plain socket, and a close while somebody waits."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.wait_readable, ours)
            await anyio.wait_writable(theirs)
            theirs.send(b"!")
        assert ours.recv(10) == b"!"


async def processes():
    """A process with its pipes; one that fails."""
    result = await anyio.run_process(
        [sys.executable, "-c", "print(input()[::-1])"], input=b"abc\n")
    assert result.stdout == b"cba\n"
    async with await anyio.open_process(
            [sys.executable, "-c", "raise SystemExit(3)"]) as process:
        assert await process.wait() == 3


async def signals():
    """Signals as a stream."""
    with anyio.open_signal_receiver(signal.SIGUSR1) as received:
        signal.raise_signal(signal.SIGUSR1)
        async for number in received:
            assert number == signal.SIGUSR1
            break
