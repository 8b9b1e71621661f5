"""Ctrl-C in every phase of an iteration: KeyboardInterrupt leaves run_forever,
and when the loop goes on nothing that was due is missing."""
import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
import warnings

import pytest

from .helpers import LIMIT_S, SLOWNESS, Recorder, end, python


class Interrupts:
    """Raises KeyboardInterrupt as Ctrl-C does, once for each name."""

    def __init__(self):
        self.done = []

    def once(self, name):
        if name not in self.done:
            self.done.append(name)
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interrupts():
    """Ctrl-C is Python's own: the handler that raises."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Interrupts()
    signal.signal(signal.SIGINT, before)


def finish(loop, awaitable, limit_s=LIMIT_S):
    """Runs to the end through every interrupt: (result, interrupts)."""
    count = 0
    task = asyncio.ensure_future(
        asyncio.wait_for(awaitable, limit_s), loop=loop)
    while not task.done():
        task.add_done_callback(stop_of(loop))
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            count += 1
    return task.result(), count


def stop_of(loop):
    return lambda _: loop.stop()


@pytest.mark.parametrize("call", ["call_soon", "call_soon_threadsafe"])
def test_in_a_callback(loop, interrupts, call):
    """Those behind it run in their order, each once."""
    seen = []
    for number in range(10):
        getattr(loop, call)(seen.append, number)
        getattr(loop, call)(interrupts.once, number)
    _, count = finish(loop, asyncio.sleep(0.001))
    assert seen == list(range(10)) and count == 10


def test_in_timers(loop, interrupts):
    """Timers that were due in the same iteration all run."""
    seen = []
    when = loop.time() + 0.001
    for number in range(10):
        loop.call_at(when + number * 1e-9, seen.append, number)
        loop.call_at(when + number * 1e-9, interrupts.once, number)
    _, count = finish(loop, asyncio.sleep(0.01))
    assert sorted(seen) == list(range(10)) and count == 10


def test_in_readers_and_writers(loop, interrupts):
    """Of many ready descriptors each is served, the interrupted one too."""
    pairs = [socket.socketpair() for _ in range(8)]
    seen = []
    left = loop.create_future()

    def read(number, sock):
        seen.append((number, sock.recv(1)))
        loop.remove_reader(sock)
        served("read", number)

    def written(number, sock):
        loop.remove_writer(sock)
        served("write", number)

    def served(*what):
        if len(interrupts.done) == 15:
            loop.call_soon(left.set_result, None)
        interrupts.once(what)

    for number, (ours, theirs) in enumerate(pairs):
        ours.setblocking(False)
        theirs.send(b"%d" % number)
        loop.add_reader(ours, read, number, ours)
        loop.add_writer(ours, written, number, ours)
    _, count = finish(loop, left)
    assert sorted(seen) == [(n, b"%d" % n) for n in range(8)]
    assert count == 16
    for pair in pairs:
        for sock in pair:
            sock.close()


class Interrupted(Recorder):
    """A protocol that is interrupted in each of its methods."""

    def __init__(self, interrupts):
        super().__init__()
        self.interrupts = interrupts

    def connection_made(self, transport):
        super().connection_made(transport)
        self.interrupts.once("made")

    def data_received(self, data):
        super().data_received(data)
        self.interrupts.once(("data", len(self.data)))

    def eof_received(self):
        # Told again after the interrupt: it had not answered.
        self.interrupts.once("eof")
        return super().eof_received()

    def pause_writing(self):
        super().pause_writing()
        self.interrupts.once("pause")

    def resume_writing(self):
        super().resume_writing()
        self.interrupts.once("resume")

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.interrupts.once("lost")


@contextlib.asynccontextmanager
async def on_pair(loop, protocol):
    """The other end of the protocol's connection."""
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    with theirs:
        await loop.create_connection(lambda: protocol, sock=ours)
        try:
            yield theirs
        finally:
            await end(protocol)


async def undisturbed(loop, contexts, coroutine):
    """What it returns; it is ended once the exception handler is told something,
    for with that it may come to no end."""
    task = loop.create_task(coroutine)

    def handler(_, context):
        contexts.append(context)
        task.cancel()

    loop.set_exception_handler(handler)
    with contextlib.suppress(asyncio.CancelledError):
        return await task


def test_in_protocols_that_read(loop, interrupts):
    """connection_made, each data_received, eof_received, connection_lost: all
    data come, then the end, once."""
    protocol = Interrupted(interrupts)

    async def talk():
        async with on_pair(loop, protocol) as theirs:
            await loop.sock_sendall(theirs, bytes(2_000_000))
            theirs.shutdown(socket.SHUT_WR)
            await protocol.lost()

    finish(loop, talk())
    finish(loop, asyncio.sleep(0))
    assert len(protocol.data) == 2_000_000
    assert protocol.calls == ["made", "data", "eof", "lost"]
    assert {"made", "eof", "lost"} < set(interrupts.done)
    assert len(interrupts.done) > 5


WATCHES_ON = pytest.mark.stdlib_differs(
    "it goes on watching for writing when the resume_writing() that it calls "
    "after the last byte is interrupted, and then fails its own assertion that "
    "there is something to write, again and again")


@pytest.mark.parametrize("low", [1_000_000, pytest.param(0, marks=WATCHES_ON)])
def test_in_protocols_that_write(loop, interrupts, contexts, low):
    """pause_writing, and resume_writing with something left to write and with
    nothing: what is buffered goes out, close() comes to its end."""
    protocol = Interrupted(interrupts)

    async def talk():
        async with on_pair(loop, protocol) as theirs:
            protocol.transport.set_write_buffer_limits(low or None, low)
            loop.call_soon(write)
            got = 0
            while data := await loop.sock_recv(theirs, 65536):
                got += len(data)
            await protocol.lost()
            return got

    def write():
        loop.call_soon(protocol.transport.close)
        protocol.transport.write(bytes(2_000_000))

    got, _ = finish(loop, undisturbed(loop, contexts, talk()))
    finish(loop, asyncio.sleep(0))
    assert not contexts
    assert got == 2_000_000
    assert protocol.calls.count("lost") == 1
    assert {"pause", "resume", "lost"} <= set(interrupts.done)


@WATCHES_ON
def test_in_the_last_resume_writing(loop, interrupts, contexts):
    """Interrupted when the last byte has gone: close() still comes to its
    end, with data to read at the same time."""
    protocol = Interrupted(interrupts)
    protocol.keep_open = True

    async def talk():
        async with on_pair(loop, protocol) as theirs:
            protocol.transport.set_write_buffer_limits(high=0)
            loop.call_soon(protocol.transport.write, bytes(500_000))
            got = 0
            while got < 500_000:
                got += len(await loop.sock_recv(theirs, 500_000))
            await protocol.until(lambda: "resume" in protocol.calls)
            await loop.sock_sendall(theirs, b"more")
            await protocol.received(4)
            protocol.transport.close()
            await protocol.lost()

    finish(loop, undisturbed(loop, contexts, talk()))
    finish(loop, asyncio.sleep(0))
    assert not contexts
    assert "resume" in interrupts.done


def test_in_a_task(loop, interrupts):
    """The task ends with it; the others go on."""
    async def interrupted():
        await asyncio.sleep(0)
        interrupts.once("task")

    async def main():
        task = loop.create_task(interrupted())
        await asyncio.wait([task])
        return task

    task, count = finish(loop, main())
    assert count == 1
    with pytest.raises(KeyboardInterrupt):
        task.result()


def test_in_done_callbacks_and_the_handler(loop, interrupts, contexts):
    """Done callbacks, the exception handler, a signal's handler."""
    future = loop.create_future()
    seen = []
    for number in range(3):
        future.add_done_callback(lambda _, n=number: seen.append(n))
        future.add_done_callback(lambda _, n=number: interrupts.once(n))
    loop.call_soon(future.set_result, None)
    loop.set_exception_handler(lambda *_: interrupts.once("handler"))
    loop.call_soon(lambda: 1 / 0)
    loop.add_signal_handler(signal.SIGUSR1, interrupts.once, "signal")
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    _, count = finish(loop, asyncio.sleep(0.01))
    loop.remove_signal_handler(signal.SIGUSR1)
    assert seen == [0, 1, 2] and count == 5


def test_in_a_protocol_factory(loop, interrupts, contexts):
    """The connection is dropped; the next one is served."""
    def make():
        interrupts.once("factory")
        return Recorder()

    async def main():
        server = await loop.create_server(make, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for _ in range(2):
            _, client = await loop.create_connection(Recorder, *address)
            client.transport.write(b"x")
            client.transport.close()
            await client.lost()
        server.close()
        await server.wait_closed()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        _, count = finish(loop, main())
        gc.collect()
    assert count == 1
    # In the stdlib it was the exception of a task that nobody asks.
    assert all("never retrieved" in told["message"] for told in contexts)
    contexts.clear()


def test_while_asleep(loop, interrupts):
    """From the sleep itself, as often as it comes; timers stay."""
    ticked = loop.create_future()
    asleep = []
    enough = threading.Event()

    def annoy():
        while not enough.wait(0.005):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def handle(*_):
        # Only while nothing but the sleep is left to do: asyncio's loop loses a
        # handle that it has taken out of its queue and not yet called.
        if asleep:
            asleep.clear()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    thread = threading.Thread(target=annoy)
    thread.start()
    loop.call_later(0.3 * SLOWNESS, ticked.set_result, "tick")
    for _ in range(5):
        loop.call_soon(asleep.append, True)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
    enough.set()
    thread.join()
    assert finish(loop, ticked) == ("tick", 0)


def test_before_and_after_run(loop, interrupts):
    """One that came before run_forever is raised by Python, not lost in it;
    the loop runs afterwards as ever."""
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert loop.run_until_complete(asyncio.sleep(0, 7)) == 7


def test_runner_twice(loop_factory):
    """asyncio.Runner: the first Ctrl-C cancels the main task, the second one
    ends at once."""
    async def main():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(LIMIT_S)
        except asyncio.CancelledError:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(LIMIT_S)

    with pytest.raises(KeyboardInterrupt):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())


PHASES = {
    "executor": """
        await asyncio.get_running_loop().run_in_executor(None, interrupt)
        await asyncio.sleep(60)""",
    "child": """
        process = await asyncio.create_subprocess_exec("sleep", "60")
        interrupt()
        try:
            await process.wait()
        finally:
            process.kill()
            await process.wait()""",
    "server": """
        server = await asyncio.start_server(print, "127.0.0.1", 0)
        async with server:
            interrupt()
            await server.serve_forever()""",
    "busy": """
        interrupt()
        while True:
            await asyncio.sleep(0)""",
    "cleanup": """
        try:
            interrupt()
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)""",
}


@pytest.mark.parametrize("phase", PHASES)
def test_whole_programs(loop_name, phase):
    """asyncio.Runner ends a program with KeyboardInterrupt, wherever it is
    when Ctrl-C comes."""
    factory = ("asyncio.SelectorEventLoop" if loop_name == "asyncio"
               else "kevent.new_event_loop")
    finished = python("-c", f"""
import asyncio, os, signal, sys
{"import kevent" if loop_name == "kevent" else ""}
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
async def main():
{PHASES[phase]}
try:
    with asyncio.Runner(loop_factory={factory}) as runner:
        runner.run(main())
except KeyboardInterrupt:
    print("interrupted")
""")
    assert finished.stdout == "interrupted\n", finished
    assert finished.stderr == "" and finished.returncode == 0


def test_the_tests_in_the_background(loop_name):
    """A shell without job control starts what runs in the background with
    SIGINT ignored: programs that these tests start hear Ctrl-C all the same."""
    finished = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider",
        f"{__file__}::test_whole_programs[{loop_name}-cleanup]",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert finished.returncode == 0 and "1 passed" in finished.stdout, finished
