"""The future that a read waits for, and what a program may do with it and with
what is queued for it: each body runs with asyncio's streams and with ours, on
both loops."""
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


def test_a_method_put_into_the_dict(run, feed):
    """What a callback puts into vars(loop), which no setattr() sees, is called."""
    async def main():
        loop = asyncio.get_running_loop()
        calls = []

        def call_soon(callback, *args, **kwargs):
            calls.append(getattr(callback, "__name__", None))
            return type(loop).call_soon(loop, callback, *args, **kwargs)

        async with feed() as (reader, peer):
            await talk(reader, peer, 5)
            vars(loop)["call_soon"] = call_soon
            await talk(reader, peer, 5)
            vars(loop).pop("call_soon")
            assert calls.count("task_wakeup") >= 5
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


# ---- programs that look into a wait, or take part in it -----------------------


async def warm(reader, peer, work=3):
    """A task that reads lines for ever, after so many of them."""
    async def read():
        while await reader.readline():
            pass

    task = asyncio.create_task(read())
    for _ in range(work):
        await waits(reader)
        peer.send(b"line\n")
        await until(lambda: reader._waiter is None)
    await waits(reader)
    return task


async def ended(task):
    """It is cancelled, if it has not ended, and has ended."""
    task.cancel()
    await asyncio.wait([task])


class Same:
    """A callback that says that it is equal to every other."""

    def __init__(self, work):
        self.work = work

    def __call__(self, future):
        self.work("called")

    def __eq__(self, other):
        self.work("compared")
        return True

    __hash__ = None


def test_a_callback_that_equals_the_tasks(run, feed):
    """It is called, not taken for the task's, and not compared with it."""
    async def main():
        async with feed() as (reader, peer):
            task = await warm(reader, peer)
            calls = []
            reader._waiter.add_done_callback(Same(calls.append))
            peer.send(b"line\n")
            await until(lambda: calls)
            await waits(reader)
            assert calls == ["called"]
            await ended(task)
    run(main())


def test_get_debug_that_reads(run, module, feed, monkeypatch):
    """A get_debug() of a program's may read from the reader that is about to
    wait: each has a future of its own."""
    async def main():
        loop = asyncio.get_running_loop()
        async with feed() as (reader, peer):
            task = await warm(reader, peer)
            others = []

            def get_debug():
                if not others and asyncio.current_task() is task:
                    others.append(reader.read(5))
                    others.append(others[0].send(None))
                return False

            monkeypatch.setattr(loop, "get_debug", get_debug)
            peer.send(b"line\n")
            await until(lambda: others)
            monkeypatch.undo()
            assert others[1] is not task._fut_waiter
            task.cancel()
            await asyncio.sleep(0)
            others[0].close()
            await ended(task)
    run(main())


def test_a_read_closed_within_get_debug(run, feed, monkeypatch):
    """... or begin and end a read there."""
    async def main():
        loop = asyncio.get_running_loop()
        async with feed() as (reader, peer):
            task = await warm(reader, peer)
            done = []

            def get_debug():
                if not done and asyncio.current_task() is task:
                    done.append(True)
                    read = reader.read(5)
                    read.send(None)
                    read.close()
                return False

            monkeypatch.setattr(loop, "get_debug", get_debug)
            peer.send(b"line\n")
            await until(lambda: done)
            monkeypatch.undo()
            await ended(task)
    run(main())


def test_the_end_of_a_handle_that_begins_a_wait(run, feed):
    """A weak reference to a queued handle may read when the handle goes."""
    async def main():
        loop = asyncio.get_running_loop()
        async with feed() as (reader, peer):
            task = await warm(reader, peer)
            waiter = reader._waiter
            peer.send(b"line\n")
            await until(waiter.done)
            del waiter
            kept = []

            def again(_reference):
                try:
                    read = reader.read(5)
                    read.send(None)
                    kept.append(read)
                except RuntimeError:
                    kept.append(None)      # the task waits already

            references = [weakref.ref(handle, again) for handle in list(loop._ready)
                          if getattr(handle._callback, "__self__", None) is task]
            assert len(references) == 1
            await until(lambda: kept)
            await ended(task)
            if kept[0] is not None:
                kept[0].close()
            read = reader.read(5)
            read.send(None)
            read.close()
    run(main())


def test_a_cancelled_future_and_data(run, module):
    """A future that is cancelled before the data has come ends the read so."""
    async def main():
        reader = module.StreamReader(loop=asyncio.get_running_loop())
        read = reader.readline()
        read.send(None).cancel()
        reader.feed_data(b"line\n")
        with pytest.raises(asyncio.CancelledError):
            read.send(None)
        assert await reader.readline() == b"line\n"
    run(main())


def test_an_invalid_state_of_ones_own(run, module):
    """set_exception(InvalidStateError()) is raised as it is."""
    async def main():
        reader = module.StreamReader(loop=asyncio.get_running_loop())
        read = reader.readline()
        read.send(None)
        reader.set_exception(asyncio.InvalidStateError("mine"))
        with pytest.raises(asyncio.InvalidStateError, match="mine"):
            read.send(None)
    run(main())


class Message:
    pass


def test_the_message_of_a_cancellation_is_let_go(run, feed):
    """cancel(message) and then data: the reader keeps no part of it."""
    async def main():
        async with feed() as (reader, peer):
            task = await warm(reader, peer)
            message = Message()
            reference = weakref.ref(message)
            task.cancel(message)
            reader.feed_data(b"line\n")
            del message
            await asyncio.wait([task])
            del task
            await asyncio.sleep(0)
            gc.collect()
            assert reference() is None
    run(main())


def test_what_is_hung_on_a_future(run, feed):
    """Weak references and attributes belong to one wait."""
    async def main():
        async with feed() as (reader, peer):
            task = await warm(reader, peer)
            dead, references = [], []
            for number in range(5):
                waiter = reader._waiter
                assert not hasattr(waiter, "tag")
                waiter.tag = number
                references.append(weakref.ref(
                    waiter, lambda _reference, number=number: dead.append(number)))
                del waiter
                peer.send(b"line\n")
                await until(lambda: reader._waiter is None)
                await waits(reader)
            assert set(dead) >= {0, 1, 2, 3}
            await ended(task)
    run(main())


def test_a_context_for_one_wake_up(run, feed):
    """A program that gives a queued handle another context gives it to that
    one."""
    async def main():
        loop = asyncio.get_running_loop()
        which = contextvars.ContextVar("which", default="own")
        seen = []
        async with feed() as (reader, peer):
            async def read():
                while await reader.readline():
                    seen.append(which.get())

            task = asyncio.create_task(read())
            for number in range(5):
                waiter = await waits(reader)
                peer.send(b"line\n")
                await until(waiter.done)
                if number == 2:
                    other = contextvars.copy_context()
                    other.run(which.set, "other")
                    for handle in list(loop._ready):
                        if getattr(handle._callback, "__self__", None) is task:
                            handle._context = other
                    del handle
                del waiter
                await until(lambda: len(seen) > number)
            assert seen == ["own", "own", "other", "own", "own"]
            await ended(task)
    run(main())


class MyFuture(asyncio.Future):
    pass


def test_another_class_of_futures(run, feed, monkeypatch):
    """asyncio.futures.Future may be replaced between two waits."""
    async def main():
        async with feed() as (reader, peer):
            task = await warm(reader, peer)
            monkeypatch.setattr(asyncio.futures, "Future", MyFuture)
            await asyncio.sleep(0)
            peer.send(b"line\n")
            await until(lambda: reader._waiter is None)
            await waits(reader)
            expected = type(asyncio.get_running_loop().create_future())
            assert type(reader._waiter) is expected
            monkeypatch.undo()
            await ended(task)
    run(main())


# ---- reads that are stepped by hand -------------------------------------------


def step(read):
    """The result of a read that need not wait, by the iterator's protocol."""
    iterator = read if hasattr(read, "__next__") else read.__await__()
    try:
        next(iterator)
    except StopIteration as exc:
        return exc.value
    raise AssertionError("it waits")


class Tidy:
    """Does something at its end."""

    def __init__(self, work):
        self.work = work

    def __del__(self):
        self.work()


def test_a_result_is_not_anothers(run, module):
    """What ends with the exception of an earlier result may read, too."""
    async def main():
        loop = asyncio.get_running_loop()
        first, second = (module.StreamReader(loop=loop) for _ in range(2))
        got = []

        def peek():
            tidy = Tidy(lambda: got.append(step(second.read(100))))
            first.feed_data(b"peek")
            assert step(first.read(4)) == b"peek"
            return tidy is None

        for _ in range(3):
            second.feed_data(b"of the second")
            peek()
            first.feed_data(b"line\n")
            assert await first.readline() == b"line\n"
        gc.collect()
        assert got == [b"of the second"] * 3
    run(main())


def test_the_exception_of_a_result_keeps_nothing(run, module):
    """The frame that caught it, and its variables, go with it."""
    async def main():
        reader = module.StreamReader(loop=asyncio.get_running_loop())

        def peek():
            message = Message()
            reader.feed_data(b"peek")
            assert step(reader.read(4)) == b"peek"
            return weakref.ref(message)

        references = [peek() for _ in range(3)]
        await asyncio.sleep(0)
        gc.collect()
        assert [each() for each in references] == [None] * 3
    run(main())


def test_one_read_is_one_message(run, feed):
    """A large message after many of one size comes in one piece."""
    async def main():
        async with feed() as (reader, peer):
            for _ in range(12):
                peer.send(b"x" * 1000)
                assert len(await reader.read(65536)) == 1000
            peer.send(b"y" * 5000)
            assert len(await reader.read(65536)) == 5000
    run(main())


def test_the_name_in_an_error(run, module):
    """Two that read at once: the error names the method that waits."""
    async def main():
        loop = asyncio.get_running_loop()
        said = []
        for second in ("readline", "readuntil", "read", "__anext__", "readexactly"):
            reader = module.StreamReader(loop=loop)
            first = reader.read(1)
            first.send(None)
            other = getattr(reader, second)(*([3] if second == "readexactly" else []))
            with pytest.raises(RuntimeError) as info:
                other.send(None)
            said.append(str(info.value).split("(")[0])
            first.close()
        assert said == ["readuntil", "readuntil", "read", "readuntil", "readexactly"]
    run(main())


def test_a_subclass_that_waits(run, module):
    """_wait_for_data() of a subclass is told the name that asyncio tells."""
    names = []

    class Reader(module.StreamReader):
        async def _wait_for_data(self, func_name):
            names.append(func_name)
            self.feed_data(b"line\n")

    async def main():
        reader = Reader(loop=asyncio.get_running_loop())
        assert await reader.readline() == b"line\n"
        async for line in reader:
            assert line == b"line\n"
            break
    run(main())
    assert names == ["readuntil", "readuntil"]


def test_setattr_by_another_string(run, module, feed):
    """A method set by a name that is equal, not the same string, is called."""
    async def main():
        async with feed() as (reader, peer):
            await talk(reader, peer, 3)
            calls = []
            name = "".join(["feed", "_data"])
            original = reader.feed_data
            setattr(type(reader), "changed", 1)
            reader.__setattr__(name, lambda data: (calls.append(bytes(data)), original(data)))
            peer.send(b"line\n")
            assert await reader.readline() == b"line\n"
            assert calls == [b"line\n"]
            del type(reader).changed
    run(main())
