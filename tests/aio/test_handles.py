"""Handles: what call_soon and its kin return, and in which order they run."""
import asyncio
import contextvars
import gc
import re
import socket
import sys
import weakref

import pytest

var = contextvars.ContextVar("var", default="unset")
SCHEDULING = pytest.mark.parametrize("method, first", [
    ("call_soon", ()), ("call_later", (0,)), ("call_at", (0,)),
    ("call_soon_threadsafe", ())])


def run_once(loop):
    """One full iteration."""
    loop.call_soon(loop.stop)
    loop.run_forever()


class Thing:
    """Something to hold a weak reference to."""

    def method(self, *args):
        pass


def test_types(loop):
    """Every kind of scheduling returns asyncio's own handle types."""
    handles = [loop.call_soon(print), loop.call_soon_threadsafe(print)]
    timers = [loop.call_later(100, print), loop.call_later(0, print),
              loop.call_at(0, print)]
    assert all(isinstance(h, asyncio.Handle) for h in handles + timers)
    assert all(isinstance(t, asyncio.TimerHandle) for t in timers)
    for handle in handles + timers:
        handle.cancel()
    run_once(loop)


def test_fifo(loop):
    """call_soon is first in, first out, with its positional arguments."""
    seen = []
    for number in range(1000):
        loop.call_soon(seen.append, number)
    run_once(loop)
    assert seen == list(range(1000))


def test_arguments(loop):
    """Any number of arguments reach the callback as given."""
    seen = []
    for count in range(8):
        loop.call_soon(lambda *args: seen.append(args), *range(count))
    run_once(loop)
    assert seen == [tuple(range(count)) for count in range(8)]


def test_scheduled_inside_runs_next_iteration(loop):
    """What a callback schedules runs after all that was queued before."""
    seen = []

    def first():
        seen.append("first")
        loop.call_soon(seen.append, "third")

    loop.call_soon(first)
    loop.call_soon(seen.append, "second")
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["first", "second"]
    run_once(loop)
    assert seen == ["first", "second", "third"]


def test_order_within_an_iteration(loop):
    """Queued callbacks, then I/O, then due timers."""
    seen = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, lambda: (seen.append("io"),
                                       loop.remove_reader(ours)))
        run_once(loop)

        def prepare():
            theirs.send(b"x")
            loop.call_at(loop.time() - 1, seen.append, "timer")
            loop.call_soon(seen.append, "soon")
            loop.call_soon(lambda: loop.call_soon(loop.stop))

        loop.call_soon(prepare)
        loop.run_forever()
    assert seen == ["soon", "io", "timer"]


def test_cancel(loop):
    """A cancelled handle says so and does not run; twice is no error."""
    seen = []
    handle = loop.call_soon(seen.append, 1)
    assert not handle.cancelled()
    handle.cancel()
    handle.cancel()
    assert handle.cancelled()
    run_once(loop)
    assert seen == []


def test_cancel_by_an_earlier_callback(loop):
    """A callback can cancel one that is due in the same iteration."""
    seen = []
    later = None
    loop.call_soon(lambda: later.cancel())
    later = loop.call_soon(seen.append, 1)
    run_once(loop)
    assert seen == []


def test_cancel_after_run(loop):
    """Cancelling what has run does nothing bad."""
    seen = []
    handle = loop.call_soon(seen.append, 1)
    run_once(loop)
    handle.cancel()
    run_once(loop)
    assert seen == [1]


@pytest.mark.parametrize("schedule", [
    lambda loop, f, *args: loop.call_soon(f, *args),
    lambda loop, f, *args: loop.call_later(1000, f, *args),
    lambda loop, f, *args: loop.call_at(loop.time() + 1000, f, *args),
])
def test_cancel_frees_at_once(loop, schedule):
    """cancel() lets go of the callback and its arguments immediately."""
    callback, argument = Thing(), Thing()
    gone = [weakref.ref(callback), weakref.ref(argument)]
    handle = schedule(loop, callback.method, argument)
    del callback, argument
    assert all(ref() is not None for ref in gone)
    handle.cancel()
    gc.collect()
    assert all(ref() is None for ref in gone)
    run_once(loop)


def test_run_frees(loop):
    """After it has run nothing holds the callback or its arguments."""
    thing = Thing()
    ref = weakref.ref(thing)
    loop.call_soon(thing.method, thing)
    loop.call_later(0, thing.method, thing)
    del thing
    run_once(loop)
    run_once(loop)
    gc.collect()
    assert ref() is None


def test_handle_does_not_keep_the_loop(loop_factory):
    """A loop with pending handles and a cycle through them is collected."""
    loop = loop_factory()
    ref = weakref.ref(loop)
    loop.call_soon(lambda: loop)
    loop.call_later(1000, lambda: loop)
    loop.close()
    del loop
    gc.collect()
    assert ref() is None


def test_weak_reference(loop):
    """Handles can be weakly referenced."""
    handle = loop.call_later(1000, print)
    assert weakref.ref(handle)() is handle
    handle.cancel()


def test_default_context(loop):
    """Without context= the callback runs in a copy of the current one."""
    seen = []

    def callback():
        seen.append(var.get())
        var.set("changed")

    def schedule():
        var.set("mine")
        loop.call_soon(callback)
        loop.call_later(0, callback)
        var.set("later")

    contextvars.copy_context().run(schedule)
    run_once(loop)
    run_once(loop)
    assert seen == ["mine", "mine"]
    assert var.get() == "unset"


@SCHEDULING
def test_given_context(loop, method, first):
    """context= is the very context, also when it is empty (and so false)."""
    context = contextvars.Context()
    assert not context
    getattr(loop, method)(*first, lambda: var.set("inside"), context=context)
    run_once(loop)
    run_once(loop)
    assert context[var] == "inside"
    assert var.get() == "unset"


@SCHEDULING
def test_no_context(loop, method, first):
    """context=None is a copy of the current one, made at once."""
    seen = []

    def schedule():
        var.set("mine")
        getattr(loop, method)(*first, lambda: seen.append(var.get()),
                              context=None)
        var.set("later")

    contextvars.copy_context().run(schedule)
    run_once(loop)
    run_once(loop)
    assert seen == ["mine"]


@SCHEDULING
def test_what_only_looks_like_a_context(loop, method, first):
    """Whatever has run() will do, also if it is false."""
    class Context:
        def __bool__(self):
            return False

        def run(self, callback, *args):
            ran.append((callback, args))
            callback(*args)

    seen, ran, context = [], [], Context()
    callback = seen.append
    getattr(loop, method)(*first, callback, 7, context=context)
    run_once(loop)
    run_once(loop)
    assert seen == [7] and ran == [(callback, (7,))]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
@SCHEDULING
def test_get_context(loop, method, first):
    """get_context() is the context that was given, or the copy."""
    context = contextvars.Context()
    handle = getattr(loop, method)(*first, print, context=context)
    assert handle.get_context() is context
    handle.cancel()
    handle = getattr(loop, method)(*first, print)
    assert isinstance(handle.get_context(), contextvars.Context)
    handle.cancel()


def test_unknown_keyword(loop):
    """Other keywords are refused, nothing is scheduled."""
    for call in (lambda: loop.call_soon(print, nonsense=1),
                 lambda: loop.call_later(0, print, nonsense=1),
                 lambda: loop.call_at(0, print, nonsense=1),
                 lambda: loop.call_soon_threadsafe(print, nonsense=1)):
        with pytest.raises(TypeError):
            call()


def test_missing_arguments(loop):
    """Without a callback they raise TypeError."""
    for call in (loop.call_soon, lambda: loop.call_later(1),
                 lambda: loop.call_at(1), loop.call_later, loop.call_at):
        with pytest.raises(TypeError):
            call()


def test_repr(loop):
    """The repr names the callback and says when it is cancelled."""
    handle = loop.call_soon(run_once)
    timer = loop.call_later(50, run_once)
    assert "run_once" in repr(handle) and "Handle" in repr(handle)
    assert re.search(r"when=\d+", repr(timer))
    handle.cancel()
    timer.cancel()
    assert "cancelled" in repr(handle) and "cancelled" in repr(timer)


def test_error_in_a_callback(loop, contexts):
    """An exception goes to the handler, with the handle; others still run."""
    seen = []
    handle = loop.call_soon(lambda: 1 / 0)
    loop.call_soon(seen.append, 1)
    run_once(loop)
    (context,) = contexts
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["handle"] is handle
    assert "lambda" in context["message"]
    assert seen == [1]
    contexts.clear()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_exit_from_a_callback(loop, error):
    """SystemExit and KeyboardInterrupt end run_forever; what was queued
    behind them runs when the loop goes on."""
    seen = []

    def leave():
        raise error

    loop.call_soon(leave)
    loop.call_soon(seen.append, 1)
    with pytest.raises(error):
        loop.run_forever()
    run_once(loop)
    assert seen == [1]


def test_patched_on_the_instance(loop):
    """Tools patch call_soon on the instance; tasks then go through it."""
    seen = []
    original = loop.call_soon

    def call_soon(callback, *args, context=None):
        seen.append(callback)
        return original(callback, *args, context=context)

    loop.call_soon = call_soon
    loop.run_until_complete(asyncio.sleep(0))
    assert seen
    del loop.call_soon
