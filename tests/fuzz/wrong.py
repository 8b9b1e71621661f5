"""Calls everything that kevent._core has with every kind of wrong argument.

    python -m tests.fuzz.wrong WHERE SEED

WHERE: here, closed, thread, forked, finalizer or shutdown.  Whatever is raised
is fine; the process must live, and a loop must work afterwards.
"""
import asyncio
import atexit
import contextvars
import faulthandler
import gc
import io
import itertools
import os
import random
import signal
import socket
import sys
import threading
import warnings

import kevent
import kevent.streams
from kevent import _core

PAIRS = 60       # so many combinations of two and of three, at random, a callable


class Evil:
    """Raises, or does something else, whenever it is asked for anything."""

    def __init__(self, act=None):
        self.act = act

    def _do(self, *args):
        if self.act is not None:
            act, self.act = self.act, None
            act()
        raise ZeroDivisionError("evil")

    __index__ = __int__ = __float__ = __len__ = __iter__ = __bool__ = __hash__ = _do
    __eq__ = __lt__ = __call__ = __getitem__ = __repr__ = __enter__ = __buffer__ = _do
    __await__ = __next__ = __add__ = __radd__ = __contains__ = fileno = run = send = _do


class Fileno:
    """Has the descriptor of a closed file."""

    def fileno(self):
        return 1_000_000


class Index:
    """A number, for those who ask nicely."""

    def __index__(self):
        return 7


def values(loop):
    """What is handed in.  No small number: it could be a descriptor of ours."""
    closed = socket.socket()
    closed.close()
    other = kevent.new_event_loop()
    gone = kevent.new_event_loop()
    gone.close()
    queue = kevent.Queue()
    queue.close()
    return [
        None, True, -1, 1_000_000, 2**31 - 1, 2**31, 2**32, 2**63, -2**63, 2**200, 1.5,
        float("nan"), float("inf"), 1j, "", "x", "\0", "\ud800", b"", b"x", bytearray(40),
        memoryview(bytearray(80)), memoryview(b"abcdef")[::2], [], [None], (), (1, 2), {},
        {"a": 1}, object(), object, type, len, print.__call__, Evil(), Fileno(), Index(),
        closed, other, gone, queue, io.BytesIO(), contextvars.copy_context(), Ellipsis,
        iter([1, b"x"]), range(3), asyncio.Protocol(), asyncio.Protocol, kevent.Ring(4),
        kevent.ukevent(1, 2), ZeroDivisionError, ZeroDivisionError("x"), weird_future(other),
        Evil(loop.close), Evil(gc.collect), Evil(loop.stop), lambda *args, **kw: None,
        signal.SIGUSR1, {signal.SIGUSR1}, [signal.SIGUSR2, 99999],
    ]


def weird_future(loop):
    """A future of another loop."""
    return loop.create_future()


# What waits, in the end, is interrupted; what ends the process is left out.
NEVER = {"_exit"}


class Woken(Exception):
    """The alarm."""


armed = False           # else an alarm that comes late strikes nobody


def wake(number, frame):
    if armed:
        raise Woken


def makers(loop):
    """Fresh objects of each type, by functions that may fail."""
    def transport():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        kept.append(theirs)
        return loop._make_socket_transport(ours, asyncio.Protocol())

    def datagrams():
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        return loop._make_datagram_transport(sock, asyncio.DatagramProtocol(), None, None)

    def queue(size=8):
        queue = kevent.Queue(ring_size=size)
        queue.add(5, kevent.KEVENT_UNOTIFY, 1)
        return queue

    def pipe(read):
        reading, writing = os.pipe()
        file = os.fdopen(reading if read else writing, "rb" if read else "wb", 0)
        kept.append(os.fdopen(writing if read else reading, "wb" if read else "rb", 0))
        make = loop._make_read_pipe_transport if read else loop._make_write_pipe_transport
        return make(file, asyncio.Protocol())

    def reader():
        return kevent.streams.StreamReader(loop=loop)

    kept = []
    return [
        lambda: _core, kevent.new_event_loop, _core.Loop, lambda: loop, transport, datagrams,
        queue, lambda: kevent.Queue(), lambda: kevent.Ring(8), lambda: kevent.ukevent(1, 2),
        lambda: kevent.KeventSelector(), lambda: loop.call_soon(int),
        lambda: loop.call_later(1, int), lambda: loop._ready, reader,
        lambda: kevent.streams.StreamReaderProtocol(reader(), loop=loop),
        lambda: kevent.streams.StreamWriter(
            transport(), asyncio.Protocol(), reader(), loop),
        lambda: reader().read(5), lambda: pipe(True), lambda: pipe(False),
    ]


def attempt(call, *args, **kwargs):
    """What it raises is its own affair.  What it returns is let go."""
    global armed
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05) if MAIN() else None
    try:
        try:
            armed = True
            call(*args, **kwargs)
        finally:
            armed = False
    except (Exception, SystemExit, asyncio.CancelledError):
        pass
    finally:
        armed = False
    signal.setitimer(signal.ITIMER_REAL, 0) if MAIN() else None


def MAIN():
    return threading.current_thread() is threading.main_thread()


BLOCKS = {"_run", "_run_once", "_poll", "run_forever", "run_until_complete", "kevent_wait",
          "kevent_get_events", "wait", "get_events", "select", "shutdown_default_executor"}


def assault(loop, chooser, closed=False):
    """All callables and attributes of all objects."""
    wrong = values(loop)
    calls = 0
    for make in makers(loop):
        try:
            subject = make()
        except Exception:
            continue
        for name in dir(subject):
            if name in NEVER or (name in BLOCKS and not MAIN()) or name == "__class__":
                continue
            singles = [()] + [(value,) for value in wrong]
            twos = [tuple(chooser.choices(wrong, k=k)) for k in (2, 3, 4, 5, 6)
                    for _ in range(PAIRS // 5)]
            for args in singles + twos:
                try:
                    method = getattr(subject, name)
                except Exception:
                    method = None
                if callable(method):
                    attempt(method, *args)
                    if args and chooser.random() < 0.2:
                        attempt(method, args[0], **{chooser.choice(
                            ("context", "timeout", "fd", "callback", "x", "num")): args[-1]})
                    calls += 1
                if len(args) == 1 and not name.startswith("__"):
                    attempt(setattr, subject, name, args[0])
                    if chooser.random() < 0.05:
                        attempt(delattr, subject, name)
                if closed or chooser.random() < 0.02 and subject is not loop:
                    attempt(getattr(subject, "close", int))
                if getattr(subject, "closed", False) is True and not closed:
                    try:
                        subject = make()
                    except Exception:
                        pass
        subject = method = None
    return calls


def fresh_works():
    """A loop that is made now works."""
    async def main():
        await asyncio.sleep(0.0001)
        return "works"
    signal.setitimer(signal.ITIMER_REAL, 0) if MAIN() else None
    events = asyncio.events
    events._set_running_loop(None)
    assert kevent.run(main()) == "works"


def main(where, seed):
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda info: None
    threading.excepthook = lambda info: None
    import logging
    logging.disable()
    signal.signal(signal.SIGALRM, wake)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    chooser = random.Random(seed)
    loop = kevent.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    if where == "here":
        calls = assault(loop, chooser)
    elif where == "closed":
        loop.close()
        calls = assault(loop, chooser, closed=True)
    elif where == "thread":
        thread = threading.Thread(target=assault, args=(loop, chooser))
        thread.start()
        while thread.is_alive():
            try:
                loop.call_later(0.001, loop.stop)
                loop.run_forever()
            except Exception:
                loop = kevent.new_event_loop()
        calls = 1
    elif where == "forked":
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        pid = os.fork()
        if pid == 0:
            assault(loop, chooser)
            fresh_works()
            print("survived", flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0, "the child"
        calls = 1
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
    elif where == "finalizer":
        class Final:
            def __del__(self):
                self.calls = assault(loop, chooser)
                done.append(self.calls)
        done = []
        final = Final()
        final.cycle = final
        del final
        gc.collect()
        calls = done[0]
    elif where == "shutdown":
        class Last:
            def __del__(self, assault=assault, loop=loop, chooser=chooser):
                try:
                    assault(loop, chooser)
                except BaseException:
                    pass
        sys.last_one = Last()
        atexit.register(assault, loop, chooser)
        calls = 1
    assert calls
    fresh_works()
    print("survived", calls, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
