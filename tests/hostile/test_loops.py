"""Loops that are closed, re-entered, copied, shared and misused."""
import pytest

from .child import run


def test_release_within_a_pass():
    """However is_running() is talked out of it, nothing closes the loop while
    a pass walks its ring."""
    run("""
    for bare in (True, False):
        loop = _core.Loop() if bare else new_loop()
        left, right = socket.socketpair()
        right.send(b"x")
        seen = []
        def callback():
            loop._thread_id = None
            seen.append(raises(RuntimeError, loop._release))
        loop.add_reader(left, callback)
        loop.call_soon(callback)
        loop.call_later(0, callback)
        while len(seen) < 3:
            loop._run_once()
        loop.remove_reader(left)
        loop._release()
        raises(RuntimeError, loop._run_once)
        loop._closed = False
        raises(RuntimeError, loop._run_once)
        raises(RuntimeError, loop.call_soon, print)
        raises(RuntimeError, loop.fileno)
        loop._release()
        if not bare:
            loop.close()
    """)


def test_init_after_close():
    """A second __init__() does not bring a closed loop back."""
    run("""
    loop = new_loop()
    loop.close()
    loop.__init__()
    assert loop.is_closed()
    raises(RuntimeError, loop.run_forever)
    raises(RuntimeError, loop.call_soon, print)
    loop.close()
    """)


def test_bare_core_loop():
    """_core.Loop without asyncio's half runs what needs none of it and says
    AttributeError otherwise."""
    run("""
    loop = _core.Loop()
    ran = []
    loop.call_soon(ran.append, 1)
    loop.call_later(0, ran.append, 2)
    loop._run_once()
    assert ran == [1, 2], ran
    loop.call_soon(lambda: 1 / 0)
    raises(AttributeError, loop._run_once)
    loop._debug = True
    raises(AttributeError, loop.call_soon, print)
    raises(AttributeError, loop.call_later, 0, print)
    raises(AttributeError, loop.call_soon_threadsafe, print)
    loop._debug = False
    raises(TypeError, loop.add_reader)
    raises(ValueError, loop.add_reader, -1, print)
    raises(TypeError, loop._accept_streams)
    raises((AttributeError, TypeError), loop._accept_streams, 0, None, None, 0, None)
    raises(AttributeError, getattr, loop, "_transports")
    for name in dir(loop):
        repr(getattr(loop, name, None))
    del loop
    gc.collect()
    """)


@pytest.mark.parametrize("value", [
    "5", "None", "'x'", "-1", "2**64", "2**31", "1.5", "float('nan')",
    "float('inf')", "object()", "[]", "Evil()"])
def test_wrong_arguments(value):
    """Every method of the loop with every kind of wrong argument."""
    run(f"""
    class Evil:
        def __index__(self):
            raise ValueError
        def __getattr__(self, name):
            raise KeyError(name)
        def __eq__(self, other):
            raise ValueError
        __hash__ = None
        def __repr__(self):
            raise RuntimeError
    quiet = {{"_run_once", "_run", "_poll", "run_forever", "_release", "close",
             "_asyncgen_firstiter_hook"}}
    for base in (_core.Loop, kevent.EventLoop):
        loop = base()
        for name in sorted(vars(_core.Loop)):
            if name in quiet or name.startswith("__"):
                continue
            method = getattr(loop, name, None)
            if not callable(method):
                for act in (lambda: setattr(loop, name, {value}), lambda: delattr(loop, name)):
                    try:
                        act()
                    except Exception:
                        pass
                continue
            for args in ((), ({value},), ({value},) * 2, ({value},) * 3, ({value},) * 5):
                try:
                    result = method(*args)
                    if asyncio.iscoroutine(result):
                        result.close()
                except Exception:
                    pass
                try:
                    method(*args, context={value})
                except Exception:
                    pass
        loop._debug = False
        loop._thread_id = None
        for _ in range(3):
            loop._ready.clear()
            loop._scheduled = ()
        loop._release()
    """)


def test_huge_descriptors():
    """A number that is no descriptor is refused before a table is made for
    it, however large."""
    run("""
    import resource
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # its shadow is large
        # Python without the GIL reserves addresses by the gigabyte.
        limit = 2**30 if getattr(sys, "_is_gil_enabled", lambda: True)() else 2**34
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    loop = new_loop()
    for fd in (10**4, 10**6, 10**8, 2**31 - 2):
        exc = raises(OSError, loop.add_reader, fd, print)
        assert exc.errno == 9, exc
        raises(OSError, loop.add_writer, fd, print)
        assert loop.remove_reader(fd) is False
    loop.close()
    """)


def test_ready_queue_changes_under_the_pass():
    """clear(), pop(), assignment and garbage in loop._ready from a callback."""
    run("""
    loop = new_loop()
    def fill():
        for _ in range(200):
            loop.call_soon(int)
    acts = [
        loop._ready.clear, loop._ready.pop, loop._ready.popleft,
        lambda: setattr(loop, "_ready", []), lambda: setattr(loop, "_ready", loop._ready),
        lambda: loop._ready.extend(loop._ready),
        lambda: loop._ready.appendleft(loop.call_soon(int)),
        lambda: [loop._ready.append(handle) for handle in list(loop._ready) * 3],
    ]
    for act in acts:
        fill()
        loop.call_soon(act)
        fill()
        loop.call_later(0, act)
        loop._run_once()
        loop.call_soon(int)
        loop._run_once()
        loop._ready.clear()
    raises(IndexError, loop._ready.pop)
    raises(IndexError, loop._ready.popleft)
    raises(TypeError, loop._ready.extend, 5)
    raises(TypeError, setattr, loop, "_ready", 5)
    raises(AttributeError, delattr, loop, "_ready")
    for garbage in (5, None, "x", object(), loop):
        loop._ready.append(garbage)
        raises((AttributeError, TypeError), loop._run_once)
    class Evil:
        _cancelled = False
        def _run(self):
            loop._ready.clear()
            gc.collect()
    loop._ready.append(Evil())
    loop._run_once()
    class Requeues:
        def __del__(self):
            loop._ready.append(Requeues())
    loop._ready.append(Requeues())
    loop._ready.clear()
    print("survived", flush=True)
    os._exit(0)  # it goes on for ever, as it does in any container
    """)


def test_timers_change_under_the_pass():
    """Cancelling, adding and clearing timers from timers and finalizers."""
    run("""
    import random
    loop = new_loop()
    timers = []
    class Evil:
        def __del__(self):
            timers.append(loop.call_later(random.random(), int))
            timers[random.randrange(len(timers))].cancel()
    def callback(evil):
        for timer in random.sample(timers, min(5, len(timers))):
            timer.cancel()
        timers.append(loop.call_later(random.random() / 100, callback, Evil()))
    for _ in range(1000):
        timers.append(loop.call_later(random.random() / 50, callback, Evil()))
    loop.call_later(0.1, loop.stop)
    loop.run_forever()
    loop.call_soon(setattr, loop, "_scheduled", ())
    loop.call_later(0.01, loop.stop)
    loop.call_soon(loop.stop)
    loop.run_forever()
    raises(ValueError, setattr, loop, "_scheduled", [1])
    for timer in timers:
        timer.cancel()
    loop.close()
    """)


def test_time_that_lies():
    """A patched time() that raises, goes back, or is not a number."""
    run("""
    import itertools
    for lie in ("x", None, float("nan"), float("inf"), -1e300, 10**400, ValueError):
        loop = new_loop()
        def time():
            if lie is ValueError:
                raise lie
            return lie
        loop.call_later(0.001, int)
        loop.time = time
        for call in (lambda: loop.call_later(1, int), lambda: spin(loop, 1)):
            try:
                call()
            except Exception:
                pass
        loop._thread_id = None
        loop.close()
    """)


def test_finalizers_use_the_loop():
    """loop.close() and everything else from __del__ and weakref callbacks."""
    run("""
    loop = new_loop()
    class Evil:
        def __init__(self, act):
            self.act = act
        def __del__(self):
            try:
                self.act()
            except RuntimeError as exc:
                told.append(exc)
    left, right = socket.socketpair()
    acts = [lambda: loop.call_soon(int), lambda: loop.stop(),
            lambda: loop.add_reader(left, int), lambda: loop.remove_reader(left),
            lambda: loop._ready.clear(), lambda: loop.call_later(1, int), gc.collect,
            lambda: setattr(loop, "_scheduled", ())]
    for act in acts:
        loop.call_soon(int, Evil(act))
        loop.call_soon(lambda evil: 1 / 0, Evil(act))
        loop.call_later(0, lambda evil: None, Evil(act))
        loop.add_reader(left, lambda evil: None, Evil(act))
        loop.call_soon(loop.add_reader, left, lambda evil: None, Evil(act))
        loop.call_soon(lambda: loop.call_later(0, int, Evil(act)).cancel())
        right.send(b"x")
        for _ in range(5):
            loop.call_soon(int)
            loop._run_once()
        left.recv(10)
        loop.remove_reader(left)
        loop._stopping = False
    loop.call_soon(lambda: loop.call_soon(int, Evil(loop.close)))
    spin(loop)
    loop = new_loop()
    loop.call_soon(int, Evil(loop.close))
    loop.add_reader(left, int, Evil(lambda: loop.add_writer(right, int)))
    loop.call_later(100, int, Evil(lambda: loop.call_later(100, int, Evil(loop.close))))
    loop.close()
    loop.close()
    weak = new_loop()
    weak.call_soon(int, Evil(lambda: weak))
    weakref.finalize(weak, print)
    del weak
    gc.collect()
    """)


def test_nested_passes():
    """A callback that runs passes of its own, from every place of a pass."""
    run("""
    loop = new_loop()
    left, right = socket.socketpair()
    right.send(b"x" * 100)
    depth = 0
    def nested():
        global depth
        depth += 1
        if depth < 50:
            loop.call_soon(nested)
            loop._run_once()
        depth -= 1
    def read():
        left.recv(1)
        nested()
    loop.add_reader(left, read)
    for _ in range(20):
        loop.call_soon(nested)
        loop.call_later(0, nested)
        loop._run_once()
    loop.remove_reader(left)
    loop._ready.clear()
    loop.close()
    """)


def test_interrupts_fill_the_ring():
    """Passes that end in KeyboardInterrupt with the ring full lose nothing
    and never say that there is no space."""
    run("""
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    loop = new_loop()
    pairs = [socket.socketpair() for _ in range(1500)]
    seen = set()
    def reader(left):
        try:
            left.recv(1)
        except BlockingIOError:
            pass  # told again by a later harvest
        seen.add(left)
        raise KeyboardInterrupt
    for left, right in pairs:
        left.setblocking(False)
        loop.add_reader(left, reader, left)
        right.send(b"x")
    for _ in range(3000):
        loop.call_soon(int)
        try:
            loop._run_once()
        except KeyboardInterrupt:
            pass
    assert len(seen) == len(pairs), len(seen)
    loop.close()
    """)


def test_copies():
    """copy, deepcopy, pickle and __class__ of loops, queues and transports."""
    run("""
    import copy, pickle
    loop = new_loop()
    transport, theirs = connect(loop, Recorder())
    for each in (loop, transport, loop._ready, _core.Loop(), _core.StreamTransport):
        for act in (copy.copy, copy.deepcopy, pickle.dumps):
            if each is _core.StreamTransport:
                continue
            try:
                act(each)
            except Exception:
                pass
        try:
            each.__class__ = object
        except TypeError:
            pass
        try:
            each.__class__ = kevent.EventLoop
        except TypeError:
            pass
    class Sub(kevent.EventLoop):
        pass
    loop.__class__ = Sub
    spin(loop)
    transport.abort()
    spin(loop)
    loop.close()
    gc.collect()
    """)


def test_half_made_loop_is_seen():
    """The collector shows a loop that is being made; whoever asks it something
    then gets an answer or an exception."""
    run("""
    seen = []
    def look(phase, info):
        for each in gc.get_objects():
            if isinstance(each, (_core.Loop, _core.StreamTransport)):
                seen.append(type(each))
                for name in ("_ready", "_scheduled", "statistics", "_run_once", "fileno",
                             "_watched", "_protocol", "write", "_sock", "_extra_dict"):
                    try:
                        value = getattr(each, name)
                        if callable(value) and name != "_run_once":
                            value()
                    except Exception:
                        pass
    gc.callbacks.append(look)
    gc.set_threshold(1)
    for _ in range(20):
        loop = new_loop()
        transport, theirs = connect(loop, Recorder())
        transport.abort()
        spin(loop, 2)
        loop.close()
    gc.set_threshold(700)
    gc.callbacks.clear()
    # Without the GIL the collector never runs within an allocation.
    assert seen or not getattr(sys, "_is_gil_enabled", lambda: True)()
    """)


def test_exception_handlers_that_raise():
    """What the handler, the loop's hooks and the debug helpers raise ends the
    pass as an exception and nothing more."""
    run("""
    loop = new_loop()
    for name in ("_callback_failed", "_stream_failed", "_run_handle_debug",
                 "call_exception_handler", "_check_thread", "_check_callback",
                 "_log_slow_stream", "_accept_failed"):
        for value in (None, 5, lambda *a: 1 / 0, lambda *a, **k: loop._ready.clear()):
            setattr(loop, name, value)
            for debug in (False, True):
                loop._debug = debug
                try:
                    loop.call_soon(lambda: 1 / 0)
                    loop.call_later(0, lambda: 1 / 0)
                    loop.call_soon(loop.stop)
                    loop._run_once()
                    loop._run_once()
                except Exception:
                    pass
            loop._debug = False
            loop._ready.clear()
        delattr(loop, name)
    loop._thread_id = None
    loop.close()
    """)
