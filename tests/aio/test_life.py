"""The life of a loop: running, stopping, closing, and what it complains of."""
import asyncio
import gc
import logging
import os
import sys
import threading
import weakref

import pytest

from .helpers import turns


def run_once(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_kind(loop):
    """The loop is an asyncio loop, by class too; open and not running."""
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, asyncio.BaseEventLoop)
    assert not loop.is_running() and not loop.is_closed()
    assert "running=False" in repr(loop) and "closed=False" in repr(loop)


def test_result(loop):
    """run_until_complete returns the result, of coroutine and future."""
    async def compute():
        await asyncio.sleep(0)
        return 42

    assert loop.run_until_complete(compute()) == 42
    future = loop.create_future()
    loop.call_soon(future.set_result, 7)
    assert loop.run_until_complete(future) == 7


def test_exception(loop):
    """An exception of the coroutine is raised by run_until_complete."""
    async def fail():
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        loop.run_until_complete(fail())


def test_stopped_before_the_end(loop):
    """stop() while run_until_complete waits raises RuntimeError."""
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="stopped before"):
        loop.run_until_complete(future)


def test_no_awaitable(loop):
    """Anything but an awaitable raises TypeError."""
    with pytest.raises(TypeError):
        loop.run_until_complete(5)


def test_future_of_another_loop(loop, loop_factory):
    """A future of another loop raises ValueError."""
    other = loop_factory()
    future = other.create_future()
    with pytest.raises(ValueError):
        loop.run_until_complete(future)
    other.close()


def test_stop_before_run(loop):
    """stop() before run_forever lets exactly one iteration run."""
    seen = []
    loop.call_soon(seen.append, 1)
    loop.stop()
    loop.run_forever()
    assert seen == [1]


def test_stop_ends_the_iteration_first(loop):
    """What is queued when stop() is called still runs; what comes later
    waits."""
    seen = []
    loop.call_soon(loop.stop)
    loop.call_soon(lambda: (seen.append(1), loop.call_soon(seen.append, 2)))
    loop.run_forever()
    assert seen == [1]
    run_once(loop)
    assert seen == [1, 2]


def test_running_state(loop):
    """is_running() and get_running_loop() know the loop that runs."""
    seen = []

    async def look():
        seen.append((loop.is_running(), asyncio.get_running_loop() is loop))

    loop.run_until_complete(look())
    assert seen == [(True, True)]
    assert not loop.is_running()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_nested_run(loop, loop_factory):
    """A running loop cannot be run again, nor another one inside it."""
    other = loop_factory()

    async def nest():
        for inner in (loop, other):
            coroutine = asyncio.sleep(0)
            with pytest.raises(RuntimeError):
                inner.run_until_complete(coroutine)
            coroutine.close()

    loop.run_until_complete(nest())
    other.close()


def test_closed(loop):
    """A closed loop refuses everything, and can be closed again."""
    loop.close()
    loop.close()
    assert loop.is_closed()
    coroutine = asyncio.sleep(0)
    for call in (lambda: loop.call_soon(print),
                 lambda: loop.call_later(1, print),
                 lambda: loop.call_at(1, print),
                 lambda: loop.call_soon_threadsafe(print),
                 lambda: loop.run_forever(),
                 lambda: loop.run_until_complete(coroutine),
                 lambda: loop.run_in_executor(None, print),
                 lambda: loop.create_task(coroutine)):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    coroutine.close()
    assert "closed=True" in repr(loop)


def test_close_while_running(loop):
    """close() of a running loop raises RuntimeError."""
    async def close():
        loop.close()

    with pytest.raises(RuntimeError, match="running"):
        loop.run_until_complete(close())


def test_close_frees_what_is_pending(loop):
    """close() lets go of all that was scheduled."""
    class Thing:
        pass

    thing = Thing()
    ref = weakref.ref(thing)
    loop.call_soon(print, thing)
    loop.call_later(100, print, thing)
    del thing
    loop.close()
    gc.collect()
    assert ref() is None


def test_unclosed_loop_warns(loop_factory):
    """A loop that is dropped open warns, and closes its descriptors."""
    loop = loop_factory()
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        del loop
        gc.collect()


def test_loop_is_collected(loop_factory):
    """A closed loop with a cycle through itself is freed."""
    loop = loop_factory()
    loop.myself = loop
    ref = weakref.ref(loop)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    del loop
    gc.collect()
    assert ref() is None


def test_many_loops(loop_factory):
    """A hundred loops, one after the other, leave nothing (see the guard)."""
    for _ in range(100):
        loop = loop_factory()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_forgotten_exception(loop, contexts):
    """A task whose exception nobody fetched is reported."""
    async def fail():
        raise LookupError

    async def main():
        task = asyncio.ensure_future(fail())
        await turns()
        assert task.done()

    loop.run_until_complete(main())
    gc.collect()
    (context,) = contexts
    assert "never retrieved" in context["message"]
    contexts.clear()


def test_exception_handler(loop_factory, caplog, contexts):
    """Without a handler of one's own the logger is told; a handler that
    fails is reported, too."""
    loop = loop_factory()
    assert loop.get_exception_handler() is None
    loop.call_soon(lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "asyncio"):
        run_once(loop)
    assert "ZeroDivisionError" in caplog.text
    caplog.clear()

    def bad(loop, context):
        raise LookupError("bad handler")

    loop.set_exception_handler(bad)
    assert loop.get_exception_handler() is bad
    loop.call_soon(lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "asyncio"):
        run_once(loop)
    assert "bad handler" in caplog.text
    with pytest.raises(TypeError):
        loop.set_exception_handler(5)
    loop.set_exception_handler(None)
    loop.close()


async def test_asyncgen_shutdown():
    """shutdown_asyncgens() closes generators that are still open."""
    closed = []

    async def generate():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    generator = generate()
    assert await anext(generator) == 1
    await asyncio.get_running_loop().shutdown_asyncgens()
    assert closed == [True]


async def test_asyncgen_finalizer():
    """A generator that is dropped while open is closed by the loop."""
    closed = asyncio.Event()

    async def generate():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.set()

    generator = generate()
    await anext(generator)
    del generator
    gc.collect()
    await closed.wait()


async def test_task_factory():
    """A task factory makes the tasks; None brings the default back."""
    loop = asyncio.get_running_loop()
    made = []

    def factory(loop, coroutine, **options):
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    await asyncio.create_task(asyncio.sleep(0))
    loop.set_task_factory(None)
    await asyncio.create_task(asyncio.sleep(0))
    assert len(made) == 1


async def test_task_factory_of_two_arguments():
    """A factory that takes loop and coroutine only is content with what it
    gets if nothing else is asked for."""
    loop = asyncio.get_running_loop()
    made = []

    def factory(loop, coroutine):
        made.append(asyncio.Task(coroutine, loop=loop))
        return made[-1]

    loop.set_task_factory(factory)
    tasks = [loop.create_task(turns(1)), asyncio.create_task(turns(1)),
             asyncio.ensure_future(turns(1))]
    assert made == tasks
    await asyncio.gather(*tasks)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
async def test_task_factory_gets_all_keywords():
    """create_task() hands its keywords to the factory, known or not."""
    loop = asyncio.get_running_loop()
    got = []

    def factory(loop, coroutine, **options):
        got.append(dict(options))
        options.pop("whatever", None)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(factory)
    await loop.create_task(turns(1), name="a", whatever=7)
    await loop.create_task(turns(1), eager_start=False)
    assert (got[0]["name"], got[0]["whatever"]) == ("a", 7)
    assert got[1]["eager_start"] is False


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
async def test_eager_tasks():
    """The eager task factory runs a coroutine up to its first wait."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    seen = []

    async def step():
        seen.append(1)
        await asyncio.sleep(0)
        seen.append(2)

    task = loop.create_task(step())
    assert seen == [1]
    await task
    assert seen == [1, 2]


async def test_many_tasks():
    """Ten thousand tasks, and a gather over them."""
    async def step(number):
        for _ in range(3):
            await asyncio.sleep(0)
        return number

    results = await asyncio.gather(*(step(n) for n in range(10000)))
    assert results == list(range(10000))


async def test_synchronisation():
    """Lock, Event, Condition, Semaphore and Queue do their work."""
    queue, lock = asyncio.Queue(3), asyncio.Lock()
    out = []

    async def produce():
        for number in range(50):
            await queue.put(number)
        await queue.put(None)

    async def consume():
        while (item := await queue.get()) is not None:
            async with lock:
                out.append(item)
                await asyncio.sleep(0)

    await asyncio.gather(produce(), consume())
    assert out == list(range(50))


async def test_names_resolve():
    """getaddrinfo and getnameinfo answer."""
    import socket
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert found[0][4] == ("127.0.0.1", 80)
    host, port = await loop.getnameinfo(
        ("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    assert (host, port) == ("127.0.0.1", "80")


# ---- debug mode -----------------------------------------------------------

def test_debug_switch(loop):
    """Debug mode is off, and can be switched."""
    assert loop.get_debug() is bool(
        sys.flags.dev_mode or os.environ.get("PYTHONASYNCIODEBUG"))
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False


def test_slow_callback(loop, caplog):
    """In debug mode a callback that takes too long is named in the log."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01

    def dawdle():
        end = loop.time() + 0.02
        while loop.time() < end:
            pass

    loop.call_soon(dawdle)
    with caplog.at_level(logging.WARNING, "asyncio"):
        run_once(loop)
    assert "dawdle" in caplog.text and "took" in caplog.text


def test_wrong_thread(loop):
    """In debug mode call_soon from another thread is refused while the loop
    runs."""
    loop.set_debug(True)
    errors = []

    def other():
        for call in (lambda: loop.call_soon(print),
                     lambda: loop.call_later(1, print),
                     lambda: loop.call_at(1, print)):
            try:
                call()
            except RuntimeError as exc:
                errors.append(exc)

    async def main():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    loop.run_until_complete(main())
    assert len(errors) == 3
    assert all("thread" in str(error) for error in errors)


def test_no_callback(loop):
    """In debug mode what cannot be called, and coroutines, are refused."""
    loop.set_debug(True)

    async def coroutine():
        pass

    for thing in (coroutine, "text", None):
        for call in (lambda: loop.call_soon(thing),
                     lambda: loop.call_later(1, thing),
                     lambda: loop.call_at(1, thing),
                     lambda: loop.call_soon_threadsafe(thing)):
            with pytest.raises(TypeError):
                call()


def test_debug_traceback(loop, contexts):
    """In debug mode a handle knows where it was made."""
    loop.set_debug(True)
    handle = loop.call_soon(lambda: 1 / 0)
    assert "created at" in repr(handle)
    run_once(loop)
    assert contexts[0]["source_traceback"]
    contexts.clear()


async def test_debug_echo():
    """Everything also works in debug mode."""
    asyncio.get_running_loop().set_debug(True)
    from .helpers import connected
    async with connected() as (ours, theirs):
        ours.transport.write(b"x" * 200000)
        await theirs.received(200000)
        assert repr(ours.transport)


# ---- fork -----------------------------------------------------------------

def test_fork(loop):
    """A child of os.fork() can run a loop of its own; the parent's goes
    on."""
    import warnings
    loop.run_until_complete(asyncio.sleep(0))
    factory = type(loop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            mine = factory()
            mine.run_until_complete(asyncio.sleep(0.001))
            mine.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    loop.run_until_complete(asyncio.sleep(0.001))
