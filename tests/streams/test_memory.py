"""Nothing is kept alive after a connection, and an idle reader holds nothing."""
import asyncio
import gc
import sys
import tracemalloc
import weakref

import pytest

from kevent import _core, streams

ROUNDS = 30
KINDS = (_core.StreamReader, _core.StreamReaderProtocol, _core.StreamWriter)


def alive():
    """How many stream objects there are, of any kind."""
    gc.collect()
    return sum(isinstance(each, KINDS) or type(each).__name__ == "StreamOperation"
               for each in gc.get_objects())


async def serve():
    async def client(reader, writer):
        async for line in reader:
            writer.write(line)
            await writer.drain()
        writer.close()

    return await streams.start_server(client, "127.0.0.1", 0)


async def talk(server, references=None):
    reader, writer = await streams.open_connection(*server.sockets[0].getsockname())
    writer.write(b"line\n")
    assert await reader.readline() == b"line\n"
    waits = asyncio.create_task(reader.readexactly(100))
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.wait([waits])
    writer.close()
    await writer.wait_closed()
    if references is not None:
        references += map(weakref.ref, (reader, writer, writer._protocol, writer.transport))


def test_nothing_is_left_after_connections(run):
    """Readers, writers, protocols, transports and operations all go."""
    references = []

    async def main():
        server = await serve()
        for _ in range(ROUNDS):
            await talk(server, references)
        server.close()
        await server.wait_closed()

    before = alive()
    run(main())
    assert alive() == before
    assert len(references) == 4 * ROUNDS
    assert not [each for each in references if each() is not None]


def test_client_goes_without_the_collector(run):
    """A closed connection of a client is no reference cycle of ours."""
    async def main():
        server = await serve()
        reader, writer = await streams.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\n")
        await reader.readline()
        references = [weakref.ref(reader), weakref.ref(writer)]
        writer.close()
        await writer.wait_closed()
        for _ in range(3):
            await asyncio.sleep(0)
        gc.disable()
        try:
            del reader, writer
            await asyncio.sleep(0)
            assert [each() for each in references] == [None, None]
        finally:
            gc.enable()
        server.close()
        await server.wait_closed()

    run(main())


def test_cycles_are_found():
    """An operation that waits, its task and its reader are collected together."""
    loop = asyncio.SelectorEventLoop()
    try:
        before = alive()
        for _ in range(10):
            reader = streams.StreamReader(loop=loop)
            read = reader.read(1)
            future = read.send(None)
            future.add_done_callback(lambda _, read=read: read)
            reader.itself = reader
        reader = read = future = None
        assert alive() == before
    finally:
        loop.close()


def test_idle_reader_holds_no_memory():
    """A megabyte that was fed and read is given back."""
    loop = asyncio.SelectorEventLoop()
    reader = streams.StreamReader(loop=loop)

    def churn():
        for _ in range(10):
            for _ in range(4):
                reader.feed_data(bytes(1 << 18))
            read = reader.readexactly(1 << 20)
            with pytest.raises(StopIteration):
                read.send(None)

    try:
        tracemalloc.start()
        churn()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        churn()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
        loop.close()


def test_reference_counts_of_results():
    """Nothing but the caller has what a read returned, or raised."""
    loop = asyncio.SelectorEventLoop()
    try:
        reader = streams.StreamReader(loop=loop)
        for count in range(100):
            reader.feed_data(b"one line\n" * 3)
            for read in (reader.readline(), reader.read(3), reader.readuntil(b"\n"),
                         reader.readexactly(9)):
                with pytest.raises(StopIteration) as info:
                    read.send(None)
                value = info.value.value
                del info, read
        gc.collect()
        assert sys.getrefcount(value) <= 2
        names = [sys.getrefcount(each) for each in (None, True, b"\n")]
        for count in range(1000):
            reader.feed_data(b"x\n")
            read = reader.readline()
            try:
                read.send(None)
            except StopIteration:
                pass
        after = map(sys.getrefcount, (None, True, b"\n"))
        assert all(b - a < 50 for a, b in zip(names, after))
    finally:
        loop.close()


@pytest.mark.parametrize("method, arguments", [
    ("read", (5,)), ("read", ()), ("readline", ()), ("readuntil", (b"zz",)),
    ("readexactly", (7,)), ("__anext__", ())])
def test_operations_leave_no_blocks(method, arguments):
    """A thousand reads, waited for and not, cancelled and failed: no growth."""
    loop = asyncio.SelectorEventLoop()

    async def one(number):
        reader = streams.StreamReader(loop=loop)
        task = asyncio.ensure_future(getattr(reader, method)(*arguments))
        await asyncio.sleep(0)
        if number % 3 == 0:
            task.cancel()
        elif number % 3 == 1:
            reader.feed_data(b"abc")
            reader.feed_eof()
        else:
            reader.set_exception(KeyError(number))
        await asyncio.wait([task])
        task.cancelled() or task.exception()

    async def many(count):
        for number in range(count):
            await one(number)

    try:
        loop.run_until_complete(many(300))
        gc.collect()
        before = sys.getallocatedblocks()
        loop.run_until_complete(many(1000))
        gc.collect()
        assert sys.getallocatedblocks() - before < 200
    finally:
        loop.close()
