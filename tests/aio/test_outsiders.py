"""What other packages and tools touch: names with an underscore, types,
attributes of instances, asyncio's introspection."""
import asyncio
import os
import subprocess
import sys

import pytest

from .helpers import LIMIT_S, connected


def test_private_names(loop):
    """_ready, _scheduled, _stopping, _default_executor, ... are there."""
    assert len(loop._ready) == 0 and not loop._ready
    loop.call_soon(int)
    assert len(loop._ready) == 1
    assert loop._stopping is False
    loop.call_soon(lambda: seen.append((loop._stopping, loop._thread_id)))
    seen = []
    loop.call_soon(loop.stop)
    loop.call_soon(lambda: seen.append(loop._stopping))
    loop.run_forever()
    assert seen[0][0] is False and seen[0][1] and seen[1] is True
    assert loop._default_executor is None
    assert loop._executor_shutdown_called is False
    assert loop._closed is False and loop._debug is loop.get_debug()
    assert loop._exception_handler is not None
    loop.run_until_complete(loop.run_in_executor(None, int))
    assert loop._default_executor is not None


def test_ready_is_looked_into(loop):
    """Test tools walk over _ready and _scheduled, and clear them."""
    handle, timer = loop.call_soon(int), loop.call_later(50, int)
    assert list(loop._ready) == [handle]
    assert list(loop._scheduled) == [timer]
    loop._ready.clear()
    assert len(loop._ready) == 0
    timer.cancel()


def test_run_until_complete_callback(loop):
    """The root task's callback is asyncio's own object: anyio finds its root
    task by it."""
    from asyncio.base_events import _run_until_complete_cb
    found = []

    async def main():
        task = asyncio.current_task()
        found.extend(cb for cb, _ in task._callbacks)

    loop.run_until_complete(main())
    assert _run_until_complete_cb in found


@pytest.mark.parametrize("name", [
    "call_soon", "call_later", "call_at", "call_soon_threadsafe", "create_task",
    "run_in_executor", "add_reader", "getaddrinfo", "time", "stop"])
def test_methods_on_the_instance(loop, name):
    """A method can be replaced on the instance, and taken away again."""
    calls = []
    original = getattr(loop, name)

    def replaced(*arguments, **options):
        calls.append(name)
        return original(*arguments, **options)

    setattr(loop, name, replaced)
    assert loop.__dict__[name] is replaced
    loop.run_until_complete(asyncio.sleep(0.001))
    delattr(loop, name)
    assert getattr(loop, name) == original
    if name in ("call_soon", "call_at", "call_later", "create_task", "time"):
        assert calls


def test_attributes_of_ones_own(loop):
    """Loop, tasks and transports take attributes, and weak references."""
    import weakref
    loop.mine = 1
    assert loop.mine == 1 and weakref.ref(loop)() is loop


async def test_private_names_of_transports():
    """_sock, _sock_fd, _conn_lost, _loop, _protocol, _extra, _buffer size."""
    async with connected() as (ours, _):
        transport = ours.transport
        fd = transport.get_extra_info("socket").fileno()
        assert transport._sock_fd == fd == transport._sock.fileno()
        assert transport._conn_lost == 0
        assert transport._loop is asyncio.get_running_loop()
        assert transport._protocol is ours is transport.get_protocol()
        assert transport._extra["socket"].fileno() == fd
        transport.set_attribute = 1


async def test_server_private_names():
    """_sockets of a server, _stop_serving of the loop."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    assert len(server._sockets) == 1 and server._loop is loop
    loop._stop_serving(server._sockets[0])
    server._sockets = None
    server.close()


NEST = """
import asyncio, heapq
{imports}
# What nest_asyncio does: one iteration by hand, while the loop is running.
loop = {factory}()
async def inner():
    await asyncio.sleep(0.01)
    return 7
async def main():
    task = asyncio.ensure_future(inner())
    current = asyncio.current_task()
    asyncio.tasks._leave_task(loop, current)
    try:
        while not task.done():
            loop._run_once()
    finally:
        asyncio.tasks._enter_task(loop, current)
    return task.result()
print(loop.run_until_complete(main()), isinstance(loop, asyncio.BaseEventLoop))
loop.close()
"""


def run_program(text, loop_name, **options):
    kevent = loop_name == "kevent"
    text = text.format(
        imports="import kevent" if kevent else "",
        factory="kevent.new_event_loop" if kevent
        else "asyncio.SelectorEventLoop")
    return subprocess.run([sys.executable, "-c", text], text=True,
                          capture_output=True, timeout=LIMIT_S, **options)


def test_nested_iteration(loop_name):
    """_run_once by hand inside a callback, as nest_asyncio does it."""
    finished = run_program(NEST, loop_name)
    assert finished.stdout == "7 True\n", finished.stderr


# ---- tasks from outside ------------------------------------------------------

async def test_all_tasks():
    """all_tasks and current_task know the tasks of this loop."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(asyncio.sleep(100), name="sleeper")
    assert asyncio.all_tasks(loop) == {task, asyncio.current_task()}
    await asyncio.sleep(0)
    assert "sleeper" in repr(task) and task.get_stack()
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="swapping is 3.12's")
async def test_current_task_is_swapped():
    """_swap_current_task works on the running loop."""
    loop = asyncio.get_running_loop()
    mine = asyncio.current_task()
    other = asyncio.create_task(asyncio.sleep(0))
    assert asyncio.tasks._swap_current_task(loop, other) is mine
    assert asyncio.current_task() is other
    assert asyncio.tasks._swap_current_task(loop, mine) is other
    await other


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are 3.12's")
async def test_eager_tasks_are_current():
    """An eager task is the current one in its first step."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)

    async def work():
        return asyncio.current_task()

    task = asyncio.create_task(work())
    assert task.done() and task.result() is task
    loop.set_task_factory(None)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs are 3.14's")
async def test_call_graph():
    """capture_call_graph tells who waits for whom."""
    async def leaf():
        await asyncio.sleep(100)

    async def stem():
        async with asyncio.TaskGroup() as group:
            group.create_task(leaf(), name="leaf")

    task = asyncio.create_task(stem(), name="stem")
    await asyncio.sleep(0.001)
    leaf_task, = [each for each in asyncio.all_tasks()
                  if each.get_name() == "leaf"]
    graph = asyncio.capture_call_graph(leaf_task)
    assert graph.awaited_by[0].future is task
    assert "stem" in asyncio.format_call_graph(leaf_task)
    task.cancel()
    await asyncio.wait([task])


SLEEPER = """
import asyncio
{imports}
async def leaf():
    await asyncio.sleep(60)
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(), name="the leaf")
        await asyncio.sleep(0)
        print("up", flush=True)
with asyncio.Runner(loop_factory={factory}) as runner:
    runner.run(main())
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="ps and pstree are 3.14's")
@pytest.mark.parametrize("command", ["ps", "pstree"])
def test_from_another_process(loop_name, command):
    """`python -m asyncio ps PID` and `pstree` find the tasks."""
    kevent = loop_name == "kevent"
    text = SLEEPER.format(
        imports="import kevent" if kevent else "",
        factory="kevent.new_event_loop" if kevent
        else "asyncio.SelectorEventLoop")
    child = subprocess.Popen([sys.executable, "-c", text],
                             stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "up\n"
        finished = subprocess.run(
            [sys.executable, "-m", "asyncio", command, str(child.pid)],
            text=True, capture_output=True, timeout=LIMIT_S)
        assert "the leaf" in finished.stdout, finished
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
