"""`python -m tests.ecosystem.child FILE.FUNCTION ARGUMENT...`: runs a coroutine
function of tests/ecosystem/programs on a kevent loop.

The exception handler may not be called, and no descriptor stays open.
"""
import asyncio
import gc
import importlib
import os
import sys

import kevent


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def main(name, *arguments):
    file, function = name.split(".")
    module = importlib.import_module(f"tests.ecosystem.programs.{file}")
    function = getattr(module, function)
    told = []

    async def bounded():
        loop = asyncio.get_running_loop()
        assert type(loop) is kevent.EventLoop
        asked = bool(os.environ.get("PYTHONASYNCIODEBUG"))
        assert loop.get_debug() is asked
        loop.set_exception_handler(lambda _, context: told.append(context))
        await function(*arguments)

    before = descriptors()
    if getattr(function, "runs_itself", False):
        function(*arguments)
    else:
        kevent.run(bounded())
    gc.collect()
    assert not told, told
    assert descriptors() == before, os.listdir("/proc/self/fd")
    print("all of it")


main(*sys.argv[1:])
