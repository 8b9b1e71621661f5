"""Debug mode: what it refuses, logs and remembers, and warnings of what is
left open."""
import asyncio
import gc
import logging
import socket
import sys
import warnings

import pytest

from .helpers import on_socket, python


def test_slow_steps_of_tasks_and_streams(loop, caplog):
    """A slow step of a task, and a slow data_received, are logged."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.01

    def dawdle():
        end = loop.time() + 0.03
        while loop.time() < end:
            pass

    class Slow(asyncio.Protocol):
        def data_received(self, data):
            dawdle()
            done.set_result(None)

    async def main():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            transport, _ = await loop.create_connection(Slow, sock=ours)
            theirs.send(b"x")
            await done
            transport.close()
            dawdle()

    done = loop.create_future()
    with caplog.at_level(logging.WARNING, "asyncio"):
        loop.run_until_complete(main())
    slow = [record for record in caplog.records if "took" in record.message]
    assert len(slow) >= 2
    assert any("main" in record.message for record in slow)


def test_origin_of_a_coroutine(loop):
    """A coroutine that is never awaited knows where it was made; after the run
    Python's own setting is back."""
    loop.set_debug(True)
    seen = []

    async def main():
        seen.append(sys.get_coroutine_origin_tracking_depth())

    before = sys.get_coroutine_origin_tracking_depth()
    loop.run_until_complete(main())
    assert seen[0] > before == sys.get_coroutine_origin_tracking_depth()


async def test_future_and_task_know_their_origin():
    """In debug mode futures and tasks have a source traceback."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    future = loop.create_future()
    task = asyncio.ensure_future(asyncio.sleep(0))
    assert future._source_traceback and task._source_traceback
    assert "created at" in repr(future)
    future.cancel()
    await task


def test_timer_knows_its_origin(loop):
    """Timers, too, and their repr says when they are due."""
    loop.set_debug(True)
    timer = loop.call_later(50, print, 1)
    assert "when=" in repr(timer) and "created at" in repr(timer)
    assert timer._source_traceback[-1].filename == __file__
    handle = loop.call_soon(print, 2)
    for each in (timer, handle):
        each.cancel()
        assert repr(each).startswith(f"<{type(each).__name__} cancelled")
        assert "print(" in repr(each)


async def test_unclosed_transports_warn():
    """A stream transport that is dropped open is a ResourceWarning."""
    async with on_socket() as (made, _):
        transport = made.transport
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            type(transport).__del__(transport)


def test_threads_are_checked_in_debug_mode_only(loop):
    """call_soon from another thread: RuntimeError in debug mode, else taken."""
    import threading
    answers = []

    def other():
        try:
            loop.call_soon(int)
            answers.append(None)
        except RuntimeError as exc:
            answers.append(exc)

    async def main():
        for debug in (False, True):
            loop.set_debug(debug)
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    loop.run_until_complete(main())
    assert answers[0] is None and "thread" in str(answers[1])


@pytest.mark.parametrize("switch", ["environment", "flag"])
def test_switched_on_from_outside(loop_name, switch):
    """PYTHONASYNCIODEBUG=1 and -X dev turn it on."""
    factory = ("asyncio.SelectorEventLoop()" if loop_name == "asyncio"
               else "kevent.new_event_loop()")
    text = (f"import asyncio\n"
            f"{'import kevent' if loop_name == 'kevent' else ''}\n"
            f"loop = {factory}\nprint(loop.get_debug())\nloop.close()")
    arguments = ["-X", "dev"] * (switch == "flag")
    env = {"PYTHONASYNCIODEBUG": "1"} if switch == "environment" else {}
    finished = python(*arguments, "-c", text, env=env)
    assert finished.stdout == "True\n", finished.stderr


def test_no_warning_of_a_tidy_program(loop_factory):
    """Debug mode finds nothing to say of a program that closes what it opens."""
    async def main():
        async with on_socket() as (made, raw):
            raw.send(b"x")
            await made.received(1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with asyncio.Runner(debug=True, loop_factory=loop_factory) as runner:
            runner.run(main())
        gc.collect()
