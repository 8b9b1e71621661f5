"""The interpreter ends, and what is open ends with it: quietly, once, in time."""
import sys

import pytest

from .child import run


@pytest.mark.parametrize("debug", ["", "1"])
def test_everything_is_open(debug):
    """Servers, streams with unsent data, datagrams, pipes, readers, timers and
    tasks are open when the main thread ends."""
    run(f"""
    warnings.simplefilter("ignore")
    loop = kevent.new_event_loop()
    loop.set_debug({bool(debug)})
    asyncio.set_event_loop(loop)
    kept = loop.run_until_complete(open_everything())
    """)


def test_exit_within_a_callback():
    """SystemExit leaves a loop that has everything open, with its status."""
    out, err = run("""
    warnings.simplefilter("ignore")
    loop = kevent.new_event_loop()
    kept = loop.run_until_complete(open_everything())
    loop.call_soon(sys.exit, 7)
    loop.run_forever()
    """, status=7)
    assert not out


def test_run_closes_what_it_opened():
    """After kevent.run() there is no descriptor more, whatever was left open."""
    run("""
    warnings.simplefilter("ignore")
    def fds():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))
    async def main():
        await open_everything()
    kevent.run(main())
    before = fds()
    for _ in range(5):
        kevent.run(main())
    assert fds() == before, (fds(), before)
    """)


@pytest.mark.parametrize("daemon", [True, False])
def test_loop_runs_in_a_thread(daemon):
    """The main thread ends first: a daemon's loop ends with the process, at
    whatever it was; a thread that is none ends it in its own time."""
    out, _ = run(f"""
    warnings.simplefilter("ignore")
    started = threading.Event()
    async def main():
        kept = await open_everything()
        started.set()
        if {daemon}:
            while True:
                await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        print("the thread is done", flush=True)
    threads = [threading.Thread(target=kevent.run, args=(main(),), daemon={daemon})
               for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    print("main is done", flush=True)
    """)
    assert out.split("\n")[0] == "main is done"
    assert out.count("the thread is done") == (0 if daemon else 3)


def test_atexit_and_destructors():
    """A loop runs in an atexit function; destructors that run after it was
    closed, or after its module was taken apart, may call whatever they like."""
    out, _ = run("""
    import atexit
    warnings.simplefilter("ignore")
    loop = kevent.new_event_loop()
    kept = loop.run_until_complete(open_everything())
    atexit.register(lambda: print(loop.run_until_complete(asyncio.sleep(0.01, "late"))))
    class Late:
        def __init__(self, *things):
            self.things = things
        def __del__(self):
            for thing in self.things:
                for name in dir(thing):
                    try:
                        method = getattr(thing, name)
                        if callable(method) and not name.startswith("__") and name not in (
                                "run_forever", "_run", "_run_once", "run_until_complete"):
                            method()
                    except BaseException:
                        pass
    late = Late(loop, *kept)
    late.cycle = late
    sys.late = Late(loop, kevent.KeventSelector(), kevent.Queue(ring_size=4))
    """)
    assert out == "late\n"


def test_executor_threads_at_the_end():
    """Jobs of the executor that call back when the loop is closed, or gone, get
    an exception, and the interpreter waits for them."""
    out, _ = run("""
    import concurrent.futures
    def job(loop):
        time.sleep(0.3)
        try:
            loop.call_soon_threadsafe(print, "never")
        except RuntimeError as exc:
            sys.stdout.write(f"{exc}\\n")
    loop = kevent.new_event_loop()
    pool = concurrent.futures.ThreadPoolExecutor(4)
    jobs = [loop.run_in_executor(pool, job, loop) for _ in range(4)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    """)
    assert out == "Event loop is closed\n" * 4


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no such test module")
def test_threads_outlive_the_loop():
    """Threads that knock at a loop while it is closed: each is heard or told."""
    run("""
    for round in range(20):
        loop = kevent.new_event_loop()
        heard, told = [], []
        go = threading.Event()
        def knock():
            go.wait()
            for n in range(200):
                try:
                    loop.call_soon_threadsafe(heard.append, n)
                except RuntimeError:
                    told.append(n)
        threads = [threading.Thread(target=knock) for _ in range(3)]
        for thread in threads:
            thread.start()
        loop.call_soon(go.set)
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        loop.close()
        for thread in threads:
            thread.join()
        assert len(heard) + len(told) <= 600
    """)
