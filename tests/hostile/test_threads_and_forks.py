"""Loops in the wrong thread, in a child, in a sub-interpreter, at exit."""
import sys

import pytest

from .child import run


def test_watching_from_another_thread():
    """Threads that add and remove readers and write to transports of a loop
    that sleeps: misuse that asyncio survives."""
    run("""
    loop = new_loop()
    server = Server(loop, Recorder)
    transports = []
    for _ in range(4):
        transports.append(connect(loop, Recorder()))
    stop = time.monotonic() + 1.5
    def meddle(n):
        left, right = socket.socketpair()
        right.send(b"x")
        transport, theirs = transports[n]
        theirs.setblocking(False)
        while time.monotonic() < stop:
            loop.add_reader(left, int)
            loop.add_writer(left, int)
            try:
                transport.write(b"x" * 100_000)
                theirs.recv(1_000_000)
            except OSError:
                pass
            loop.remove_writer(left)
            loop.remove_reader(left)
            loop.call_later(0.001, int)
    threads = [threading.Thread(target=meddle, args=(n,)) for n in range(4)]
    loop.call_later(1.7, loop.stop)
    for thread in threads:
        thread.start()
    loop.run_forever()
    for thread in threads:
        thread.join()
    for transport, theirs in transports:
        transport.abort()
    server.server.close()
    spin(loop)
    loop.close()
    """)


def test_second_thread_runs_the_loop():
    """_run_once(), _run() and _release() of a loop that another thread runs."""
    run("""
    loop = new_loop()
    started = threading.Event()
    def meddle():
        started.wait()
        for _ in range(200):
            raises(RuntimeError, loop._run_once)
            raises(RuntimeError, loop._run)
            raises(RuntimeError, loop._release)
            raises(RuntimeError, loop.close)
            time.sleep(0)
        loop.call_soon_threadsafe(loop.stop)
    thread = threading.Thread(target=meddle)
    thread.start()
    loop.call_soon(started.set)
    loop.call_later(0.01, int)
    loop.run_forever()
    thread.join()
    loop.close()
    """)


def test_fork_in_a_callback():
    """The child's loop says that it is dead; closing it there, and its
    transports, changes nothing for the parent."""
    run("""
    import warnings
    warnings.simplefilter("ignore")
    loop = new_loop()
    protocol = Recorder()
    transport, theirs = connect(loop, protocol)
    left, right = socket.socketpair()
    heard = []
    loop.add_reader(left, lambda: heard.append(left.recv(10)))
    timer = loop.call_later(0.2, heard.append, "timer")
    status = []
    def fork():
        pid = os.fork()
        if pid == 0:
            try:
                # the child: all of it, in the middle of a pass
                for act in (lambda: loop.remove_reader(left),
                            lambda: loop.add_reader(right, int)):
                    try:
                        act()
                    except OSError:
                        pass
                transport.abort()
                timer.cancel()
                try:
                    loop._run_once()
                except OSError as exc:
                    assert exc.errno == 9, exc
                else:
                    os._exit(3)
                os._exit(0)
            except BaseException as exc:
                os.write(2, repr(exc).encode())
                os._exit(4)
        status.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    loop.call_soon(fork)
    spin(loop)
    assert status == [0], status
    right.send(b"reader")
    theirs.send(b"stream")
    loop.call_later(0.4, loop.stop)
    loop.run_forever()
    assert heard == [b"reader", "timer"], heard
    assert protocol.data == b"stream", protocol.data
    transport.abort()
    loop.remove_reader(left)
    spin(loop)
    loop.close()
    """)


def test_fork_while_another_thread_waits():
    """A child forked beside a sleeping loop can close it, use what it
    watches (an error), and make loops of its own."""
    run("""
    import warnings
    warnings.simplefilter("ignore")
    loop = new_loop()
    left, right = socket.socketpair()
    heard = []
    loop.add_reader(left, lambda: (heard.append(left.recv(10)), loop.stop()))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    while not loop._watched() or not loop.is_running():
        time.sleep(0.001)
    time.sleep(0.05)
    pid = os.fork()
    if pid == 0:
        try:
            for act in (lambda: loop.add_reader(right, int), lambda: loop.remove_reader(left),
                        lambda: loop.add_writer(right, int)):
                try:
                    act()
                except OSError:
                    pass
            raises(RuntimeError, loop.close)
            raises(RuntimeError, loop._run_once)
            other = kevent.new_event_loop()
            spin(other)
            other.run_until_complete(asyncio.sleep(0.01))
            other.close()
            os._exit(0)
        except BaseException as exc:
            os.write(2, repr(exc).encode())
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    right.send(b"x")
    thread.join(10)
    assert heard == [b"x"], heard
    loop.close()
    """)


@pytest.mark.parametrize("daemon", [True, False])
def test_exit_with_everything_open(daemon):
    """The interpreter ends with loops running in threads, transports open,
    timers and handles queued."""
    run(f"""
    import atexit
    kept = []
    for _ in range(3):
        loop = new_loop()
        transport, theirs = connect(loop, Recorder())
        transport.write(b"x" * 1_000_000)
        loop.call_later(100, print, transport)
        loop.call_soon(print, loop)
        loop.add_reader(theirs, print)
        kept.append((loop, transport, theirs))
    if {daemon}:
        running = new_loop()
        running.call_later(1000, print)
        threading.Thread(target=running.run_forever, daemon=True).start()
        busy = new_loop()
        def again():
            busy.call_soon(again)
        again()
        threading.Thread(target=busy.run_forever, daemon=True).start()
        time.sleep(0.05)
    class Late:
        def __del__(self, kevent=kevent, kept=kept):
            for loop, transport, theirs in kept:
                for act in (transport.abort, lambda: loop.call_soon(int), loop._run_once,
                            lambda: repr(transport), loop.close):
                    try:
                        act()
                    except BaseException:
                        pass
    late = Late()
    late.self = late
    sys.late = Late()
    """)


def test_module_is_collected():
    """Everything of the package in one cycle, let go at once: types, module,
    loops, queues, selectors, handles; twice."""
    run("""
    import selectors
    for round in range(3):
        import kevent
        from kevent import _core
        loop = kevent.new_event_loop()
        loop.call_soon(print)
        loop.call_later(100, print)
        transport, theirs = connect(loop, Recorder())
        selector = kevent.KeventSelector()
        left, right = socket.socketpair()
        selector.register(left, selectors.EVENT_READ)
        selector.get_map()
        queue = kevent.Queue(ring_size=8)
        cycle = [loop, transport, selector, queue, loop._ready, _core,
                 loop.call_soon(print), loop.call_later(1, print), kevent.ukevent(1, 3)]
        cycle.append(cycle)
        selector.cycle = cycle
        loop.cycle = cycle
        fd = kevent.kevent_open()
        import warnings
        warnings.simplefilter("ignore")
        del loop, transport, selector, queue, cycle, _core
        for name in [name for name in sys.modules if name.split(".")[0] == "kevent"]:
            del sys.modules[name]
        if hasattr(asyncio.events, "_event_loop_policy"):
            asyncio.events._event_loop_policy = None
        del kevent
        globals().pop("_core", None)
        gc.collect()
        gc.collect()
    """)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no such test module")
def test_sub_interpreters():
    """100 sub-interpreters, one after the other, each with a loop that serves
    a connection, each ending with and without closing it."""
    run("""
    import textwrap
    try:
        import _interpreters as interpreters
        make = lambda: interpreters.create("legacy")
        execute = interpreters.run_string
    except ImportError:
        import _xxsubinterpreters as interpreters
        make = lambda: interpreters.create(isolated=False)
        execute = interpreters.run_string
    program = '''
    import asyncio, sys
    sys.path[:] = %r
    import kevent
    async def main():
        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"line\\\\n")
        assert await reader.readline() == b"line\\\\n"
        writer.close()
        server.close()
    kevent.run(main())
    left = kevent.new_event_loop()
    left.call_soon(print)
    left.call_later(100, print)
    selector = kevent.KeventSelector()
    queue = kevent.Queue(ring_size=4)
    ''' % sys.path
    import warnings
    warnings.simplefilter("ignore")
    for n in range(100):
        interpreter = make()
        failed = execute(interpreter, textwrap.dedent(program))
        assert failed is None, failed
        interpreters.destroy(interpreter)
    loop = new_loop()
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
    """)
