"""What read() and drain() return may serve again once it is over, which no program
can tell: each body runs with asyncio's streams and with ours, on both loops."""
import asyncio
import asyncio.streams
import gc
import types
import warnings
import weakref

import pytest

import kevent
from kevent import streams

from .test_feed import close, connect

KINDS = {"standard": asyncio.streams, "kevent": streams}
ROUNDS = 40


@pytest.fixture(params=KINDS)
def module(request):
    """asyncio's streams, or ours."""
    return KINDS[request.param]


async def answer(reader, writer, peer, number):
    """A line that is waited for, and one that is written."""
    asyncio.get_running_loop().call_soon(peer.send, b"%d\n" % number)
    assert await reader.readline() == b"%d\n" % number
    writer.write(b"%d\n" % number)
    await writer.drain()
    assert peer.recv(100) == b"%d\n" % number


def test_one_that_is_kept_is_over(run, module):
    """Those that a program keeps are over for good, whatever follows."""
    async def main():
        reader, writer, peer = await connect(module)
        kept = []
        for number in range(ROUNDS):
            kept += [reader.readline(), writer.drain()]
            asyncio.get_running_loop().call_soon(peer.send, b"line\n")
            assert await kept[-2] == b"line\n"
            await kept[-1]
            await answer(reader, writer, peer, number)
        assert len({id(each) for each in kept}) == len(kept)
        for each in kept:
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await each
            assert each.close() is None
        assert [each.__qualname__ for each in kept] == \
            ["StreamReader.readline", "StreamWriter.drain"] * ROUNDS
        await close(writer, peer)
    run(main())


def test_many_at_once(run, module):
    """Reads of many connections that end in one pass have each its own result."""
    async def main():
        connections = [await connect(module) for _ in range(ROUNDS)]
        for round in range(5):
            reads = [asyncio.ensure_future(reader.readline()) for reader, _, _ in connections]
            await asyncio.sleep(0)
            for number, (_, _, peer) in enumerate(connections):
                peer.send(b"%d of %d\n" % (number, round))
            assert await asyncio.gather(*reads) == \
                [b"%d of %d\n" % (number, round) for number in range(ROUNDS)]
        for _, writer, peer in connections:
            await close(writer, peer)
    run(main())


def test_one_that_is_never_awaited(run, module):
    """It says so, also where others were over before."""
    async def main():
        reader, writer, peer = await connect(module)
        for number in range(ROUNDS):
            await answer(reader, writer, peer, number)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                reader.readline()
                writer.drain()
                gc.collect()
            assert [str(each.message) for each in caught] == [
                "coroutine 'StreamReader.readline' was never awaited",
                "coroutine 'StreamWriter.drain' was never awaited"]
        await close(writer, peer)
    run(main())


def test_ends_of_every_kind(run, module):
    """Closed, thrown into, cancelled, failed: what comes next begins anew."""
    async def main():
        reader, writer, peer = await connect(module)
        for number in range(ROUNDS):
            closed = reader.readline()
            closed.send(None)
            closed.close()
            thrown = reader.readexactly(7)
            thrown.send(None)
            with pytest.raises(LookupError):
                thrown.throw(LookupError())
            cancelled = asyncio.ensure_future(reader.read(5))
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            with pytest.raises(ValueError):
                await reader.readexactly(-1)
            await answer(reader, writer, peer, number)
        await close(writer, peer)
    run(main())


def test_one_that_is_over_keeps_nobody(run, module):
    """A reader goes while an operation that is over is kept."""
    async def main():
        kept = []
        reader = module.StreamReader()
        reader.feed_data(b"line\n")
        kept.append(reader.readline())
        assert await kept[0] == b"line\n"
        reader.feed_eof()
        assert await reader.read() == b""
        gone = weakref.ref(reader)
        del reader
        assert gone() is None
    run(main())


def test_a_reader_that_ends_with_its_read(run, module):
    """The last one who has a reader is what reads from it."""
    async def main():
        def fed():
            reader = module.StreamReader()
            reader.feed_data(b"line\n")
            gone.append(weakref.ref(reader, lambda _: ended.append(len(gone))))
            return reader

        gone = []
        ended = []
        for number in range(ROUNDS):
            assert await fed().readline() == b"line\n"
            assert gone[-1]() is None and ended[-1] == number + 1
    run(main())


def test_the_arguments_of_results(run, module):
    """Those of the exception that ends a read are kept, and hashed, as any."""
    async def main():
        reader = module.StreamReader()
        kept = []

        def read(number):
            reader.feed_data(b"%d\n" % number)
            with pytest.raises(StopIteration) as caught:
                reader.readline().send(None)
            kept.append(caught.value.args)
            assert hash(kept[-1]) == hash((b"%d\n" % number,))

        async def await_one(number):
            reader.feed_data(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number

        for number in range(ROUNDS):
            await await_one(number)
            asyncio.get_running_loop().call_soon(read, number)
            await asyncio.sleep(0)
            await await_one(number)
        assert kept == [(b"%d\n" % number,) for number in range(ROUNDS)]
    run(main())


@types.coroutine
def by_hand(read):
    return (yield from read.__await__())


def test_yield_from(run, module):
    """An awaitable class of a program passes a read on with `yield from`."""
    async def main():
        reader, writer, peer = await connect(module)
        asyncio.get_running_loop().call_soon(peer.send, b"line\n")
        assert await by_hand(reader.readline()) == b"line\n"
        assert await by_hand(writer.drain()) is None
        await close(writer, peer)
    run(main())


# ---- what runs in the middle ----------------------------------------------------------


def test_a_future_that_cannot_be_awaited(run, module, monkeypatch):
    """create_future() of a program that makes none fails one read, no other."""
    class Thing:
        pass

    async def main():
        reader, other = module.StreamReader(), module.StreamReader()
        other.feed_data(b"line\n")
        made = []
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "create_future",
                          lambda: made.append(weakref.ref(thing := Thing())) or thing)
            with pytest.raises(TypeError):
                await reader.read(1)
        assert made[0]() is None
        assert await other.readline() == b"line\n"
    run(main())


def test_a_key_that_ends_the_loops_dict(run, module):
    """A key in vars(loop) may replace the dict while it is looked through."""
    class Key:
        def __hash__(self):
            return hash("call_soon")

        def __eq__(self, other):
            if armed and other == "call_soon":
                armed.clear()
                loop.__dict__ = dict(loop.__dict__)
            return False

    async def main():
        nonlocal loop
        loop = asyncio.get_running_loop()
        vars(loop).update({Key(): number for number in range(50)})
        reader = module.StreamReader()
        read = asyncio.ensure_future(reader.read(5))
        armed.append(True)
        await asyncio.sleep(0)
        reader.feed_data(b"hello")
        assert await read == b"hello"
        for key in [key for key in vars(loop) if type(key) is Key]:
            del vars(loop)[key]

    loop, armed = None, []
    run(main())


@pytest.mark.parametrize("base", [asyncio.SelectorEventLoop, kevent.EventLoop])
def test_a_loop_that_goes_in_the_middle(module, base):
    """The class of the loop, when it is asked, may take the loop from the reader."""
    class Meta(type):
        def __getattribute__(cls, name):
            if armed and name in ("get_debug", "create_future"):
                armed.clear()
                reader._loop = None
                gc.collect()
            return super().__getattribute__(name)

    class Loop(base, metaclass=Meta):
        pass

    armed = []
    loop = base()
    reader = module.StreamReader(loop=loop)
    read = reader.read(1)
    reader._loop = Loop()
    armed.append(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        waiter = read.send(None)
        assert isinstance(waiter.get_loop(), Loop)
        waiter.get_loop().close()
        read.close()
        del read, waiter
        gc.collect()
    loop.close()


@pytest.mark.parametrize("act", [
    lambda waiter: waiter._callbacks,
    lambda waiter: waiter.remove_done_callback(print),
    lambda waiter: waiter.add_done_callback(print),
], ids=["callbacks", "remove", "add"])
def test_the_collector_in_the_middle(act):
    """What the collector runs may end the wait while its future is looked at: in
    3.11, and with asyncio's future there that is the end of the process."""
    async def main():
        loop = asyncio.get_running_loop()
        for allocations in range(1, 40):
            reader = streams.StreamReader(loop=loop)
            read = reader.read(1)
            waiter = read.send(None)
            waiter.add_done_callback(str)

            def collected(phase, info):
                if phase == "start":
                    reader.feed_data(b"x")
                    read.close()

            gc.collect()
            kept = [[] for _ in range(100)]  # no list is free
            gc.callbacks.append(collected)
            threshold = gc.get_threshold()
            gc.set_threshold(gc.get_count()[0] + allocations, 1, 1)
            try:
                act(waiter)
            finally:
                gc.set_threshold(*threshold)
                gc.callbacks.remove(collected)
            del kept
            read.close()
            await asyncio.sleep(0)
    kevent.run(main())


def test_the_collector_and_a_new_operation(module):
    """... or take the reader's loop while a read is made."""
    for allocations in range(1, 20):
        loop = kevent.new_event_loop()
        reader = module.StreamReader(loop=loop)
        loop.close()
        del loop

        def collected(phase, info):
            reader._loop = None

        gc.collect()
        kept = [[] for _ in range(100)]
        gc.callbacks.append(collected)
        threshold = gc.get_threshold()
        gc.set_threshold(gc.get_count()[0] + allocations, 1, 1)
        try:
            read = reader.read(1)
        finally:
            gc.set_threshold(*threshold)
            gc.callbacks.remove(collected)
        del kept
        assert read.close() is None
