"""How asyncio, tasks, loops and the collector take the future that a read waits
for: as test_waiter.py, whose helpers these bodies use."""
import asyncio
import asyncio.streams
import concurrent.futures
import contextlib
import contextvars
import functools
import gc
import itertools
import re
import traceback
import types
import weakref
from pathlib import Path

import pytest

from kevent import streams

from .test_waiting import until
from .test_waiter import (
    BASES, ENDS, FEEDS, MANY, READS, STOPS, Held, Mine, bare, caught, holding, kind,
    passes, plain, reads, told, tried, which,
)


# ---- tasks and what asyncio makes of futures --------------------------------------


async def expired(awaitable):
    async with asyncio.timeout(0):
        return await awaitable


async def patient(awaitable):
    async with asyncio.timeout(60):
        return await awaitable


async def caring(awaitable):
    try:
        return await awaitable
    except asyncio.CancelledError as exc:
        asyncio.current_task().uncancel()
        return exc


async def grouped(awaitable, fails=False):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(caring(awaitable))
        if fails:
            group.create_task(expired(asyncio.Future()))
    return task.result()


COMBINED = {
    "await": lambda f: f, "wait": lambda f: asyncio.wait({asyncio.ensure_future(f)}),
    "gather": lambda f: asyncio.gather(f, f, asyncio.sleep(0)), "shield": asyncio.shield,
    "quiet": lambda f: asyncio.gather(f, return_exceptions=True), "wait_for": lambda f:
    asyncio.wait_for(f, 60), "wait_for None": lambda f: asyncio.wait_for(f, None),
    "wait_for 0": lambda f: asyncio.wait_for(f, 0), "timeout": patient, "timeout 0": expired,
    "completed": lambda f: next(iter(asyncio.as_completed([f]))), "caring": caring,
    "shield twice": lambda f: asyncio.shield(asyncio.shield(f)), "group": grouped,
    "group fails": lambda f: grouped(f, fails=True), "future": asyncio.ensure_future,
    "shield expired": lambda f: expired(asyncio.shield(f)),
}
combined = pytest.mark.parametrize("how", COMBINED)


async def combine(how, awaitable):
    return await COMBINED[how](awaitable)


@combined
@holding(state=["feed", "outer", "inner", *ENDS])
async def test_others_wait_for_it(it, how, state):
    """asyncio's functions do with it what they do with asyncio's future."""
    tasks = [asyncio.create_task(combine(how, future)) for future in (it.waiter, it.twin)]
    await passes(1)
    it.both(lambda future: future._asyncio_future_blocking)
    it.both(lambda future: len(future._callbacks or ()))
    if state == "feed":
        it.feed()
    elif state in ("outer", "inner"):
        for task in tasks if state == "outer" else (it.task, it.other):
            task.cancel("text")
    else:
        it.both(ENDS[state])
    await passes(9)
    assert it.both(repr) and tasks[0].done() == tasks[1].done()
    for task in tasks:
        task.cancel()
    ours, theirs = await asyncio.gather(*tasks, return_exceptions=True)
    assert plain(ours) == plain(theirs)
    it.both(repr)


@combined
@holding(read=READS, state=["peer", "cancel", "both", "late"])
async def test_around_a_read(it, how, read, state):
    """asyncio's functions around a read, and how the reader is afterwards."""
    it.peer.send(b"first\n")
    await it.task
    read = it.again()
    task = asyncio.create_task(combine(how, asyncio.create_task(read) if "gather" == how else read))
    await until(lambda: it.reader._waiter or task.done())
    if task.done():
        it.reader.feed_data(b"line\n")
    elif state == "peer":
        it.peer.send(b"line\n")
        await until(lambda: it.reader._buffer or task.done())
    else:
        first, second = FEEDS["data"], lambda it: task.cancel("text")
        for each in {"cancel": [second], "both": [first, second], "late": [second, first]}[state]:
            each(it)
    result = await asyncio.gather(task, return_exceptions=True), task.cancelled()
    while it.reader._waiter:
        it.reader.feed_data(b"other\n")
        await passes()
    return result, it.reader._buffer


@holding(state=["feed", "other", *ENDS])
async def test_chained_to_a_threads_future(it, state):
    """Its end is that of a future for threads, and the other way round."""
    def chain(future):
        other = concurrent.futures.Future()
        asyncio.futures._chain_future(future, other)
        return other

    others = [chain(future) for future in (it.waiter, it.twin)]
    it.both(lambda future: len(future._callbacks))
    if state == "feed":
        it.feed()
    elif state == "other":
        assert [other.cancel() for other in others] == [True, True]
    else:
        it.both(ENDS[state])
    await passes(9)
    assert plain(others[0]) == plain(others[1])
    it.both(repr)


class MyTask(asyncio.Task):
    pass


FACTORIES = {
    "subclass": lambda loop, coro, **kwargs: MyTask(coro, loop=loop, **kwargs),
    "python": lambda loop, coro, **kwargs: asyncio.tasks._PyTask(coro, loop=loop, **kwargs),
    **{name: getattr(asyncio, name) for name in ["eager_task_factory"] if hasattr(asyncio, name)},
}


@pytest.mark.parametrize("name", FACTORIES)
def test_tasks_of_all_kinds(run, kind, name):
    """Tasks of other makes wait for it, and end with it, as for asyncio's."""
    async def main():
        asyncio.get_running_loop().set_task_factory(FACTORIES[name])
        for state in [*ENDS, "feed", "cancel"]:
            async with Held(kind) as it:
                it.same()
                if state == "cancel":
                    it.task.cancel("text")
                    it.other.cancel("text")
                else:
                    STOPS.get(state, lambda it: it.both(ENDS[state]))(it)
                it.same()
                if state in ("exception", "class", "cancelled", "message", "cancel"):
                    await it.ends()
        asyncio.get_running_loop().set_task_factory(None)
    run(main())


@types.coroutine
def yields(future):
    yield future


async def waited(future):
    await future


@holding()
async def test_tasks_that_must_not_wait(it):
    """A task of another loop is refused, and one to which it is only yielded."""
    for each in (yields, waited):
        ours, theirs = [await asyncio.to_thread(tried, asyncio.run, combine("await", each(future)))
                        for future in (it.waiter, it.twin)]
        assert ours == theirs and ours[0] is RuntimeError
        it.same()
    it.both(lambda future: setattr(future, "_asyncio_future_blocking", False))
    tasks = [asyncio.create_task(combine("await", yields(each))) for each in (it.waiter, it.twin)]
    ours, theirs = await asyncio.gather(*tasks, return_exceptions=True)
    assert plain(ours) == plain(theirs) and "yield was used" in str(ours)


# ---- without a task ----------------------------------------------------------------

STEPS = {
    "send": lambda read, reader, waiter: read.send(None),
    "throw": lambda read, reader, waiter: read.throw(ValueError("thrown")),
    "close": lambda read, reader, waiter: read.close(),
    "result": lambda read, reader, waiter: waiter.set_result(42),
    "exception": lambda read, reader, waiter: waiter.set_exception(OSError("text")),
    "cancel": lambda read, reader, waiter: waiter.cancel("text"),
    "data": lambda read, reader, waiter: reader.feed_data(b"line\n"),
    "eof": lambda read, reader, waiter: reader.feed_eof(),
    "anew": lambda read, reader, waiter: waiter.__init__(loop=waiter.get_loop()),
}


@reads
def test_stepped_by_hand(run, kind, read):
    """Whatever three steps follow the first, they come to the same."""
    async def main(kind):
        contexts, said = caught(), []
        for steps in itertools.product(STEPS, repeat=3):
            reader = bare(kind)
            coro = getattr(reader, read)(*READS[read])
            waiter = coro.send(None)
            assert waiter is reader._waiter and waiter._asyncio_future_blocking
            said.append((steps, [
                (tried(STEPS[step], coro, reader, waiter), plain(waiter), plain(reader),
                 waiter._asyncio_future_blocking) for step in steps]))
            del waiter, coro, reader
        return said, [told(context) for context in contexts]
    assert run(main(kind)) == run(main((asyncio.streams, kind[1])))


@pytest.mark.parametrize("debug", [False, True])
def test_never_retrieved(run, kind, debug):
    """An exception that nobody asks for is told to the handler, with the future."""
    async def main():
        loop, contexts = asyncio.get_running_loop(), caught()
        loop.set_debug(debug)
        for asked in (True, False):
            read = bare(kind).readline()
            futures = [read.send(None), asyncio.Future()]
            for future in futures:
                future.set_exception(ValueError("text"))
                assert future._log_traceback and (not asked or future.exception())
            read.close()
            del read, future
            futures.reverse()
            while futures:
                futures.pop()
        ours, theirs = contexts
        assert told(ours) == told(theirs)
        assert ours["message"] == "Future exception was never retrieved"
        assert ours["future"].exception() is ours["exception"]
        assert ("source_traceback" in ours) == debug
    run(main())


# ---- loops of a program ------------------------------------------------------------


class MyFuture(asyncio.Future):
    pass


@pytest.fixture(params=["class", "object"])
def run_with(request, loop_name):
    """run_with(main(), method=...): the loop's class, or it itself, has such methods,
    which are called with the loop and with what they replace."""
    base = BASES[loop_name]

    def bound(name, method):
        return lambda loop, *args, **kwargs: method(
            functools.partial(getattr(base, name), loop), *args, **kwargs)

    def factory(methods):
        methods = {name: bound(name, method) for name, method in methods.items()}
        if request.param == "class":
            return type("Loop", (base,), methods)()
        loop = base()
        for name, method in methods.items():
            setattr(loop, name, types.MethodType(method, loop))
        return loop

    def call(main, **methods):
        with asyncio.Runner(loop_factory=lambda: factory(methods)) as runner:
            return runner.run(main)
    return call


@pytest.mark.parametrize("made", [asyncio.Future, MyFuture, asyncio.futures._PyFuture])
def test_create_future_of_a_program(run_with, kind, made):
    """What create_future() returns is what is waited for."""
    futures = []

    def create_future(original):
        futures.append(made(loop=asyncio.get_running_loop()))
        return futures[-1]

    async def main():
        async with Held(kind) as it:
            assert it.waiter is futures[-1] and type(it.waiter) is made
            it.feed()
            assert await it.task == b"line\n"
    run_with(main(), create_future=create_future)


def test_call_soon_of_a_program(run_with, kind):
    """call_soon() gets the wake-up of the task and each callback, with its context."""
    calls = []

    def call_soon(original, *args, **kwargs):
        calls.append((args, kwargs))
        return original(*args, **kwargs)

    async def main():
        async with Held(kind) as it:
            it.both(lambda future: future.add_done_callback(repr))
            expected = [((callback, future), {"context": context})
                        for future in (it.waiter, it.twin)
                        for callback, context in future._callbacks]
            del calls[:]
            it.feed()
            assert calls == expected
            it.both(lambda future: future.add_done_callback(repr))
            assert [args for args, _ in calls[4:]] == [(repr, it.waiter), (repr, it.twin)]
            assert await it.task == b"line\n"
    run_with(main(), call_soon=call_soon)


def test_call_soon_that_fails(run_with, kind):
    """When call_soon() raises, who ends the future gets that."""
    failing = []

    def call_soon(original, *args, **kwargs):
        return original(*args, **kwargs) if not failing else 1 / 0

    async def main():
        async with Held(kind) as it:
            kept = [(each, *each._callbacks[0]) for each in (it.waiter, it.twin)]
            failing.append(True)
            ours, theirs = tried(it.reader.feed_data, b"line\n"), tried(it.twin.set_result, None)
            said = [plain((each, each._callbacks)) for each in (it.waiter, it.twin)]
            failing.clear()
            for future, wake, context in kept:
                it.loop.call_soon(wake, future, context=context)
            assert ours == theirs and ours[0] is ZeroDivisionError and said[0] == said[1]
            assert await it.task == b"line\n"
    run_with(main(), call_soon=call_soon)


def test_debug_mode(run_with, kind):
    """A loop that says that it debugs has futures that know where they are from."""
    async def main():
        async with Held(kind) as it:
            ours, theirs = it.waiter._source_traceback, it.twin._source_traceback
            assert type(ours) is type(theirs) is traceback.StackSummary
            others = {"streams.py", "base_events.py"}
            ours = [frame.name for frame in ours if Path(frame.filename).name not in others]
            assert ours[-1] == "read" and theirs[-1].name == "__aenter__"
            text = r"<Future pending cb=\[.*\] created at .*:\d+>"
            assert re.fullmatch(text, repr(it.waiter)) and re.fullmatch(text, repr(it.twin))
            it.both(ENDS["message"])
            await asyncio.gather(it.task, it.other, return_exceptions=True)
    run_with(main(), get_debug=lambda original: True)


@pytest.mark.parametrize("debug", [False, True])
def test_a_closed_loop(loop_name, kind, debug):
    """Data that is fed after the loop's end gets the same exception."""
    async def begin():
        reader, twin = bare(kind), asyncio.Future()
        tasks = [asyncio.create_task(waited(each)) for each in (reader.readline(), twin)]
        await passes()
        return reader, reader._waiter, twin, tasks

    loop = BASES[loop_name]()
    contexts = caught(loop, told)
    loop.set_debug(debug)
    reader, waiter, twin, tasks = loop.run_until_complete(begin())
    loop.close()
    ours, theirs = tried(reader.feed_data, b"line\n"), tried(twin.set_result, None)
    assert ours == theirs == (RuntimeError, "RuntimeError('Event loop is closed')")
    assert waiter.done() and reader._waiter is None
    assert plain(waiter._callbacks) == plain(twin._callbacks)
    del reader, waiter, twin, tasks
    gc.collect()
    assert [message for _, message, _ in contexts] == ["Task was destroyed but it is pending!"] * 2


# ---- its life ------------------------------------------------------------------------


@contextlib.contextmanager
def uncollected():
    """Nothing but references keeps things alive, or lets them go."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@holding(state=["feed", *ENDS])
async def test_it_dies(it, state):
    """When the read is over and nobody has it, it is gone without the collector."""
    with uncollected():
        dead = []
        reference, proxy = weakref.ref(it.waiter, dead.append), weakref.proxy(it.waiter)
        among = weakref.WeakSet([it.waiter])
        it.waiter.tag = payload = Mine()
        payload = weakref.ref(payload)
        STOPS.get(state, lambda it: ENDS[state](it.waiter))(it)
        it.task.cancel()
        await asyncio.wait([it.task])
        assert reference() is it.waiter in among and proxy.done() and payload() and not dead
        task = weakref.ref(it.task)
        it.task.cancelled() or it.task.exception()
        it.task, it.wakes = asyncio.create_task(asyncio.sleep(0)), []
        await it.task
        assert task() is None
        it.waiter = None
        assert reference() is payload() is None and dead == [reference] and not among


@holding(ring=[False, True])
async def test_dropped_while_it_waits(it, ring):
    """The collector takes reader, task and future, and the handler hears of it."""
    contexts = caught(keep=told)
    reader, twin = bare((it.connection.module, it.rounds)), asyncio.Future()
    tasks = [asyncio.create_task(waited(each)) for each in (reader.readline(), twin)]
    await passes()
    futures = [reader._waiter, twin]
    if ring:
        for each in futures:
            each.tag = each
            each.add_done_callback(functools.partial(print, each))
    references = [weakref.ref(each) for each in (reader, *futures, *tasks)]
    del reader, twin, tasks, futures
    each = None
    gc.collect()
    assert [reference() for reference in references] == [None] * 5
    ours, theirs = contexts
    assert ours == theirs


@holding()
async def test_many_waits(it):
    """Ten thousand waits leave no more futures than one."""
    def count():
        gc.collect()
        return sum(isinstance(each, asyncio.Future) for each in gc.get_objects())

    it.feed()
    await it.task

    async def read():
        return sum([len(await it.reader.readline()) for _ in range(MANY)])

    it.task, before = asyncio.create_task(read()), count()
    for number in range(MANY):
        await it.waits()
        it.reader.feed_data(b"line\n")
        await passes(1)
    assert await it.task == 5 * MANY
    assert count() <= before


@holding()
async def test_the_context_of_the_coroutine(it):
    """The coroutine goes on in its own context, whoever ends the wait in another."""
    async def read():
        which.set("own")
        data = await it.reader.readline()
        return data, which.get()

    it.feed()
    await it.task
    it.task = asyncio.create_task(read())
    await it.waits()
    which.set("main")
    contextvars.copy_context().run(lambda: (which.set("other"), it.reader.feed_data(b"more\n")))
    assert await it.task == (b"more\n", "own") and which.get() == "main"
