"""What other packages and tools touch: names with an underscore, types,
attributes of instances, asyncio's introspection."""
import asyncio
import heapq
import selectors
import socket
import subprocess
import sys
import threading

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


def iterating_by_itself(kind):
    """A loop whose iteration is made of _ready, _scheduled, _selector.select()
    and _process_events(), and which runs within itself: nest_asyncio's way."""
    class Nesting(kind):
        def _run_once(self):
            timers = self._scheduled
            while timers and timers[0]._cancelled:
                heapq.heappop(timers)
            timeout = None
            if self._ready or self._stopping:
                timeout = 0
            elif timers:
                timeout = max(0, timers[0]._when - self.time())
            self._process_events(self._selector.select(timeout))
            now = self.time() + self._clock_resolution
            while timers and timers[0]._when < now:
                self._ready.append(heapq.heappop(timers))
            for _ in range(len(self._ready)):
                if self._ready:            # else an inner run had them
                    self.run_handle(self._ready.popleft())

        def run_handle(self, handle):
            if handle._cancelled:
                return
            current = asyncio.current_task(self)
            if current:
                asyncio.tasks._leave_task(self, current)
            try:
                handle._run()
            finally:
                if current:
                    asyncio.tasks._enter_task(self, current)

        def run_nested(self, coroutine):
            task = self.create_task(coroutine)
            while not task.done():
                self._run_once()
            return task.result()

    return Nesting


@pytest.fixture
def nesting(loop_factory, contexts, guard):
    """Such a loop, open."""
    plain = loop_factory()
    plain.close()
    loop = iterating_by_itself(type(plain))()
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_an_iteration_of_ones_own(nesting):
    """Streams, threads and children work in a loop that iterates by itself,
    three runs deep."""
    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()
        await writer.wait_closed()

    async def ask(depth):
        if depth:
            return nesting.run_nested(ask(depth - 1))
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname())
            writer.write(b"line\n")
            line = await reader.readline()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        child = await asyncio.create_subprocess_exec(
            "echo", "child", stdout=subprocess.PIPE)
        out, _ = await child.communicate()
        return line, out, await asyncio.to_thread(threading.get_ident)

    line, out, ident = nesting.run_until_complete(ask(3))
    assert (line, out) == (b"LINE\n", b"child\n")
    assert ident != threading.get_ident()


def test_timers_of_an_iteration_of_ones_own(nesting):
    """Each timer runs once, in the order of the deadlines, also those that
    another run within it was there for; cancelled ones do not run."""
    seen = []
    start = nesting.time() + 0.01
    numbers = [(7 * n) % 64 for n in range(64)]
    timers = {n: nesting.call_at(start + n * 1e-4, seen.append, n)
              for n in numbers}
    gone = timers.pop(20)
    nesting.call_at(start + 5e-4 + 1e-5,
                    lambda: nesting.run_nested(asyncio.sleep(0.002)))
    nesting.call_at(start + 1e-3 + 1e-5, gone.cancel)
    nesting.run_until_complete(asyncio.sleep(0.05))
    assert seen == [n for n in range(64) if n != 20]
    assert nesting._scheduled == []


def test_a_thread_wakes_an_iteration_of_ones_own(nesting):
    """call_soon_threadsafe() ends a select() without a timeout."""
    asleep = threading.Event()
    thread = threading.Thread(target=lambda: (
        asleep.wait(LIMIT_S), nesting.call_soon_threadsafe(nesting.stop)))
    thread.start()
    nesting.call_soon(asleep.set)
    nesting.run_forever()
    thread.join()


def test_selector_of_a_loop(loop):
    """It tells what is watched, and for what; select() by hand takes nothing
    away from the loop."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        got = []
        loop.add_reader(ours, lambda: (
            got.append(ours.recv(9)), loop.remove_reader(ours), loop.stop()))
        key = loop._selector.get_map()[ours.fileno()]
        assert key.fd == ours.fileno() and key.events == selectors.EVENT_READ
        assert isinstance(key.data[0], asyncio.Handle) and key.data[1] is None
        assert loop._selector.get_key(ours) == key
        assert loop._selector.select(0) == []
        theirs.send(b"x")
        assert len(loop._selector.select(LIMIT_S)) == 1
        loop.run_forever()
        assert got == [b"x"]
        assert ours.fileno() not in loop._selector.get_map()
    selector = loop._selector
    loop.close()
    with pytest.raises((RuntimeError, ValueError, AttributeError)):
        selector.select(0)


@pytest.mark.stdlib_differs(
    "its selector is the one that waits: it can be added to, and tells of each "
    "descriptor", raises=pytest.fail.Exception)
def test_nothing_is_added_to_the_selector(loop):
    """register() and its like refuse; what is readable is the loop's queue."""
    selector = loop._selector
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for call in (selector.register, selector.modify, selector.unregister):
            with pytest.raises(NotImplementedError):
                call(ours, selectors.EVENT_READ)
        loop.add_reader(ours, ours.recv, 9)
        theirs.send(b"x")
        (key, mask), = selector.select(LIMIT_S)
        assert key.fd == loop.fileno() and mask == selectors.EVENT_READ
        loop.remove_reader(ours)


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
