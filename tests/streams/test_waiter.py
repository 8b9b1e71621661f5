"""What a program can do with the future that a read waits for: each body runs
with asyncio's streams and with ours, on both loops, and compares that future
with one of asyncio's own in the same place."""
import asyncio
import asyncio.streams
import collections.abc
import concurrent.futures
import contextvars
import copy
import functools
import gc
import inspect
import itertools
import pickle
import re
import traceback
import types
import weakref
from pathlib import Path

import pytest

import kevent
from kevent import streams

from .test_waiting import Connection, until

# The module, and how many waits there have been before the one that is looked at.
KINDS = {"standard": (asyncio.streams, 3), "cold": (streams, 0), "warm": (streams, 3)}
BASES = {"asyncio": asyncio.SelectorEventLoop, "kevent": kevent.EventLoop}
READS = {"readline": (), "read": (10,), "readexactly": (5,), "readuntil": (b"\n",)}
MANY = 10_000


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


class Held:
    """A task that waits in a read for waiter, and another that waits for twin, a
    future of asyncio's; both are shown to work() before their tasks see them."""

    def __init__(self, kind, name="readline", work=None):
        self.module, self.rounds = kind
        self.connection = Connection(self.module)
        self.name, self.work = name, work

    async def __aenter__(self):
        self.reader, self.peer = await self.connection.__aenter__()
        self.loop = asyncio.get_running_loop()
        self.twin = asyncio.Future(loop=self.loop)
        self.task = asyncio.create_task(self.read())
        self.other = asyncio.create_task(self.like())
        for _ in range(self.rounds):
            await self.waits()
            self.peer.send(b"line\n")
            await until(lambda: self.reader._waiter is None)
        self.waiter = await self.waits()
        self.wakes = [each._callbacks[-1][0] for each in (self.waiter, self.twin)]
        return self

    async def __aexit__(self, *exc):
        for task in (self.task, self.other):
            task.cancel()
        await passes()
        for wake in self.wakes:
            if not wake.__self__.done():
                over = asyncio.Future()
                over.cancel()
                self.loop.call_soon(wake, over)
        await asyncio.gather(self.task, self.other, return_exceptions=True)
        await self.connection.__aexit__(*exc)

    async def waits(self, before=None):
        """The next future that the reader waits for."""
        await until(lambda: self.reader._waiter not in (None, before) or self.task.done())
        assert not self.task.done(), self.task
        return self.reader._waiter

    def again(self):
        """Another read of the same kind."""
        return getattr(self.reader, self.name)(*READS[self.name])

    async def read(self):
        for _ in range(self.rounds):
            assert await self.reader.readline() == b"line\n"
        return await (shown(self.again(), self.work) if self.work else self.again())

    async def like(self):
        return await (shown(self.twin, self.work) if self.work else self.twin)

    def both(self, work):
        """work(waiter) and work(twin) come to the same."""
        ours, theirs = tried(work, self.waiter), tried(work, self.twin)
        assert ours == theirs
        return ours

    def same(self, questions=None):
        """Both give the same answers; the text of a TypeError names the type."""
        ours, theirs = says(self.waiter, questions), says(self.twin, questions)
        for answers in ours, theirs:
            answers.update((question, TypeError) for question, answer in answers.items()
                           if answer[0] is TypeError)
        assert ours == theirs

    def feed(self, data=b"line\n"):
        """By hand: data for the one, a result for the other."""
        self.reader.feed_data(data)
        if not self.twin.cancelled():
            self.twin.set_result(None)

    async def ends(self):
        """What comes of the two tasks, which is the same."""
        ours, theirs = await asyncio.gather(self.task, self.other, return_exceptions=True)
        assert plain(ours) == plain(theirs)
        return ours


def holding(**loops):
    """The body, a coroutine function, is called with a Held and its parameters, those
    of loops with each value; of these, read names the method.  What it returns it
    returns with asyncio's streams, too."""
    def decorate(body):
        names = [name for name in inspect.signature(body).parameters if name not in ("it", *loops)]

        async def main(kind, others):
            loop, results = asyncio.get_running_loop(), []
            handler = loop.get_exception_handler()
            for values in itertools.product(*loops.values()):
                others.update(zip(loops, values))
                try:
                    async with Held(kind, others.get("read", "readline")) as it:
                        results.append((values, plain(await body(it, **others))))
                except Exception as exc:
                    exc.add_note(str(others))
                    raise
                finally:
                    loop.set_exception_handler(handler)
            return results

        @functools.wraps(body)
        def test(run, kind, **others):
            results = run(main(kind, others))
            if kind[0] is streams and any(result != "None" for _, result in results):
                assert results == run(main((asyncio.streams, kind[1]), others))
        test.__signature__ = inspect.Signature([
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
            for name in ("run", "kind", *names)])
        return test
    return decorate


@types.coroutine
def shown(read, work):
    """The read; what it waits for is given to work() first."""
    steps, step, arg = read.__await__(), "send", None
    while True:
        try:
            waiter = getattr(steps, step)(arg)
        except StopIteration as exc:
            return exc.value
        work(waiter)
        try:
            yield waiter
            step, arg = "send", None
        except BaseException as exc:
            step, arg = "throw", exc


def bare(kind):
    """A reader without a connection, on the running loop."""
    module, rounds = kind
    reader = module.StreamReader(loop=asyncio.get_running_loop())
    for _ in range(rounds):
        read = reader.readline()
        read.send(None)
        reader.feed_data(b"line\n")
        assert outcome(read) == b"line\n"
    return reader


def outcome(read):
    """What a coroutine returns that need not wait any more."""
    with pytest.raises(StopIteration) as info:
        read.send(None)
    return info.value.value


def plain(value):
    """Its text, without addresses, the numbers of tasks and their coroutines."""
    text = repr(value).replace("StopIteration(None)", "StopIteration()")
    return re.sub(r"0x[0-9a-f]+|Task-\d+|coro=<.*?>", "...", text)


def tried(call, *args):
    """What a call gives, as text, or the class and text of what it raises."""
    try:
        return plain(call(*args))
    except BaseException as exc:
        return type(exc), plain(exc)


def says(future, questions=None):
    """What each comes to; f is the future."""
    names = {**globals(), "f": future, "loop": asyncio.get_running_loop()}
    return {each.strip(): tried(eval, each.strip(), names)
            for each in (questions or LOOKS).split(";")}


def caught(loop=None, keep=lambda context: context):
    """What the exception handler of the loop is called with, or keep() of that."""
    contexts = []
    (loop or asyncio.get_running_loop()).set_exception_handler(
        lambda loop, context: contexts.append(keep(context)))
    return contexts


def told(context):
    """What is the same in a context for a waiter and in one for its twin."""
    return sorted(context), context["message"], plain(context.get("exception"))


async def passes(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


which = contextvars.ContextVar("which", default="none")


class Mine(BaseException):
    pass


# What a program can make of a future that is pending.
ENDS = {
    "pending": lambda future: None,
    "result": lambda future: future.set_result(None),
    "answer": lambda future: future.set_result(42),
    "exception": lambda future: future.set_exception(ValueError("text")),
    "class": lambda future: future.set_exception(ValueError),
    "cancelled": lambda future: future.cancel(),
    "message": lambda future: future.cancel(msg="text"),
}
reads = pytest.mark.parametrize("read", READS)


# ---- what can be asked of it ---------------------------------------------------

LOOKS = """
f._log_traceback; f; str(f); f.done(); f.cancelled(); f.result(); f.exception();
f.get_loop() is loop; f._state; f._result; f._exception; f._loop is loop; f._callbacks;
type(f._callbacks); f._asyncio_future_blocking; f._log_traceback; f._source_traceback;
f._cancel_message; f._cancelled_exc; f._make_cancelled_error(); f.nothing; vars(f);
sorted(set(dir(asyncio.Future)) - set(dir(f)));
bool(f); f.__class__.__name__; f.__class__.__qualname__;
f.__class__.__module__; asyncio.isfuture(f); isinstance(f, asyncio.Future);
isinstance(f, asyncio.Task); isinstance(f, asyncio.futures.Future);
isinstance(f, asyncio.futures._PyFuture);
issubclass(f.__class__, asyncio.Future); isinstance(f, collections.abc.Awaitable);
isinstance(f, collections.abc.Coroutine); isinstance(f, collections.abc.Iterable);
isinstance(f, collections.abc.Iterator); isinstance(f, collections.abc.Hashable);
isinstance(f, concurrent.futures.Future); inspect.isawaitable(f); inspect.iscoroutine(f);
asyncio.iscoroutine(f); callable(f);
asyncio.futures._get_loop(f) is loop; asyncio.base_futures._future_repr_info(f);
f == f; f != f; f == 1; f.__eq__(1); {f: 1}[f]; hash(f) == object.__hash__(f);
asyncio.ensure_future(f) is f; asyncio.ensure_future(f, loop=loop) is f;
asyncio.wrap_future(f) is f; asyncio.wrap_future(f, loop=loop) is f;
type(f.__class_getitem__(int));
f.__class_getitem__(int).__args__; gc.is_tracked(f);
weakref.ref(f)() is f; weakref.proxy(f).done(); weakref.getweakrefcount(f)
"""

WRONG = """
f.result(1); f.exception(None); f.done(1); f.cancelled(x=1); f.get_loop(1); f.set_result();
f.set_result(1, 2); f.set_result(x=1); f.set_exception(); f.set_exception(1);
f.set_exception(None); f.set_exception(int); f.set_exception("text");
f.set_exception(ValueError, 1); f.set_exception(StopIteration(), 1); f.cancel(1, 2);
f.cancel(message="text"); f.add_done_callback(); f.add_done_callback(context=None);
f.add_done_callback(print, None); f.add_done_callback(print, contexts=None);
f.remove_done_callback(); f.remove_done_callback(None); f.remove_done_callback(print);
f.remove_done_callback(print, print); f.__await__(1); f.__iter__(1); f.__init__(1);
f.__init__(nothing=1); f.__del__(1); f.__del__();
f._make_cancelled_error(1); f._repr_info(); len(f); f[0]; f(); f.__call__; next(f); f < f;
f <= 1; f + 1; -f; int(f); dict(f);
f.__enter__; f.__aiter__; f.nothing; f.send(None); f.throw(ValueError); f.close();
setattr(f, "_log_traceback", True); setattr(f, "_log_traceback", 1);
setattr(f, "_log_traceback", 0); setattr(f, "_log_traceback", "");
setattr(f, "__class__", object); setattr(f, "__class__", asyncio.Task); f.__dict__;
setattr(f, "__dict__", {}); delattr(f, "nothing"); delattr(f, "done"); delattr(f, "__class__");
asyncio.run(f); asyncio.create_task(f);
loop.run_until_complete(f); asyncio.run_coroutine_threadsafe(f, loop);
asyncio.ensure_future(f, loop=kevent); asyncio.gather(f, loop=loop); copy.copy(f);
copy.deepcopy(f); f.__reduce__(); f.__reduce_ex__(2);
pickle.dumps(f); pickle.dumps(f, 0)
"""


@holding(state=ENDS)
async def test_what_it_says(it, state):
    """In every state it says of itself what asyncio's future says."""
    it.both(ENDS[state])
    it.same()
    await passes()
    it.same()


@holding(state=ENDS)
async def test_wrong_calls(it, state):
    """What must not be done is refused as by asyncio's."""
    contexts = caught()
    it.both(ENDS[state])
    it.same(WRONG)
    it.same()
    half = len(contexts) // 2
    assert [*map(told, contexts[:half])] == [*map(told, contexts[half:])]


@holding()
async def test_its_texts(it):
    """A debugger that prints futures and tasks prints what it always has."""
    text = repr(it.waiter)
    assert text.startswith("<Future pending cb=[") and text.endswith("()]>")
    assert repr(it.task).endswith(f" wait_for={text}>")
    it.same("f.get_loop(); f._callbacks[0][0].__self__")
    for count in range(3):
        it.both(lambda future: future.add_done_callback(repr))
        it.both(repr)
    it.feed()
    assert repr(it.waiter) == "<Future finished result=None>"
    await it.task
    assert repr(it.waiter) == "<Future finished result=None>"


@holding()
async def test_setting_each_name(it):
    """Every attribute takes, refuses, and lets be deleted what asyncio's does."""
    for name in {*dir(asyncio.Future), "nothing"} - {
            "__class__", "__dict__", "_asyncio_awaited_by",
            "add_done_callback", "get_loop"}:  # for which a task asks
        for value in (7, "text", True, False, None):
            it.both(lambda future: setattr(future, name, value))
            it.both(lambda future: getattr(future, name) is value)
            it.both(lambda future: delattr(future, name))
            it.both(lambda future: delattr(future, name))
    it.same()
    it.waiter.tag = "mine"
    it.peer.send(b"line\n")
    assert await it.task == b"line\n" and it.waiter.tag == "mine"
    before = hash(it.waiter)
    assert it.reader._waiter is None and len({it.waiter, it.twin, it.waiter}) == 2
    tried(lambda: it.waiter.__init__(loop=it.loop))
    assert hash(it.waiter) == before and it.waiter.tag == "mine"


@holding(state=ENDS)
async def test_iterated_by_hand(it, state):
    """Its iterator yields it once while it is pending, and then wants a result."""
    it.both(ENDS[state])
    step = {"n": lambda steps: steps.__next__(), "s": lambda steps: steps.send(1),
            "c": lambda steps: steps.close(), "t": lambda steps: steps.throw(ValueError("thrown"))}
    for make in (iter, lambda future: future.__await__()):
        for order in ("nn", "nt", "nc", "cn", "tn", "nnn"):
            it.both(lambda future: (
                steps := make(future), [tried(step[each], steps) for each in order],
                future._asyncio_future_blocking)[1:])
    it.both(list)
    it.both(lambda future: setattr(future, "_asyncio_future_blocking", False))


@holding()
async def test_begun_anew(it):
    """__init__() makes it a new one, that nobody waits for, where it may be called."""
    kept = [(future, *future._callbacks[0]) for future in (it.waiter, it.twin)]
    it.both(lambda future: future.__init__(loop=it.loop))
    it.same()
    for future, wake, context in kept:
        future.remove_done_callback(wake)
        future.add_done_callback(wake, context=context)
    it.same()
    it.both(ENDS["exception"])
    await it.ends()
    it.both(lambda future: future.__init__(loop=it.loop))
    it.same()


def test_shown_before_the_task_has_it(run, kind):
    """Who steps the read sees the same future in the same state as of asyncio's."""
    async def main():
        seen = []
        async with Held(kind, work=lambda future: seen.append((future, says(future)))) as it:
            assert {future for future, _ in seen} == {it.waiter, it.twin}
            assert seen[0][1] == seen[1][1]
            assert seen[0][1]["f._asyncio_future_blocking"] == "True"
            assert not it.waiter._asyncio_future_blocking
    run(main())


METHODS = [
    "add_done_callback", "remove_done_callback", "result", "exception", "done", "get_loop",
    "set_exception", "cancel", "_make_cancelled_error", "__await__", "__iter__",
]
STOPS = {
    "feed": lambda it: it.feed(),
    "cancel": lambda it: [task.cancel("text") for task in (it.task, it.other)],
    "exception": lambda it: [it.reader.set_exception(exc := ValueError()),
                             it.twin.set_exception(exc)],
}


@pytest.mark.parametrize("end", STOPS)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_ones_own(run, kind, name, end):
    """A method that is set on it hides the class's where it does in asyncio's."""
    async def main():
        calls = {}

        def work(future):
            def method(*args, **kwargs):
                calls.setdefault(future, []).append((args, kwargs))
                return getattr(type(future), name)(future, *args, **kwargs)
            setattr(future, name, method)

        async with Held(kind, work=work) as it:
            STOPS[end](it)
            await asyncio.gather(it.task, it.other, return_exceptions=True)
            assert plain(calls.get(it.waiter)) == plain(calls.get(it.twin))
    run(main())


# ---- callbacks -----------------------------------------------------------------


def test_callbacks_in_order(run, kind):
    """Callbacks and the task's own are called in the order in which they came."""
    async def main():
        calls = []

        def note(name, future):
            calls.append((future, name, (it.task if future is it.waiter else it.other).done()))

        def work(future):
            future.add_done_callback(functools.partial(note, "before"))

        async with Held(kind, work=work) as it:
            for name in ("after", "last"):
                it.both(lambda future: future.add_done_callback(functools.partial(note, name)))
            assert len(it.waiter._callbacks) == len(it.twin._callbacks) == 4
            it.feed()
            assert not calls and it.waiter._callbacks is None
            await it.other
            await passes()
            for future in (it.waiter, it.twin):
                assert [call for call in calls if call[0] is future] == [
                    (future, "before", False), (future, "after", True), (future, "last", True)]
    run(main())


@holding()
async def test_contexts_of_callbacks(it):
    """Callbacks of every kind get the waiter, each in the context it was given."""
    calls = []

    class Caller:
        def __call__(self, *args):
            calls.append((which.get(), *args))

        def method(self, *args):
            self(*args)

    given = contextvars.copy_context()
    given.run(which.set, "given")
    which.set("then")
    it.waiter.add_done_callback(Caller())
    it.waiter.add_done_callback(Caller().method, context=given)
    which.set("now")
    it.waiter.add_done_callback(functools.partial(Caller(), 1))
    for future in (it.waiter, it.twin):
        future.add_done_callback(Caller(), context=None)
    it.both(lambda future: future._callbacks[-1])
    which.set("ended")
    it.feed()
    await passes()
    waiter = it.waiter
    none = calls.pop()
    assert calls == [("then", waiter), ("given", waiter), ("now", 1, waiter), (none[0], waiter)]
    assert all(call[-1] is waiter for call in calls) and none[-1] is it.twin


@holding(state=ENDS)
async def test_a_callback_of_a_finished_one(it, state):
    """What is added to a finished one is called soon, in its context."""
    given = contextvars.copy_context()
    given.run(which.set, "given")
    it.both(ENDS[state])
    await passes()
    calls = []
    for future in (it.waiter, it.twin):
        future.add_done_callback(lambda done: calls.append((done, which.get())))
        future.add_done_callback(lambda done: calls.append((done, which.get())), context=given)
    it.both(lambda future: len(future._callbacks or ()))
    assert not calls
    await passes(1)
    assert calls == [(future, text) for future in (it.waiter, it.twin)
                     for text in ("none", "given") if state != "pending"]


@holding()
async def test_callbacks_from_callbacks(it):
    """A callback may add others, which are called after it."""
    calls = []

    def again(future):
        calls.append(future)
        if calls.count(future) < 4:
            future.add_done_callback(again)

    it.both(lambda future: future.add_done_callback(again))
    it.both(ENDS["result"])
    for count in range(1, 5):
        await passes(1)
        assert calls == [it.waiter, it.twin] * count


@holding()
async def test_removed(it):
    """remove_done_callback() counts what it removes, and it is not called."""
    calls = []
    other = calls.copy
    for callback in (calls.append, other, calls.append, print, calls.append):
        it.both(lambda future: future.add_done_callback(callback))
    for callback, count in ((calls.append, "3"), (calls.append, "0"), (calls.copy, "1"),
                            (None, "0"), ([].append, "0"), (print, "1")):
        assert it.both(lambda future: future.remove_done_callback(callback)) == count
        it.both(repr)
    it.feed()
    assert it.both(lambda future: future.remove_done_callback(print)) == "0"
    assert await it.task == b"line\n" and not calls


@holding()
async def test_the_tasks_callback_removed(it):
    """A task whose own callback is removed sleeps on until it is there again."""
    kept = [(future, *future._callbacks[0]) for future in (it.waiter, it.twin)]
    for future, wake, _ in kept:
        assert future.remove_done_callback(wake) == 1 and future._callbacks is None
    it.both(repr)
    it.feed()
    await passes()
    assert not it.task.done() and not it.other.done()
    for future, wake, context in kept:
        future.add_done_callback(wake, context=context)
    assert await it.task == b"line\n"


@holding()
async def test_the_list_of_callbacks(it):
    """_callbacks is a list of pairs that is made anew for who asks."""
    context = contextvars.copy_context()
    for future in (it.waiter, it.twin):
        future.add_done_callback(print, context=context)
        future._callbacks.clear()
        assert [type(pair) for pair in future._callbacks] == [tuple, tuple]
        (wake, own), (callback, given) = future._callbacks
        assert callback is print and given is context and type(own) is contextvars.Context
        assert future.remove_done_callback(print) == 1
        assert future._callbacks == [(wake, own)]
    assert it.waiter._callbacks[0][0].__self__ is it.task
    it.peer.send(b"line\n")
    assert await it.task == b"line\n"


class Odd:
    """A callback whose comparisons do something."""

    def __init__(self, work):
        self.work = work

    def __call__(self, future):
        pass

    def __eq__(self, other):
        return self.work()


def fails():
    raise ZeroDivisionError("compared")


@holding(what=["raises", "adds", "equals", "no bool"], late=[False, True])
async def test_odd_comparisons(it, what, late):
    """Callbacks that compare oddly are removed, or not, as in asyncio's."""
    def work(future):
        (wake, context), = future._callbacks
        few = [0, 0, 0]
        odd = Odd({
            "raises": fails, "equals": lambda: True, "no bool": lambda: types.SimpleNamespace(),
            "adds": lambda: few and (few.pop() or future.add_done_callback(repr)),
        }[what])
        for callback in [str] + [odd] * late + [str]:
            future.add_done_callback(callback)
        said = [tried(future.remove_done_callback, str if late else odd),
                [*(future._callbacks or ())],
                tried(future.remove_done_callback, wake), [*(future._callbacks or ())]]
        future.add_done_callback(wake, context=context)
        return said
    it.both(work)
    it.both(ENDS["exception"])
    await it.ends()


@holding()
async def test_callbacks_that_raise(it):
    """An exception of a callback is told to the handler, and nothing else stops."""
    contexts, calls = caught(), []
    for callback in (lambda _: 1 / 0, None, calls.append):
        it.both(lambda future: future.add_done_callback(callback))
    it.both(repr)
    it.feed()
    assert await it.task == b"line\n"
    await passes()
    assert calls == [it.waiter, it.twin]
    keys = [told(context)[0] for context in contexts]
    assert keys == [["exception", "handle", "message"]] * 4
    kinds = [type(context["exception"]) for context in contexts]
    assert kinds == [ZeroDivisionError, TypeError] * 2


# ---- the program ends it ---------------------------------------------------------


@reads
@holding(value=[None, 42, b"other\n"])
async def test_a_result_without_data(it, read, value):
    """A wait that a program ends without data: read() gives nothing, others wait."""
    it.waiter.set_result(value)
    assert it.reader._waiter is it.waiter
    if read == "read":
        assert await it.task == b""
        it.task = asyncio.create_task(it.again())
    second = await it.waits(it.waiter)
    assert not second.done() and it.waiter.result() is value
    it.peer.send(b"line\n")
    assert await it.task == b"line\n"


@reads
@holding(state=["exception", "class", "cancelled", "message"])
async def test_an_end_that_raises(it, read, state):
    """The read raises what a program ends it with, and the next one has the data."""
    it.both(ENDS[state])
    exc = await it.ends()
    assert exc.__context__ is exc.__cause__ is None
    assert it.waiter.cancelled() or it.waiter.exception() is exc
    assert it.task.cancelled() == it.waiter.cancelled()
    assert it.reader._waiter is None and it.reader.exception() is None
    it.peer.send(b"line\n")
    assert await it.again() == b"line\n"


@holding(make=[
    StopIteration, StopIteration("value"), StopAsyncIteration("text"), Mine("text"),
    asyncio.CancelledError("text"), asyncio.CancelledError, asyncio.InvalidStateError("text"),
    TimeoutError, GeneratorExit("text"), ExceptionGroup("text", [ValueError()]),
])
async def test_exceptions_of_all_kinds(it, make):
    """Every exception that it takes comes out of the read as out of asyncio's."""
    refused = it.both(lambda future: future.set_exception(make))
    it.same()
    if refused == "None":
        await it.ends()
        it.task = asyncio.create_task(it.again())
    it.peer.send(b"line\n")
    assert await it.task == b"line\n"


def frames(exc):
    """(file, function) of its traceback, without those of asyncio's streams."""
    found = [(Path(frame.filename).name, frame.name)
             for frame in traceback.extract_tb(exc.__traceback__)]
    return [frame for frame in found if frame[0] != "streams.py"]


@holding(state=["exception", "cancelled", "task", "reader"])
async def test_its_traceback(it, state):
    """The traceback that a coroutine catches has its own frames and no others."""
    if state == "task":
        it.task.cancel()
    elif state == "reader":
        it.reader.set_exception(ValueError())
    else:
        ENDS[state](it.waiter)
    try:
        await it.task
    except BaseException as exc:
        here = Path(__file__).name
        assert frames(exc)[-2:] == [(here, "test_its_traceback"), (here, "read")]
        return type(exc), exc.args, frames(exc), repr(exc.__context__)


@holding(first=["pending", "answer", "class", "message"], second=ENDS)
async def test_ended_twice(it, first, second):
    """The second end is refused, and the first one holds."""
    it.both(ENDS[first])
    it.both(ENDS[second])
    it.both(lambda future: (future._state, future._result, future._exception))
    it.both(lambda future: future.cancel("again"))
    await passes()
    it.both(ENDS[second])
    it.same()


FEEDS = {
    "nothing": lambda it: it.reader.feed_data(b""),
    "data": lambda it: it.reader.feed_data(b"line\n"),
    "eof": lambda it: it.reader.feed_eof(),
    "exception": lambda it: it.reader.set_exception(OSError("text")),
    "cancel": lambda it: it.task.cancel("later"),
    "peer": lambda it: it.peer.send(b"line\n"),
}


@reads
@holding(state=ENDS, feeds=[
    ["data"], ["nothing"], ["eof"], ["exception"], ["peer"], ["cancel", "data"], ["data", "cancel"],
    ["cancel", "cancel"], ["data", "data"], ["data", "eof"], ["exception", "data"]])
async def test_ended_and_then_fed(it, read, state, feeds):
    """What comes in the pass in which it has ended does the same to the reader."""
    ENDS[state](it.waiter)
    said = [(tried(FEEDS[each], it), it.waiter, it.reader._waiter) for each in feeds]
    if "peer" in feeds:
        await until(lambda: it.reader._buffer or it.task.done())
    await passes()
    if it.task.done() and not it.task.cancelled():
        said.append(it.task.exception() or it.task.result())
    return said, it.task.done(), it.reader._waiter, it.reader, it.reader.exception()


@holding()
async def test_fed_by_the_reader(it):
    """Data ends it with None; reader.set_exception() with that exception itself."""
    it.feed()
    it.same()
    assert it.reader._waiter is None and it.waiter.result() is None
    assert await it.task == b"line\n"
    it.task = asyncio.create_task(it.again())
    waiter, exc = await it.waits(), ValueError()
    it.reader.set_exception(exc)
    assert waiter.done() and waiter._log_traceback and waiter._exception is exc
    assert await asyncio.gather(it.task, return_exceptions=True) == [exc]
    assert waiter.exception() is exc and not waiter._log_traceback
