"""fork() beside a living loop: the child is told, the parent notices nothing."""
import sys

import pytest

from .child import run

# In the child everything that can be done to the parent's loop, and the parent
# goes on with what it had.
BESIDE = """
    warnings.simplefilter("ignore")
    loop = kevent.new_event_loop()
    kept = loop.run_until_complete(open_everything())
    left, right = socket.socketpair()
    heard = []
    loop.add_reader(left, lambda: heard.append(left.recv(100)))

    def child(act):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                act()
                status = 0
            except BaseException as exc:
                os.write(2, repr(exc).encode())
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def parent_is_well():
        right.send(b"x")
        loop.run_until_complete(asyncio.sleep(0.05, "timer"))
        assert heard == [b"x"], heard
        heard.clear()
        assert not loop.is_closed() and not kept[0].is_closing()
"""


def test_child_is_told():
    """Running the parent's loop in the child raises OSError (EBADF), and says
    that the queue is another process's."""
    run(BESIDE + """
    def act():
        try:
            loop.run_until_complete(asyncio.sleep(0))
        except OSError as exc:
            assert exc.errno == 9, exc
        else:
            raise AssertionError("it ran")
    child(act)
    parent_is_well()
    """)


@pytest.mark.parametrize("how", [
    "loop.close()", "loop.remove_reader(left)", "kept[0].abort(); kept[2].abort()",
    "kept.clear(); gc.collect()", "loop.call_soon_threadsafe(print)",
    "loop.add_writer(right, print)", "loop.stop()",
])
def test_parent_does_not_notice(how):
    """Closing, watching, aborting, collecting in the child: the descriptors
    are shared, so what it does to them must not reach the parent's set."""
    run(BESIDE + f"""
    def act():
        try:
            {how}
        except OSError as exc:
            assert exc.errno == 9, exc
    child(act)
    parent_is_well()
    """)


def test_child_makes_its_own():
    """The child's own loop does all that a loop can, also with what it has
    inherited."""
    run(BESIDE + """
    def act():
        async def main():
            mine = await open_everything()
            one, two = socket.socketpair()
            reader, _ = await asyncio.open_connection(sock=one)
            two.send(b"line\\n")
            assert await reader.readline() == b"line\\n"
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(3)",
                                                           stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            assert out == b"3\\n" and process.returncode == 0
        asyncio.set_event_loop(None)
        kevent.run(main())
    for _ in range(2):
        child(act)
    parent_is_well()
    """)


def test_fork_of_a_fork():
    """A loop made in the child is dead in the grandchild, as the parent's is."""
    run(BESIDE + """
    def act():
        mine = kevent.new_event_loop()
        mine.run_until_complete(asyncio.sleep(0))
        def grandchild():
            for dead in (loop, mine):
                try:
                    dead.run_until_complete(asyncio.sleep(0))
                except OSError as exc:
                    assert exc.errno == 9
                else:
                    raise AssertionError
        child(grandchild)
        mine.run_until_complete(asyncio.sleep(0.01))
    child(act)
    parent_is_well()
    """)


def test_queue_and_selector():
    """The parent's Queue says that it is dead; the selector lives on in the
    child with a queue of its own."""
    run(BESIDE + """
    queue = kevent.Queue(ring_size=4)
    selector = kevent.KeventSelector()
    selector.register(left, 1, "data")
    def act():
        try:
            queue.get_events(0, 1, timeout=0)
        except OSError as exc:
            assert exc.errno == 9 and "parent" in str(exc), exc
        else:
            raise AssertionError
        one, two = socket.socketpair()
        selector.register(one, 1)
        two.send(b"x")
        assert [key.fileobj for key, _ in selector.select(5)] == [one]
        selector.close()
        queue.close()
    child(act)
    right.send(b"y")
    assert [key.data for key, _ in selector.select(5)] == ["data"]
    left.recv(1)
    parent_is_well()
    """)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 does not warn of threads")
def test_multiprocessing():
    """A pool of forked workers, each with a loop of its own, started out of a
    callback of the parent's."""
    run("""
    import multiprocessing
    warnings.simplefilter("ignore")
    def work(n):
        async def main():
            await asyncio.sleep(0.01)
            return n * n
        return kevent.run(main())
    def start():
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(work, range(6))
    async def main():
        return start()
    if __name__ == "__main__":
        assert kevent.run(main()) == [0, 1, 4, 9, 16, 25]
    """)
