"""Signals: handlers on the loop, and what stays of Python's own."""
import asyncio
import os
import signal
import socket
import stat
import sys
import textwrap
import threading

import pytest

from .helpers import LIMIT_S, python, turns


async def test_handler():
    """A handler is called with its arguments, on the loop."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, lambda *args: future.set_result(
        (args, asyncio.get_running_loop() is loop)), 1, 2)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert await future == ((1, 2), True)
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


async def test_replaced():
    """A second handler replaces the first."""
    loop = asyncio.get_running_loop()
    seen = []
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    loop.add_signal_handler(signal.SIGUSR1, lambda: (seen.append(2),
                                                     done.set()))
    os.kill(os.getpid(), signal.SIGUSR1)
    await done.wait()
    loop.remove_signal_handler(signal.SIGUSR1)
    assert seen == [2]


async def test_two_signals():
    """Each signal has its own handler."""
    loop = asyncio.get_running_loop()
    seen = set()
    done = asyncio.Event()

    def note(name):
        seen.add(name)
        if len(seen) == 2:
            done.set()

    loop.add_signal_handler(signal.SIGUSR1, note, 1)
    loop.add_signal_handler(signal.SIGUSR2, note, 2)
    os.kill(os.getpid(), signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGUSR1)
    await done.wait()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.remove_signal_handler(number)


async def test_wakes_a_sleeping_loop():
    """A signal from another thread of the process ends the sleep."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    asleep = threading.Event()
    loop.add_signal_handler(signal.SIGUSR1, future.set_result, None)
    thread = threading.Thread(target=lambda: (
        asleep.wait(), os.kill(os.getpid(), signal.SIGUSR1)))
    thread.start()
    loop.call_soon(asleep.set)
    await future
    thread.join()
    loop.remove_signal_handler(signal.SIGUSR1)


async def test_plain_handler_runs():
    """A handler of signal.signal() runs while the loop sleeps, and can
    wake it."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def handler(number, frame):
        loop.call_soon_threadsafe(future.set_result, number)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert await future == signal.SIGALRM
    finally:
        signal.signal(signal.SIGALRM, before)


async def test_interrupted_sleep_goes_on():
    """A signal does not make a timer early."""
    loop = asyncio.get_running_loop()
    before = signal.signal(signal.SIGALRM, lambda *args: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        start = loop.time()
        await asyncio.sleep(0.05)
        assert loop.time() - start >= 0.05
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_raising_handler_leaves_the_loop(loop):
    """An exception of a signal.signal() handler leaves run_forever."""
    class Alarm(Exception):
        pass

    def handler(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Alarm):
            loop.run_forever()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not loop.is_running()
    loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_impossible(number):
    """Signals that cannot be caught are refused."""
    with pytest.raises((RuntimeError, OSError)):
        asyncio.get_running_loop().add_signal_handler(number, print)


async def test_wrong_arguments():
    """No signal, no number, no callback: each is refused."""
    loop = asyncio.get_running_loop()
    with pytest.raises(ValueError):
        loop.add_signal_handler(1000, print)
    with pytest.raises(TypeError):
        loop.add_signal_handler("SIGUSR1", print)

    async def coroutine():
        pass

    with pytest.raises(TypeError):
        loop.add_signal_handler(signal.SIGUSR1, coroutine)


def test_not_in_another_thread(loop):
    """Signal handlers are for the main thread."""
    errors = []

    def other():
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except (RuntimeError, ValueError) as exc:
            errors.append(exc)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_closing_gives_the_signal_back(loop):
    """After close() the signal does what it did, and no wake-up descriptor
    is left."""
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    old = signal.set_wakeup_fd(-1)
    assert old == -1


def wakeup_fd():
    """The descriptor that Python writes the numbers of signals to, or -1."""
    fd = signal.set_wakeup_fd(-1)
    if fd >= 0:
        signal.set_wakeup_fd(fd)
    return fd


def test_wakeup_descriptor(loop):
    """While there is a handler the wake-up descriptor is a socket of the loop,
    from the first handler to the last."""
    assert wakeup_fd() == -1
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    loop.add_signal_handler(signal.SIGUSR2, loop.stop)
    assert stat.S_ISSOCK(os.fstat(wakeup_fd()).st_mode)
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    loop.run_forever()
    assert seen == [1]
    loop.remove_signal_handler(signal.SIGUSR1)
    assert wakeup_fd() >= 0
    loop.remove_signal_handler(signal.SIGUSR2)
    assert wakeup_fd() == -1


def test_wakeup_descriptor_of_the_program(loop):
    """A loop without signal handlers leaves the program its own."""
    ours, theirs = socket.socketpair()
    before = signal.signal(signal.SIGUSR1, lambda *_: loop.stop())
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
        old = signal.set_wakeup_fd(ours.fileno())
        try:
            loop.call_soon(signal.raise_signal, signal.SIGUSR1)
            loop.run_forever()
            assert theirs.recv(9) == bytes([signal.SIGUSR1])
        finally:
            found = signal.set_wakeup_fd(old)
            signal.signal(signal.SIGUSR1, before)
        assert found == ours.fileno()


def script(name, body):
    """A program that runs main() on the loop of that name."""
    factory = {"asyncio": "asyncio.SelectorEventLoop",
               "kevent": "kevent.new_event_loop"}[name]
    head = "import asyncio, os, signal, sys\n"
    if name == "kevent":
        head += "import kevent\n"
    return (head + textwrap.dedent(body)
            + f"\nwith asyncio.Runner(loop_factory={factory}) as runner:\n"
              f"    runner.run(main())\n")


def test_ctrl_c(loop_name):
    """Ctrl-C cancels the main task; its cleanup runs; KeyboardInterrupt."""
    done = python("-c", script(loop_name, """
        async def main():
            asyncio.get_running_loop().call_later(
                0.05, os.kill, os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(100)
            finally:
                print("cleanup", flush=True)
        """))
    assert done.stdout == "cleanup\n"
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert done.returncode in (-signal.SIGINT, 130)


def test_ctrl_c_in_a_busy_callback(loop_name):
    """Ctrl-C gets through a callback that spins, and keeps the loop sane."""
    done = python("-c", script(loop_name, """
        async def main():
            import _thread
            loop = asyncio.get_running_loop()
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            signal.signal(signal.SIGALRM,
                          lambda *args: os.kill(os.getpid(), signal.SIGINT))
            try:
                while True:
                    await asyncio.sleep(0)
            finally:
                await asyncio.sleep(0.001)
                print("cleanup", flush=True)
        """))
    assert done.stdout == "cleanup\n"
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


async def test_storm():
    """A hundred signals in a row: the last is not lost."""
    loop = asyncio.get_running_loop()
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    for _ in range(100):
        os.kill(os.getpid(), signal.SIGUSR1)
    while not seen:
        await asyncio.sleep(0)
    await turns(10)
    count = len(seen)
    os.kill(os.getpid(), signal.SIGUSR1)
    async with asyncio.timeout(LIMIT_S):
        while len(seen) == count:
            await asyncio.sleep(0.001)
    loop.remove_signal_handler(signal.SIGUSR1)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_loop_in_a_thread_leaves_signals_alone(loop_factory):
    """A loop in another thread runs while the main thread has the signals."""
    before = signal.getsignal(signal.SIGINT)

    def run():
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.sleep(0.01))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
