"""What a reader uses again from wait to wait shows nowhere: each body here runs
with asyncio's streams and with ours, on both loops."""
import asyncio
import asyncio.streams
import contextvars
import gc
import socket
import weakref

import pytest

import kevent
from kevent import streams

KINDS = {"standard": asyncio.streams, "kevent": streams}
ROUNDS = 20


@pytest.fixture(params=KINDS)
def module(request):
    """asyncio's streams, or ours."""
    return KINDS[request.param]


@pytest.fixture
def feed(module):
    """async with feed() as (reader, peer): a connection and its other end."""
    return lambda: Connection(module)


class Connection:
    def __init__(self, module):
        self.module = module

    async def __aenter__(self):
        ours, self.peer = socket.socketpair()
        self.peer.setblocking(False)
        self.reader, self.writer = await self.module.open_connection(sock=ours)
        return self.reader, self.peer

    async def __aexit__(self, *exc):
        self.peer.close()
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


async def until(condition):
    """Passes of the loop until it holds."""
    while not condition():
        await asyncio.sleep(0)


async def waits(reader):
    """Until somebody waits for the reader; his future."""
    await until(lambda: reader._waiter is not None)
    return reader._waiter


async def talk(reader, peer, rounds=ROUNDS):
    """Lines that one task waits for, one after the other."""
    async def read():
        return [await reader.readline() for _ in range(rounds)]

    task = asyncio.create_task(read())
    expected = []
    for number in range(rounds):
        await waits(reader)
        expected.append(b"%d\n" % number)
        peer.send(expected[-1])
        await until(lambda: reader._waiter is None)
    assert await task == expected


def test_a_future_that_is_kept_stays_done(run, feed):
    """Who takes a wait's future out of the reader has it for himself."""
    async def main():
        async with feed() as (reader, peer):
            kept = []
            async def read():
                for _ in range(ROUNDS):
                    assert await reader.readline() == b"line\n"
            task = asyncio.create_task(read())
            for _ in range(ROUNDS):
                kept.append(await waits(reader))
                peer.send(b"line\n")
                await until(kept[-1].done)
            await task
            assert len(set(kept)) == ROUNDS
            assert {future.result() for future in kept} == {None}
    run(main())


def test_between_data_and_task_the_future_is_done(run, feed):
    """What the task waits for is done before the task goes on, each time."""
    async def main():
        async with feed() as (reader, peer):
            task = asyncio.create_task(talk_quietly(reader))
            for _ in range(ROUNDS):
                await until(lambda: task._fut_waiter is not None)
                peer.send(b"line\n")
                await until(lambda: task._fut_waiter is None or task._fut_waiter.done())
            await task
    run(main())


async def talk_quietly(reader):
    for _ in range(ROUNDS):
        assert await reader.readline() == b"line\n"


@pytest.mark.parametrize("cold", [0, 3])
def test_cancelled_between_data_and_task(run, feed, cold):
    """cancel() in the pass in which the data has come ends the read; the data
    stays."""
    async def main():
        async with feed() as (reader, peer):
            async def read():
                for _ in range(cold):
                    await reader.readline()
                await reader.readline()

            task = asyncio.create_task(read())
            for _ in range(cold):
                await waits(reader)
                peer.send(b"line\n")
                await until(lambda: reader._waiter is None)
            await waits(reader)
            waiter = reader._waiter
            peer.send(b"last\n")
            await until(waiter.done)
            task.cancel("reason")
            with pytest.raises(asyncio.CancelledError) as info:
                await task
            assert info.value.args == ("reason",)
            assert await reader.readline() == b"last\n"
    run(main())


def test_cancelled_without_data(run, feed):
    """A read that is cancelled leaves the reader as it was."""
    async def main():
        async with feed() as (reader, peer):
            for _ in range(3):
                await talk(reader, peer, 3)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.readline(), 0.001)
                assert reader._waiter is None
            await talk(reader, peer)
    run(main())


def test_many_tasks_read_in_turn(run, feed):
    """Each line may be another task's, in a context of its own."""
    async def main():
        which = contextvars.ContextVar("which")
        async with feed() as (reader, peer):
            async def read(number):
                which.set(number)
                line = await reader.readline()
                assert which.get() == number
                return line

            for number in range(ROUNDS):
                task = asyncio.create_task(read(number))
                await waits(reader)
                peer.send(b"%d\n" % number)
                assert await task == b"%d\n" % number
    run(main())


def test_a_finished_task_is_let_go(run, feed):
    """An open reader keeps no task that has read from it."""
    async def main():
        async with feed() as (reader, peer):
            task = asyncio.create_task(talk_quietly(reader))
            for _ in range(ROUNDS):
                await waits(reader)
                peer.send(b"line\n")
                await until(lambda: reader._waiter is None)
            await task
            gc.collect()
            gc.disable()
            try:
                reference = weakref.ref(task)
                del task
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert reference() is None
            finally:
                gc.enable()
    run(main())


def test_a_task_that_waits_for_others_is_let_go_of(run, feed):
    """A task that reads, then does other things, is not kept by the reader."""
    async def main():
        async with feed() as (reader, peer):
            over = asyncio.Event()

            async def read():
                await reader.readline()
                await over.wait()
                return await reader.readline()

            task = asyncio.create_task(read())
            await waits(reader)
            peer.send(b"line\n")
            await until(lambda: over._waiters)
            await asyncio.sleep(0)
            assert not [each for each in gc.get_referrers(task)
                        if isinstance(each, type(reader))]
            over.set()
            await waits(reader)
            peer.send(b"more\n")
            assert await task == b"more\n"
    run(main())


def test_others_wait_for_the_future_too(run, feed):
    """A callback of a program on the reader's future is called with it, after
    the task's."""
    async def main():
        async with feed() as (reader, peer):
            await talk(reader, peer, 3)
            calls = []

            async def read():
                await reader.readline()
                calls.append("task")
                assert await reader.readline() == b"line\n"

            task = asyncio.create_task(read())
            waiter = await waits(reader)
            waiter.add_done_callback(calls.append)
            peer.send(b"line\n")
            await until(lambda: len(calls) == 2)
            assert calls == ["task", waiter]
            del waiter, calls[:]
            await waits(reader)
            peer.send(b"line\n")
            await task
    run(main())


class MyTask(asyncio.Task):
    pass


@pytest.mark.parametrize("task_class", [MyTask, asyncio.tasks._PyTask])
def test_tasks_of_other_classes(run, feed, task_class):
    """A subclass of Task reads, and asyncio's Task in Python."""
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(
            lambda loop, coro, **kwargs: task_class(coro, loop=loop, **kwargs))
        async with feed() as (reader, peer):
            await talk(reader, peer)
        loop.set_task_factory(None)
    run(main())


@pytest.mark.parametrize("where", ["object", "class"])
def test_a_replaced_call_soon_is_called(run, feed, where, monkeypatch):
    """call_soon() of a program gets every wake-up from the moment it is there."""
    async def main():
        loop = asyncio.get_running_loop()
        calls = []
        original = type(loop).call_soon

        async with feed() as (reader, peer):
            await talk(reader, peer, 3)
            if where == "object":
                def call_soon(callback, *args, **kwargs):
                    calls.append(getattr(callback, "__name__", None))
                    return original(loop, callback, *args, **kwargs)
                monkeypatch.setattr(loop, "call_soon", call_soon)
            else:
                def call_soon(self, callback, *args, **kwargs):
                    calls.append(getattr(callback, "__name__", None))
                    return original(self, callback, *args, **kwargs)
                monkeypatch.setattr(type(loop), "call_soon", call_soon)
            await talk(reader, peer, 5)
            monkeypatch.undo()
            before = len(calls)
            await talk(reader, peer, 5)
            assert calls.count("task_wakeup") >= 5
            assert len(calls) == before
    run(main())


def test_a_replaced_create_future_is_called(run, feed, monkeypatch):
    """create_future() of a program makes every future that is waited for."""
    async def main():
        loop = asyncio.get_running_loop()
        made = []

        def create_future():
            made.append(asyncio.Future(loop=loop))
            return made[-1]

        async with feed() as (reader, peer):
            await talk(reader, peer, 3)
            monkeypatch.setattr(loop, "create_future", create_future)
            task = asyncio.create_task(talk_quietly(reader))
            for _ in range(ROUNDS):
                assert await waits(reader) in made
                peer.send(b"line\n")
                await until(lambda: reader._waiter is None)
            await task
            monkeypatch.undo()
    run(main())


def test_a_cancelled_handle_wakes_nobody(run, feed):
    """A program that cancels what is queued for the task is obeyed, and the
    next wait is whole again."""
    async def main():
        loop = asyncio.get_running_loop()
        async with feed() as (reader, peer):
            await talk(reader, peer, 3)
            task = asyncio.create_task(reader.readline())
            waiter = await waits(reader)
            peer.send(b"line\n")
            await until(waiter.done)
            queued = [handle for handle in list(loop._ready)
                      if getattr(handle._callback, "__self__", None) is task]
            assert len(queued) == 1
            wake = queued[0]._callback
            assert queued[0]._args == (waiter,)
            queued[0].cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            assert not task.done()
            loop.call_soon(wake, waiter)
            assert await task == b"line\n"
            del waiter, queued, wake, task
            await talk(reader, peer)
    run(main())


def test_debug_mode_may_begin_and_end(run, feed):
    """set_debug() between two waits."""
    async def main():
        loop = asyncio.get_running_loop()
        async with feed() as (reader, peer):
            for debug in (False, True, False, True):
                loop.set_debug(debug)
                await talk(reader, peer, 3)
            loop.set_debug(False)
            await talk(reader, peer, 3)
    run(main())


def test_lines_stay_what_they_were(run, feed):
    """Lines of one size that are kept, all or some of them, never change; nor
    what only a view or a hash remembers."""
    async def main():
        async with feed() as (reader, peer):
            kept, views, hashes = [], [], {}
            for number in range(400):
                sent = b"%0999d\n" % number
                peer.send(sent)
                line = await reader.readline()
                assert line == sent
                assert hash(line) == hash(sent)
                if number % 3 == 0:
                    kept.append((number, line))
                if number % 7 == 0:
                    views.append((number, memoryview(line)[900:]))
                if number % 11 == 0:
                    hashes[line] = number
            for number, line in kept:
                assert line == b"%0999d\n" % number
            for number, view in views:
                assert bytes(view) == b"%099d\n" % number
            for number in range(0, 400, 11):
                assert hashes[b"%0999d\n" % number] == number
    run(main())


def test_sizes_that_vary(run, feed):
    """After many lines of one size come others, shorter and longer."""
    async def main():
        async with feed() as (reader, peer):
            for size in [1000] * 10 + [999, 10, 1000, 1000, 5000, 1088, 1087, 1089] * 3:
                sent = b"x" * (size - 1) + b"\n"
                peer.send(sent)
                assert await reader.readline() == sent
                assert not reader._buffer
    run(main())


def test_the_exception_of_a_result_is_kept():
    """Who steps a read by hand may keep its StopIteration."""
    loop = kevent.new_event_loop()
    try:
        for kind in (streams.StreamReader, asyncio.StreamReader):
            reader = kind(loop=loop)
            kept = []
            for number in range(5):
                reader.feed_data(b"%d\n" % number)
                with pytest.raises(StopIteration) as info:
                    step = reader.readline()
                    if kind is streams.StreamReader:
                        next(step)
                    else:
                        step.send(None)
                kept.append(info.value)
            assert [each.value for each in kept] == [b"%d\n" % i for i in range(5)]
            assert [each.args for each in kept] == [(b"%d\n" % i,) for i in range(5)]
    finally:
        loop.close()
