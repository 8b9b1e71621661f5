"""Loops in threads: independent, and on a build without the GIL at once."""
import os
import sys
import textwrap

import pytest

from . import stress
from .child import run

SECONDS = os.environ.get("KEVENT_LIFE_SECONDS", "0.3")
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


@pytest.mark.parametrize("part", stress.parts)
def test_stress(part):
    """Threads that meet in one object: what must hold does (stress.py)."""
    run(f"""
    from tests.life import stress
    stress.main("{SECONDS}", "{part}")
    """)


def test_the_gil_stays_off():
    """Importing kevent does not switch the GIL on."""
    run(f"""
    kevent.run(asyncio.sleep(0))
    assert getattr(sys, "_is_gil_enabled", lambda: True)() is {HAS_GIL}
    """)


def test_current_task_and_loop_are_each_thread_s_own():
    """In N threads at once: current_task, all_tasks, get_running_loop, context."""
    run("""
    import contextvars
    var = contextvars.ContextVar("var")
    async def main(n):
        var.set(n)
        loop = asyncio.get_running_loop()
        async def child():
            for _ in range(200):
                assert asyncio.current_task() is me or asyncio.current_task() in mine
                assert asyncio.get_running_loop() is loop and var.get() == n
                await asyncio.sleep(0)
        me = asyncio.current_task()
        mine = [asyncio.create_task(child()) for _ in range(3)]
        assert asyncio.all_tasks() == {me, *mine}
        await asyncio.gather(*mine)
        assert asyncio.current_task() is me
        done.append(n)
    done = []
    threads = [threading.Thread(target=lambda n=n: kevent.run(main(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(8))
    """)


@pytest.mark.skipif(HAS_GIL, reason="with the GIL one thread runs Python at a time")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor runs one thread at a time")
def test_throughput_grows_with_threads():
    """Two loops in two threads do not sleep for each other (with a GIL: some
    hundred times), and do as many callbacks, timers and socket round trips as two
    in two processes, give or take a quarter (with a GIL: half), in one of some
    tries.  What the processes do is what the machine, which may have other work,
    has for two at once."""
    run("""
    import resource
    async def main(until):
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        left.setblocking(False)
        right.setblocking(False)
        class Echo(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport
            def data_received(self, data):
                nonlocal count
                count += 1
                loop.call_soon(int)
                loop.call_later(100, int).cancel()
                if time.perf_counter() < until:
                    self.transport.write(data)
                else:
                    done.set()
        count, done = 0, asyncio.Event()
        one, protocol = await loop.create_connection(Echo, sock=left)
        two, _ = await loop.create_connection(Echo, sock=right)
        one.write(b"x" * 100)
        await done.wait()
        one.abort()
        two.abort()
        return count
    def sleeps():
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    def in_threads(until):
        results = []
        def work():
            before = sleeps()
            results.append(kevent.run(main(until)))
            slept.append(sleeps() - before)
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(results)
    def in_processes(until):
        reading, writing = os.pipe()
        children = []
        for _ in range(2):
            child = os.fork()
            if not child:
                os.write(writing, b"%d " % kevent.run(main(until)))
                os._exit(0)
            children.append(child)
        os.close(writing)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
        with open(reading) as results:
            return sum(map(int, results.read().split()))
    def share():
        threads, processes = [of(time.perf_counter() + 0.5) for of in (in_threads, in_processes)]
        return threads / processes
    kevent.run(main(0))
    tries = []
    for _ in range(8):
        slept = []
        tries.append((share(), sum(slept)))
        if tries[-1][0] > 0.75 and tries[-1][1] <= 20:
            break
    else:
        raise AssertionError(tries)
    """)


BUSY_IN_C = {
    "ready": """
        import functools
        again = functools.partial(loop.call_soon)
        again.__setstate__((loop.call_soon, (again,), {}, {}))
        loop.call_soon(again)
    """,
    "reader": """
        left, right = socket.socketpair()
        right.send(b"x")
        loop.add_reader(left, int)
    """,
    "timer": """
        import functools
        again = functools.partial(loop.call_later)
        again.__setstate__((loop.call_later, (0, again), {}, {}))
        loop.call_later(0, again)
    """,
}


@pytest.mark.parametrize("factory", ["asyncio.SelectorEventLoop", "kevent.new_event_loop"])
@pytest.mark.parametrize("busy", BUSY_IN_C)
def test_callbacks_in_c_let_threads_run(factory, busy):
    """A loop whose callbacks are C and never end gives other threads their time,
    and takes the exception that one of them sets for it."""
    run(f"""
    import ctypes
    loop = {factory}()
    """ + textwrap.indent(textwrap.dedent(BUSY_IN_C[busy]), "    ") + """
    class Enough(KeyboardInterrupt):                      # goes through a handle
        pass
    def stop():
        started.wait()
        for _ in range(3):
            time.sleep(0.001)                             # lets the loop have the GIL
        gc.collect()
        loop.call_soon_threadsafe(loop.stop)
    def interrupt(thread):
        started.wait()
        time.sleep(0.001)
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(Enough)) == 1
    started = threading.Event()
    loop.call_soon(started.set)
    thread = threading.Thread(target=stop)
    thread.start()
    loop.run_forever()
    thread.join()
    started.clear()
    loop.call_soon(started.set)
    thread = threading.Thread(target=interrupt, args=[threading.get_ident()])
    thread.start()
    try:
        loop.run_forever()
    except Enough:
        thread.join()
        loop.close()
    else:
        raise AssertionError("not interrupted")
    """)
