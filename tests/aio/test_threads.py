"""Other threads: the one door in, executors, and loops beside each other."""
import asyncio
import concurrent.futures
import threading
import time

import pytest

from .conftest import factory_of
from .helpers import LIMIT_S


async def test_wakes_a_sleeping_loop():
    """A callback from another thread does not wait for the next timer."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    asleep = threading.Event()
    loop.call_soon(asleep.set)
    thread = threading.Thread(target=lambda: (
        asleep.wait(), loop.call_soon_threadsafe(future.set_result, 1)))
    thread.start()
    assert await future == 1
    thread.join()


async def test_each_thread_in_order():
    """From several threads all arrive, each thread's in its own order."""
    loop = asyncio.get_running_loop()
    seen = []
    done = loop.create_future()
    threads, each = 4, 2000

    def arrive(item):
        seen.append(item)
        if len(seen) == threads * each:
            done.set_result(None)

    def send(name):
        for number in range(each):
            loop.call_soon_threadsafe(arrive, (name, number))

    workers = [threading.Thread(target=send, args=(n,))
               for n in range(threads)]
    for worker in workers:
        worker.start()
    await done
    for worker in workers:
        worker.join()
    for name in range(threads):
        assert [n for who, n in seen if who == name] == list(range(each))


async def test_ping_pong():
    """Two thousand rounds between the loop and a thread: no wake-up lost."""
    loop = asyncio.get_running_loop()
    import queue
    questions = queue.SimpleQueue()

    def answer():
        while (future := questions.get()) is not None:
            loop.call_soon_threadsafe(future.set_result, None)

    thread = threading.Thread(target=answer)
    thread.start()
    for _ in range(2000):
        future = loop.create_future()
        questions.put(future)
        await future
    questions.put(None)
    thread.join()


def test_before_the_loop_runs(loop):
    """What came before run_forever is run by it."""
    seen = []
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(
        lambda: (seen.append(threading.get_ident()), loop.stop())))
    thread.start()
    thread.join()
    loop.run_forever()
    assert seen == [threading.get_ident()]


async def test_from_its_own_thread():
    """It can be called from the loop's own thread, and queues like others."""
    loop = asyncio.get_running_loop()
    seen = []
    loop.call_soon(seen.append, 1)
    loop.call_soon_threadsafe(seen.append, 2)
    loop.call_soon(seen.append, 3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sorted(seen) == [1, 2, 3]


async def test_cancel_from_its_own_thread():
    """A thread-safe handle can be cancelled before it runs."""
    loop = asyncio.get_running_loop()
    seen = []
    handle = loop.call_soon_threadsafe(seen.append, 1)
    assert isinstance(handle, asyncio.Handle)
    handle.cancel()
    await asyncio.sleep(0.001)
    assert handle.cancelled() and seen == []


def test_closed(loop):
    """A closed loop refuses, from any thread."""
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon_threadsafe(print)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(RuntimeError, match="closed"):
            pool.submit(loop.call_soon_threadsafe, print).result()


def test_pending_at_close_is_freed(loop):
    """What never came to run is let go of when the loop closes."""
    import gc
    import weakref

    class Thing:
        pass

    thing = Thing()
    ref = weakref.ref(thing)
    loop.call_soon_threadsafe(print, thing)
    del thing
    loop.close()
    gc.collect()
    assert ref() is None


async def test_run_in_executor():
    """A function runs in another thread; result and exception come back."""
    loop = asyncio.get_running_loop()
    ident = await loop.run_in_executor(None, threading.get_ident)
    assert ident != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(None, lambda: 1 / 0)
    assert await asyncio.to_thread(sum, [1, 2]) == 3


async def test_many_in_executor():
    """Hundreds at a time all come back."""
    loop = asyncio.get_running_loop()
    results = await asyncio.gather(*(
        loop.run_in_executor(None, abs, -n) for n in range(500)))
    assert results == list(range(500))


def test_own_executor(loop):
    """set_default_executor is honoured and shut down."""
    pool = concurrent.futures.ThreadPoolExecutor(
        1, thread_name_prefix="mine")
    loop.set_default_executor(pool)
    name = loop.run_until_complete(loop.run_in_executor(
        None, lambda: threading.current_thread().name))
    assert name.startswith("mine")
    loop.run_until_complete(loop.shutdown_default_executor())
    with pytest.raises(RuntimeError):
        pool.submit(print)
    with pytest.raises(RuntimeError):
        loop.run_in_executor(None, print)


async def test_coroutine_from_a_thread():
    """run_coroutine_threadsafe runs it here and answers there."""
    loop = asyncio.get_running_loop()

    async def compute():
        await asyncio.sleep(0.001)
        return threading.get_ident()

    def ask():
        return asyncio.run_coroutine_threadsafe(compute(), loop).result(
            LIMIT_S)

    assert await asyncio.to_thread(ask) == threading.get_ident()


def test_two_loops_in_two_threads(loop_name):
    """Loops in several threads serve each other over sockets."""
    factory = factory_of(loop_name)
    ports = [concurrent.futures.Future() for _ in range(2)]

    async def handle(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main(index):
        finished = asyncio.Event()

        async def count(reader, writer):
            await handle(reader, writer)
            finished.set()

        server = await asyncio.start_server(count, "127.0.0.1", 0)
        async with server:
            ports[index].set_result(server.sockets[0].getsockname()[1])
            port = await asyncio.wrap_future(ports[1 - index])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello %d\n" % index)
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            await finished.wait()
        return answer

    def thread(index):
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(main(index), LIMIT_S))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(thread, range(2)))
    assert answers == [b"HELLO 0\n", b"HELLO 1\n"]


def test_stop_from_a_thread(loop):
    """stop() through the door ends run_forever."""
    running = threading.Event()
    loop.call_soon(running.set)
    thread = threading.Thread(target=lambda: (
        running.wait(), loop.call_soon_threadsafe(loop.stop)))
    thread.start()
    loop.run_forever()
    thread.join()


async def test_burst_while_busy():
    """Knocks that come while the loop is busy are one wake-up, none lost."""
    loop = asyncio.get_running_loop()
    seen = []
    sent = threading.Event()

    def send():
        for number in range(10000):
            loop.call_soon_threadsafe(seen.append, number)
        sent.set()

    thread = threading.Thread(target=send)
    thread.start()
    sent.wait()                        # the loop does nothing meanwhile
    thread.join()
    deadline = time.monotonic() + LIMIT_S
    while len(seen) < 10000 and time.monotonic() < deadline:
        await asyncio.sleep(0)
    assert seen == list(range(10000))


def wait_until_asleep(thread):
    """Until the thread sleeps in the kernel, as far as that can be seen."""
    limit = time.monotonic() + LIMIT_S
    path = f"/proc/self/task/{thread.native_id}/stat"
    while time.monotonic() < limit:
        with open(path) as file:
            if file.read().rpartition(")")[2].split()[0] == "S":
                return
        time.sleep(0.001)


needs_safe_handles = pytest.mark.skipif(
    not hasattr(asyncio.events, "_ThreadSafeHandle"),
    reason="this asyncio's handles take no lock")


@needs_safe_handles
def test_cancel_waits_for_a_callback_that_runs(loop):
    """When cancel() in another thread has returned the callback is not under way."""
    order = []
    running = threading.Event()
    begun = threading.Event()

    def callback():
        running.set()
        begun.wait(LIMIT_S)
        wait_until_asleep(thread)
        order.append("callback")
        loop.stop()

    def cancel():
        running.wait(LIMIT_S)
        begun.set()
        handle.cancel()
        order.append("cancelled")

    thread = threading.Thread(target=cancel)
    thread.start()
    handle = loop.call_soon_threadsafe(callback)
    loop.run_forever()
    thread.join()
    assert order == ["callback", "cancelled"]
    assert handle.cancelled()


@needs_safe_handles
def test_several_threads_cancel_one_handle(loop):
    """All return, and the callback runs once or never."""
    runs = []
    for _ in range(50):
        barrier = threading.Barrier(4)
        ran = []
        handle = loop.call_soon_threadsafe(lambda: (time.sleep(0), ran.append(1)))

        def cancel():
            barrier.wait()
            handle.cancel()
            assert handle.cancelled()

        threads = [threading.Thread(target=cancel) for _ in range(3)]
        for thread in threads:
            thread.start()
        barrier.wait()
        loop.call_soon(loop.stop)
        loop.run_forever()
        for thread in threads:
            thread.join()
        runs.append(len(ran))
    assert set(runs) <= {0, 1}


@needs_safe_handles
def test_a_thread_safe_handle_is_one(loop):
    """Its class, its repr, its arguments, and what it does by hand."""
    seen = []
    handle = loop.call_soon_threadsafe(seen.append, 1)
    assert isinstance(handle, asyncio.events._ThreadSafeHandle)
    assert type(handle).__name__ == "_ThreadSafeHandle"
    assert "_ThreadSafeHandle" in repr(handle) and handle._args == (1,)
    handle._run()
    assert seen == [1]
    handle.cancel()
    handle._run()
    assert seen == [1] and handle.cancelled() and handle._args is None
    assert repr(handle) == "<_ThreadSafeHandle cancelled>"


@needs_safe_handles
def test_a_handle_is_cancelled_by_its_own_callback(loop):
    """The lock is recursive."""
    seen = []

    def callback():
        handle.cancel()
        seen.append(handle.cancelled())
        loop.stop()

    handle = loop.call_soon_threadsafe(callback)
    loop.run_forever()
    assert seen == [True]


@needs_safe_handles
def test_what_a_thread_safe_callback_raises_is_reported(loop, contexts):
    """With the handle, and the lock is free again."""
    handle = loop.call_soon_threadsafe(lambda: 1 / 0)
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    assert isinstance(contexts[0]["exception"], ZeroDivisionError)
    assert contexts[0]["handle"] is handle
    contexts.clear()
    thread = threading.Thread(target=handle.cancel)
    thread.start()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
