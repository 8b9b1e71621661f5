"""One loop under test by parameter, coroutine tests, and a guard around each.

A test is a coroutine function, or it takes `loop` (open, not running) or
`loop_factory`.  After it there are as many descriptors and threads as before,
and the loop's exception handler has been told nothing that the test did not
take out of `contexts`.

Every body runs on both loops.  Where asyncio's does something else the test
says what (`stdlib_differs`), and that its body fails there: it fails if it does
not.  No word of the marker is "asyncio", which `-k "not asyncio"` would find.
"""
import asyncio
import inspect

import pytest

from .helpers import LIMIT_S, nothing_left


def factory_of(name):
    """The loop factory of that name; without kevent the test fails."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    import kevent
    return kevent.new_event_loop


def pytest_generate_tests(metafunc):
    if "loop_name" in metafunc.fixturenames:
        metafunc.parametrize("loop_name", ["asyncio", "kevent"])


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "stdlib_differs(reason, raises=AssertionError, when=True, "
        "strict=True): on asyncio's loop, of those versions, the body raises "
        "that; strict=False: it may")


def stated(reason, raises=AssertionError, when=True, strict=True):
    return reason, raises, when, strict


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """The body fails where `stdlib_differs` says so, and only there.

    Not pytest's own mark xfail: that lets fixtures fail, too, but the guard
    stays."""
    marker = item.get_closest_marker("stdlib_differs")
    if marker is None or item.callspec.params["loop_name"] != "asyncio":
        return (yield)
    reason, raises, when, strict = stated(*marker.args, **marker.kwargs)
    if not when:
        return (yield)
    try:
        result = yield
    except raises as exc:
        item.funcargs["contexts"].clear()
        pytest.xfail(f"{reason} ({type(exc).__name__})")
        raise                          # pytest --runxfail wants to see it
    if strict:
        pytest.fail(f"does not fail on asyncio's loop, though: {reason}")
    return result


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
    with nothing_left():
        yield
    assert not contexts, f"unexpected calls of the handler: {contexts}"


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
