"""Handles whose insides a program replaces, deletes, chains or cycles."""
import pytest

from .child import run

SLOTS = ("_args", "_callback", "_cancelled", "_context", "_loop", "_repr",
         "_source_traceback")


@pytest.mark.parametrize("slot", SLOTS)
def test_deleted_slot(slot):
    """asyncio's own descriptor empties any slot: running, cancelling, showing
    and collecting the handle raise, or do not, but go on living."""
    run(f"""
    for use in ("run", "cancel", "cancelled", "repr", "debug"):
        loop = new_loop()
        loop.set_debug(use == "debug")
        soon = loop.call_soon(print)
        later = loop.call_later(0.0, print)
        for handle in (soon, later):
            try:
                asyncio.Handle.{slot}.__delete__(handle)
                gc.collect()
                if use == "cancel":
                    handle.cancel()
                elif use == "cancelled":
                    handle.cancelled()
                elif use == "repr":
                    repr(handle)
                else:
                    spin(loop)
            except (AttributeError, TypeError):
                pass
        loop.close()
    """)


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("garbage", [
    "5", "None", "'text'", "(1,)", "[handle]", "(handle,)", "object()"])
def test_garbage_in_slot(slot, garbage):
    """Any object may lie in any slot when the handle runs or is cancelled."""
    run(f"""
    for use in ("run", "cancel", "debug"):
        loop = new_loop()
        loop.set_debug(use == "debug")
        for handle in (loop.call_soon(print), loop.call_later(0.0, print)):
            asyncio.Handle.{slot}.__set__(handle, {garbage})
            try:
                handle.cancel() if use == "cancel" else spin(loop)
            except (AttributeError, TypeError):
                pass
            del handle
            gc.collect()
        loop.close()
    """)


def test_args_setter_takes_only_tuples():
    """handle._args = 5 is a TypeError, not a crash when it runs."""
    run("""
    loop = new_loop()
    handle = loop.call_soon(print)
    raises(TypeError, setattr, handle, "_args", 5)
    spin(loop)
    loop.close()
    """)


def test_evil_scheduled_slot():
    """What a program left in _scheduled is let go when the heap is whole: its
    finalizer may schedule and cancel."""
    run("""
    loop = new_loop()
    made = []
    class Evil:
        def __del__(self):
            made.extend(loop.call_later(i, print) for i in range(50))
            for timer in made[::2]:
                timer.cancel()
    timers = [loop.call_later(100 - i, print) for i in range(50)]
    for timer in timers:
        timer._scheduled = Evil()
    for timer in timers[::3]:
        timer.cancel()
    for timer in timers:
        timer.cancel()
    for timer in made:
        timer.cancel()
    assert loop.statistics()["timers"] == 0, loop.statistics()
    loop.close()
    """)


@pytest.mark.parametrize("make", [
    "loop.call_soon(print, chain)",
    "loop.call_soon(print, chain, 1)",
    "loop.call_later(1e6, print, chain)",
    "loop.call_soon(functools.partial(print, chain))",
])
def test_long_chain(make):
    """200,000 handles, each the argument of the next, are let go without
    recursion as deep as the chain is long."""
    run(f"""
    import functools
    loop = new_loop()
    chain = None
    for _ in range(200_000):
        chain = {make}
    loop.close()
    del chain
    gc.collect()
    """)


def test_long_chain_through_repr():
    """The same through a slot that only asyncio's descriptor can fill."""
    run("""
    loop = new_loop()
    chain = None
    for _ in range(200_000):
        handle = loop.call_soon(print)
        handle._repr = chain
        chain = handle
    loop._ready.clear()
    del chain, handle
    loop.close()
    """)


def test_cycles_through_every_slot_are_collected():
    """A handle that leads to itself by any of its slots is garbage."""
    run("""
    import contextvars
    loop = new_loop()
    class Float(float):
        pass
    def cycle(kind):
        handle = (loop.call_later(1000, print) if kind in ("_when", "_scheduled")
                  else loop.call_soon(print))
        probe = Float(1.0)
        probe.handle = handle
        handle.__class__
        if kind == "context":
            context = contextvars.copy_context()
            var = contextvars.ContextVar("v")
            context.run(var.set, (probe, handle))
            asyncio.Handle._context.__set__(handle, context)
        else:
            getattr(type(handle), kind).__set__(handle, (probe, handle))
        return weakref.ref(probe), handle
    for kind in ("_args", "_callback", "_cancelled", "_repr", "context", "_loop",
                 "_source_traceback", "_when", "_scheduled"):
        probe, handle = cycle(kind)
        loop._ready.clear()
        loop._scheduled = []
        del handle
        gc.collect()
        assert probe() is None, kind
    loop.close()
    """)


def test_no_other_way_to_make_one():
    """Handles come from a loop: no constructor, no copy, no pickle, no class
    assignment."""
    run("""
    import copy, pickle
    loop = new_loop()
    class Slotted(asyncio.Handle):
        __slots__ = ("arg",)
    for handle in (loop.call_soon(print), loop.call_later(1, print)):
        cls = type(handle)
        raises(TypeError, cls)
        raises(TypeError, cls, print, (), loop)
        raises(TypeError, object.__new__, cls)
        raises(TypeError, asyncio.Handle.__new__, cls)
        raises(TypeError, type, "Sub", (cls,), {})
        raises(TypeError, copy.copy, handle)
        raises((TypeError, pickle.PicklingError), pickle.dumps, handle)
        for protocol in range(6):
            raises(TypeError, handle.__reduce_ex__, protocol)
        for other in (asyncio.Handle, asyncio.TimerHandle, Slotted, object, int,
                      _core.TimerHandle if cls is _core.Handle else _core.Handle):
            raises(TypeError, setattr, handle, "__class__", other)
        raises(TypeError, setattr, asyncio.Handle(print, (), loop), "__class__", cls)
        raises(TypeError, setattr, Slotted(print, (), loop), "__class__", cls)
    loop.close()
    """)


def test_callback_changes_its_own_handle():
    """A callback that empties and replaces the parts that are in use."""
    run("""
    loop = new_loop()
    def callback(*args):
        handle = handles.pop()
        handle.cancel()
        for slot in ("_args", "_callback", "_context", "_loop"):
            getattr(asyncio.Handle, slot).__delete__(handle)
        gc.collect()
        return args
    handles = []
    for args in ((), (object(),), (object(), object())):
        handles.append(loop.call_soon(callback, *args))
        spin(loop)
        handles.append(loop.call_later(0, callback, *args))
        spin(loop)
    loop.close()
    """)


def test_context_that_is_entered_or_no_context():
    """A context that is in use, or an object with an evil run()."""
    run("""
    import contextvars
    loop = new_loop()
    context = contextvars.copy_context()
    def nested():
        loop.call_soon(print, context=context)
        loop._run_once()
    loop.call_soon(nested, context=context)
    class Evil:
        def __init__(self, run):
            self.run = run
    def drop(callback, *args):
        loop._ready.clear()
        loop.stop()
        gc.collect()
        raise ValueError(callback)
    for run in (None, 5, drop, lambda *args: None):
        loop.call_soon(print, context=Evil(run))
        loop.call_soon(print, 1, context=Evil(run))
    loop.call_soon(print, context=5)
    spin(loop)
    loop.close()
    """)
