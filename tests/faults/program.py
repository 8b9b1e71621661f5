"""A scenario, again and again, with another call failing each time.

    python -m tests.faults.program SCENARIO ERROR[,ERROR...] [FIRST [PERIOD]]

runs under inject.c (LD_PRELOAD).  ERROR is a name of errno, or "short".
Prints how many calls failed, and what came of it.
"""
import asyncio
import collections
import ctypes
import errno
import faulthandler
import gc
import os
import sys
import weakref
from asyncio import constants

import kevent

from .scenarios import SCENARIOS

LIMIT_S = 2 * float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))
QUIET = 3          # so many runs in which nothing was left to fail: the end

CLEAN = (OSError, MemoryError, asyncio.IncompleteReadError)

# What nobody may notice: a call that was interrupted, or took a part.
RETRIED = {
    "recv", "recvmsg", "recvmmsg", "recvfrom", "read", "readv", "send", "sendmsg", "sendmmsg",
    "sendto", "write", "writev", "accept4", "epoll_wait", "epoll_pwait", "epoll_pwait2",
}


def unnoticed(where, error):
    """Whether that failure must not be seen from outside."""
    return where in RETRIED and (error in (errno.EINTR, 0)
                                 or error == errno.EAGAIN and not where.startswith("epoll"))


inject = ctypes.CDLL(os.environ["LD_PRELOAD"].split(":")[-1])
inject.fault_arm.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_long)
inject.fault_off.restype = ctypes.c_long
inject.fault_counted.restype = ctypes.c_long
inject.fault_where.restype = ctypes.c_char_p

unraisable = []
sys.unraisablehook = unraisable.append


def descriptors():
    """Those that are open now."""
    return set(os.listdir("/proc/self/fd"))


def cancel_all(loop):
    """As asyncio.run() does at its end."""
    loop.call_soon(loop.stop)   # what was to end the first run may be queued
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(
            asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), LIMIT_S))


def is_told(loop, context, contexts, task, error):
    """The exception handler.  What asyncio's transports do by call_soon() is
    reported here and to nobody else: then there is nothing to wait for."""
    contexts.append(context)
    if getattr(context.get("exception"), "errno", None) == error:
        loop.call_later(0.2, task.cancel)


async def works(loop):
    """A loop that goes on: timers, and a connection."""
    await asyncio.sleep(0)
    await asyncio.sleep(0.0001)
    import socket
    left, right = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=left)
    right.send(b"still here")
    assert await reader.read(100) == b"still here"
    writer.write(b"so am I")
    await writer.drain()
    assert right.recv(100) == b"so am I"
    writer.close()
    right.close()
    await asyncio.sleep(0)


def once(name, after, error, period):
    """One run: whether a call failed, where, and what came of it."""
    before = descriptors()
    contexts = []
    outcome = "absorbed"
    loop = task = None
    inject.fault_arm(after, error, period)
    try:
        loop = kevent.new_event_loop()
        task = loop.create_task(asyncio.wait_for(SCENARIOS[name](loop), LIMIT_S))
        loop.set_exception_handler(
            lambda loop, context: is_told(loop, context, contexts, task, error))
        good = loop.run_until_complete(task)
        assert good is True, f"{name} came to a wrong result: {good!r}"
    except CLEAN as exc:
        outcome = type(exc).__name__
        if isinstance(exc, TimeoutError) and getattr(exc, "errno", None) is None:
            outcome = "hang"
        exc.__traceback__ = None
        del exc
    except asyncio.CancelledError:
        outcome = "told"
    failed = inject.fault_off()
    where = inject.fault_where().decode()
    assert outcome == "absorbed" or failed, f"{outcome} without a fault"
    if outcome == "hang" and error == errno.EAGAIN and where.startswith(("send", "write")):
        # Linux says so of a socket that is full, and tells when it no longer is;
        # of one that has room, and had before, it has nothing to tell.
        outcome = "absorbed"
    assert outcome != "hang", "it waits for ever"
    assert outcome == "absorbed" or not unnoticed(where, error) or failed > 1, outcome
    if loop is not None:
        cancel_all(loop)
        loop.run_until_complete(asyncio.wait_for(works(loop), LIMIT_S))
        loop.close()
    asyncio.set_event_loop(None)
    told = [context for context in contexts
            if not isinstance(context.get("exception"), (*CLEAN, asyncio.CancelledError))
            and "was destroyed" not in context["message"]
            and "never retrieved" not in context["message"]]
    assert not told, told
    gone = weakref.ref(loop) if loop is not None else lambda: None
    contexts.clear()
    del loop, contexts, told, task
    gc.collect()
    assert gone() is None, gc.get_referrers(gone())
    left = descriptors() - before
    assert not left, [os.readlink(f"/proc/self/fd/{fd}") for fd in left]
    assert not unraisable, unraisable
    return failed, where, outcome


def main(name, errors, first=0, period=0):
    """All calls of a scenario, for each of the errors."""
    faulthandler.enable()
    import warnings
    warnings.simplefilter("ignore")
    constants.ACCEPT_RETRY_DELAY = 0.01
    loop = kevent.new_event_loop()
    for _ in range(3):
        assert loop.run_until_complete(SCENARIOS[name](loop)) is True
    loop.close()
    del loop
    gc.collect()
    gc.freeze()
    failures = 0
    counts = collections.Counter()
    for text in errors.split(","):
        error = 0 if text == "short" else getattr(errno, text)
        quiet = 0
        after = first
        while quiet < QUIET:
            try:
                failed, where, outcome = once(name, after, error, period)
            except BaseException:
                print(f"{name}: {text} at call {after} "
                      f"({inject.fault_where().decode()})", flush=True)
                raise
            quiet = 0 if failed else quiet + 1
            failures += failed
            if failed:
                counts[where, outcome] += 1
            after += 1
    print(f"{name}: {failures} faults:",
          ", ".join(f"{where} {outcome} {count}"
                    for (where, outcome), count in sorted(counts.items())))
    assert failures or errors == "short", "nothing failed"
    print("survived", failures)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
