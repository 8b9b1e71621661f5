"""Each test gets a loop by parameter: asyncio's own and ours."""
import asyncio

import pytest

import kevent

LIMIT_S = 60
FACTORIES = {"asyncio": asyncio.SelectorEventLoop, "kevent": kevent.new_event_loop}


@pytest.fixture(params=FACTORIES)
def loop_name(request):
    return request.param


@pytest.fixture
def run(loop_name):
    """run(main()) on the loop under test; nothing may reach its exception handler."""
    def call(main):
        contexts = []

        async def bounded():
            asyncio.get_running_loop().set_exception_handler(
                lambda loop, context: contexts.append(context))
            async with asyncio.timeout(LIMIT_S):
                result = await main
                # Before 3.12 a server does not wait for its clients' tasks.
                if others := asyncio.all_tasks() - {asyncio.current_task()}:
                    await asyncio.wait(others)
                return result

        with asyncio.Runner(loop_factory=FACTORIES[loop_name]) as runner:
            result = runner.run(bounded())
        assert not contexts
        return result
    return call
