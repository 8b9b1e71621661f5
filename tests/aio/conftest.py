"""One loop under test by parameter, coroutine tests, and a guard around each.

A test is a coroutine function, or it takes `loop` (open, not running) or
`loop_factory`.  After it there are as many descriptors and threads as before,
and the loop's exception handler has been told nothing that the test did not
take out of `contexts`.
"""
import asyncio
import gc
import inspect
import os
import sys
import threading

import pytest

from .helpers import LIMIT_S


def factory_of(name):
    """The loop factory of that name; without kevent the test fails."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    import kevent
    return kevent.new_event_loop


def pytest_generate_tests(metafunc):
    """`loop_name` is both loops, or the one that the module or test names."""
    if "loop_name" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("only_kevent")
        alone = marker and sys.version_info >= marker.kwargs.get("since", ())
        names = ["kevent"] if alone else ["asyncio", "kevent"]
        metafunc.parametrize("loop_name", names)


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "only_kevent(reason, since=()): the stdlib's loop promises "
        "less here, from that version on")


@pytest.fixture
def loop_factory(loop_name):
    return factory_of(loop_name)


@pytest.fixture
def contexts():
    """What the exception handler was called with; a test takes what it wants
    by clearing it."""
    return []


@pytest.fixture(autouse=True)
def guard(loop_name, contexts):
    """Nothing is left behind: descriptors, threads, unhandled errors."""
    gc.collect()
    fds = open_fds()
    threads = set(threading.enumerate())
    yield
    gc.collect()
    left = {fd: what for fd, what in open_fds().items() if fd not in fds}
    assert not left, f"descriptors left open: {left}"
    more = [t for t in set(threading.enumerate()) - threads
            if not isinstance(t, threading._DummyThread)]
    assert not more, f"threads left running: {more}"
    assert not contexts, f"unexpected calls of the handler: {contexts}"


def open_fds():
    """{descriptor: what it is} of this process."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass                       # the one that listdir itself had open
    return found


@pytest.fixture
def loop(guard, loop_factory, contexts):
    """An open loop that is not running; closed after the test."""
    loop = loop_factory()
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    yield loop
    if not loop.is_closed():
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs a coroutine test on the loop under test, within LIMIT_S."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    contexts = pyfuncitem.funcargs["contexts"]

    async def bounded():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(
            lambda _, context: contexts.append(context))
        async with asyncio.timeout(LIMIT_S):
            await pyfuncitem.obj(**arguments)

    factory = factory_of(pyfuncitem.funcargs["loop_name"])
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(bounded())
    return True
