"""Sub-interpreters, each with loops of its own: made, used and destroyed."""
import functools
import os
import sys

import pytest

from .child import run

COUNT = int(os.environ.get("KEVENT_LIFE_INTERPRETERS", "16"))

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="3.11 has no such test module")

# create(own_gil), execute(interpreter, program), destroy(interpreter), with the
# name that the running version has for them; and what each of them runs.
INTERPRETERS = """
    import textwrap
    warnings.simplefilter("ignore")
    try:
        import _interpreters as interpreters
        def create(own_gil):
            return interpreters.create("isolated" if own_gil else "legacy")
    except ImportError:
        import _xxsubinterpreters as interpreters
        def create(own_gil):
            return interpreters.create(isolated=own_gil)
    destroy = interpreters.destroy
    def execute(interpreter, program):
        failed = interpreters.run_string(
            interpreter, f"import sys; sys.path[:] = {sys.path!r}\\n" + textwrap.dedent(program))
        assert failed is None, failed

    USE = '''
    import asyncio, selectors, socket, warnings
    warnings.simplefilter("ignore")
    import kevent
    async def main():
        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        assert isinstance(writer.transport, asyncio.Transport)
        writer.write(b"line\\\\n")
        assert await reader.readline() == b"line\\\\n"
        writer.close()
        server.close()
        await asyncio.gather(*(asyncio.sleep(n / 1e6) for n in range(10)))
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(int)
    kevent.run(main())
    loop = kevent.new_event_loop()
    # Of this interpreter's own classes, not of those of the first that came.
    assert isinstance(loop.call_soon(print, loop), asyncio.Handle)
    assert isinstance(loop.call_later(100, print, loop), asyncio.TimerHandle)
    selector = kevent.KeventSelector()
    left, right = socket.socketpair()
    selector.register(left, selectors.EVENT_READ)
    queue = kevent.Queue(ring_size=4)
    '''
    # The same with what CPython has.
    STANDARD = (USE.replace("import kevent\\n", "").replace("kevent.run", "asyncio.run")
                .replace("kevent.new_", "asyncio.new_")
                .replace("kevent.KeventSelector", "selectors.EpollSelector")
                .replace("kevent.Queue(ring_size=4)", "open('/dev/null')"))
    LEAVE = "loop.close(); selector.close(); queue.close()"

    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    def malloced():
        import ctypes
        class Info(ctypes.Structure):
            _fields_ = [(str(n), ctypes.c_size_t) for n in range(10)]
        try:
            ask = ctypes.CDLL(None).mallinfo2
        except AttributeError:
            return 0
        ask.restype = Info
        return getattr(ask(), "7")
    def fds():
        return len(os.listdir("/proc/self/fd"))
"""


@functools.cache
def asyncio_survives():
    """Whether this CPython can have asyncio alone in interpreters with a GIL of
    their own.  3.12.1 ends with "double free or corruption"."""
    try:
        run(INTERPRETERS + """
    for _ in range(6):
        interpreter = create(True)
        execute(interpreter, STANDARD + LEAVE)
        destroy(interpreter)
    """)
    except AssertionError:
        return False
    return True


@pytest.fixture(params=[False, True], ids=["shared GIL", "own GIL"])
def own_gil(request):
    """Whether the interpreters have a GIL of their own."""
    if request.param and not asyncio_survives():
        pytest.skip("asyncio alone crashes this CPython in such an interpreter")
    return request.param


def test_made_and_destroyed(own_gil):
    """One after the other, each ending with a loop, a selector and a queue
    open or closed: they cost no descriptor, and no memory beyond what
    interpreters cost that do the same without us.  `make life` makes 100."""
    run(INTERPRETERS + f"""
    def round(program):
        interpreter = create({own_gil})
        execute(interpreter, program)
        destroy(interpreter)
    def cost(programs, count):
        for program in programs * 3:
            round(program)
        before = resident(), malloced(), fds()
        for _ in range(count // len(programs)):
            for program in programs:
                round(program)
        return ((resident() - before[0]) / count, (malloced() - before[1]) / count,
                fds() - before[2])
    theirs, their_malloc, _ = cost([STANDARD, STANDARD + LEAVE], {COUNT})
    ours, our_malloc, descriptors = cost([USE, USE + LEAVE], {COUNT})
    assert descriptors <= 0, descriptors
    # What we ask malloc for all goes back: one loop alone has 50,000 bytes.
    assert our_malloc < their_malloc + 10_000, (their_malloc, our_malloc)
    # CPython keeps some of an interpreter's own memory, with each module and
    # class that it had: ours has a few more of those.
    assert ours < max(theirs, 0) * 1.2 + 300_000, (theirs, ours)
    kevent.run(asyncio.sleep(0.001))
    """)


def test_alive_at_once(own_gil):
    """Several at once, with loops that stay open from one use to the next, in
    any order; the main interpreter's loop among them."""
    run(INTERPRETERS + f"""
    loop = kevent.new_event_loop()
    all = [create({own_gil}) for _ in range(8)]
    for interpreter in all:
        execute(interpreter, USE)
    for _ in range(3):
        for interpreter in reversed(all):
            execute(interpreter, "loop.run_until_complete(asyncio.sleep(0.001))")
        loop.run_until_complete(asyncio.sleep(0.001))
    for interpreter in all[::2] + all[1::2]:
        destroy(interpreter)
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
    """)


def test_threads_with_a_gil_each():
    """Interpreters with a GIL of their own in threads of their own, at once."""
    if not asyncio_survives():
        pytest.skip("asyncio alone crashes this CPython in such an interpreter")
    run(INTERPRETERS + """
    def work():
        for _ in range(3):
            interpreter = create(True)
            execute(interpreter, USE + LEAVE)
            destroy(interpreter)
        done.append(1)
    done = []
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4
    """)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters came with 3.14")
def test_concurrent_interpreters():
    """The public module of 3.14, and its executor, with a loop in each worker."""
    run("""
    from concurrent import interpreters
    from concurrent.futures import InterpreterPoolExecutor
    interpreter = interpreters.create()
    interpreter.exec("import asyncio, kevent; kevent.run(asyncio.sleep(0.001))")
    interpreter.close()
    with InterpreterPoolExecutor(2) as pool:
        for _ in range(3):
            pool.submit(exec, "import asyncio, kevent; kevent.run(asyncio.sleep(0.001))").result()
    """)
