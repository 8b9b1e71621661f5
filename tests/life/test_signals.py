"""Signals in every phase of a loop's life: none is lost, nothing hangs."""
import textwrap

import pytest

from .child import run

# Another process sends the signal at moments spread over the phase.
PHASES = {
    "start": """
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            loop = kevent.new_event_loop()
            loop.call_soon(loop.stop)
            loop.run_forever()
            loop.close()
    """,
    "poll": """
        loop = kevent.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0.2))
        loop.close()
    """,
    "callback": """
        loop = kevent.new_event_loop()
        until = time.monotonic() + 0.2
        def again():
            sum(range(200))
            if time.monotonic() < until:
                loop.call_soon(again)
            else:
                loop.stop()
        loop.call_soon(again)
        loop.run_forever()
        loop.close()
    """,
    "traffic": """
        async def main():
            async def serve(reader, writer):
                while data := await reader.read(1000):
                    writer.write(data)
                writer.close()
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                writer.write(b"x" * 1000)
                assert await reader.readexactly(1000) == b"x" * 1000
            writer.close()
            server.close()
        kevent.run(main())
    """,
    "close": """
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            loop = kevent.new_event_loop()
            loop.run_until_complete(asyncio.sleep(0))
            loop.call_later(100, print)
            loop.close()
    """,
}

SENDER = """
    warnings.simplefilter("ignore")
    heard = 0
    def handler(number, frame):
        global heard
        heard += 1
    signal.signal(signal.SIGUSR1, handler)
    parent = os.getpid()
    sender = os.fork()
    if sender == 0:
        for _ in range(1000):
            time.sleep(0.0007)
            try:
                os.kill(parent, signal.SIGUSR1)
            except ProcessLookupError:
                break
        os._exit(0)
"""


@pytest.mark.parametrize("phase", PHASES)
def test_handler(phase):
    """A handler of signal.signal() runs, and the loop goes on as if nothing
    had been."""
    run(SENDER + PHASES[phase].replace("\n    ", "\n") + """
    os.kill(sender, signal.SIGKILL)
    os.waitpid(sender, 0)
    assert heard > 0
    """)


@pytest.mark.parametrize("phase", PHASES)
def test_interrupt(phase):
    """Ctrl-C somewhere in the phase: KeyboardInterrupt, and afterwards another
    loop runs.  In a destructor Python only prints it, and between two lines of
    run_forever() it leaves the running loop set, in the stdlib as here; both are
    counted.  The phase is a function: CPython 3.13 does not cover the jump at the
    end of a loop by the try statement around it."""
    body = textwrap.indent(textwrap.dedent(PHASES[phase]), " " * 8)
    run(f"""
    warnings.simplefilter("ignore")
    interrupts = 0
    def unraisable(told):
        global interrupts
        interrupts += isinstance(told.exc_value, KeyboardInterrupt)
    sys.unraisablehook = unraisable
    def phase():
{body}
    for round in range(12):
        timer = threading.Timer(0.003 * (round + 1), os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            phase()
            timer.join()
            time.sleep(0.001)
        except KeyboardInterrupt:
            interrupts += 1
            asyncio._set_running_loop(None)
        timer.join()
    assert interrupts == 12, interrupts
    gc.collect()
    assert kevent.run(asyncio.sleep(0.01, "well")) == "well"
    """)


def test_interrupt_at_shutdown():
    """SIGTERM's default action ends a process with a loop open and running."""
    run("""
    async def main():
        kept = await open_everything()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(30)
    kevent.run(main())
    """, status=-15)


def test_signal_while_threads_run_loops():
    """Signals go to the main thread's handler though every other thread sleeps
    in a loop; the loops are not disturbed."""
    run(SENDER + """
    async def main():
        for _ in range(20):
            await asyncio.sleep(0.005)
        return 1
    done = []
    threads = [threading.Thread(target=lambda: done.append(kevent.run(main())))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.kill(sender, signal.SIGKILL)
    os.waitpid(sender, 0)
    assert heard > 0 and done == [1] * 4, (heard, done)
    """)


def test_handlers_of_the_loop():
    """loop.add_signal_handler: each signal that is sent after the last was
    heard is heard, whatever the loop is at; closing gives the signal back."""
    run("""
    async def main():
        loop = asyncio.get_running_loop()
        heard = asyncio.Queue()
        loop.add_signal_handler(signal.SIGUSR2, heard.put_nowait, 1)
        busy = [asyncio.create_task(asyncio.sleep(n / 1000)) for n in range(50)]
        for _ in range(200):
            os.kill(os.getpid(), signal.SIGUSR2)
            await asyncio.wait_for(heard.get(), 10)
        await asyncio.gather(*busy)
    before = signal.getsignal(signal.SIGUSR2)
    for _ in range(3):
        kevent.run(main())
        assert signal.getsignal(signal.SIGUSR2) == before
    """)
