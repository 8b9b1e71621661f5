"""`python -m tests.ecosystem.child FILE.FUNCTION ARGUMENT...`: runs a coroutine
function of tests/ecosystem/programs on a kevent loop.

With KEVENT_TEST_STREAMS asyncio's streams are those of kevent.streams.  The
exception handler may not be called, and no descriptor stays open.
"""
import asyncio
import contextlib
import gc
import importlib
import os
import sys

import kevent
from kevent import streams


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def main(name, *arguments):
    file, function = name.split(".")
    module = importlib.import_module(f"tests.ecosystem.programs.{file}")
    function = getattr(module, function)
    told = []
    with_streams = bool(os.environ.get("KEVENT_TEST_STREAMS"))

    async def bounded():
        loop = asyncio.get_running_loop()
        assert type(loop) is kevent.EventLoop
        asked = bool(os.environ.get("PYTHONASYNCIODEBUG"))
        assert loop.get_debug() is asked
        assert (asyncio.StreamReader is streams.StreamReader) is with_streams
        loop.set_exception_handler(lambda _, context: told.append(context))
        await function(*arguments)

    before = descriptors()
    if getattr(function, "runs_itself", False):
        with streams.patched() if with_streams else contextlib.nullcontext():
            function(*arguments)
    else:
        kevent.run(bounded(), streams=with_streams)
    gc.collect()
    assert not told, told
    assert descriptors() == before, os.listdir("/proc/self/fd")
    print("all of it")


main(*sys.argv[1:])
