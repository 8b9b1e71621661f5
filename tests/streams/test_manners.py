"""What programs do with streams beyond reading: tasks, subclasses, attributes."""
import asyncio
import asyncio.streams as standard
import collections.abc
import copy
import gc
import inspect
import pickle
import re
import weakref

import pytest

from kevent import streams


@pytest.fixture
def loop():
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


@pytest.fixture
def reader(loop):
    return streams.StreamReader(loop=loop)


def finish(awaitable):
    """The result of something that need not wait."""
    with pytest.raises(StopIteration) as info:
        awaitable.send(None)
    return info.value.value


# ---- what read() returns ------------------------------------------------------


def test_nothing_happens_before_it_is_awaited(reader):
    """read() alone takes nothing out of the buffer."""
    reader.feed_data(b"data")
    read = reader.read(4)
    assert reader._buffer == b"data"
    assert finish(read) == b"data"
    assert not reader._buffer


def test_it_is_a_coroutine_to_asyncio(loop, reader):
    """Tasks, gather and shield take it."""
    reader.feed_data(b"a\nb\nc")
    assert asyncio.iscoroutine(reader_read := reader.readline())
    assert isinstance(reader_read, collections.abc.Coroutine)
    reader_read.close()

    async def main():
        task = asyncio.create_task(reader.readline(), name="line")
        assert "StreamReader.readline()" in repr(task)
        assert await task == b"a\n"
        assert await asyncio.gather(asyncio.shield(reader.readuntil()),
                                    asyncio.sleep(0)) == [b"b\n", None]
    loop.run_until_complete(main())


def test_awaited_once(reader):
    """A second await is refused, as of a coroutine."""
    reader.feed_data(b"ab")
    read = reader.read(1)
    assert finish(read) == b"a"
    with pytest.raises(RuntimeError, match="already awaited"):
        read.send(None)


def test_awaited_by_two(loop, reader):
    """While one awaits it, another cannot."""
    async def wait_for(read):
        return await read

    async def main():
        read = reader.read(1)
        first = asyncio.create_task(wait_for(read))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="being awaited already"):
            await read
        reader.feed_data(b"1")
        assert await first == b"1"
    loop.run_until_complete(main())


def test_never_awaited_warns(reader):
    """A forgotten await is told, as of a coroutine."""
    with pytest.warns(RuntimeWarning, match="'StreamReader.readline' was never awaited"):
        reader.readline()
        gc.collect()


def test_first_value_sent_must_be_none(reader):
    """send(1) to start with is a TypeError."""
    read = reader.read(1)
    with pytest.raises(TypeError, match="just-started"):
        read.send(1)
    read.close()


def test_throw_and_close(loop, reader):
    """Both end a read that waits, and another may wait then."""
    for end in (lambda read: read.close(), lambda read: read.throw(KeyError("thrown")),
                lambda read: read.throw(KeyError), lambda read: read.throw(KeyError, "v"),
                lambda read: read.throw(KeyError, ("v", 1)),
                lambda read: read.throw(KeyError, KeyError(1))):
        read = reader.read(1)
        assert read.send(None)._asyncio_future_blocking
        assert reader._waiter is not None
        try:
            end(read)
        except KeyError:
            pass
        assert reader._waiter is None
        with pytest.raises(RuntimeError, match="already awaited"):
            read.send(None)


def test_throw_before_the_start(reader):
    """throw() into a read that has not begun raises it."""
    read = reader.read(1)
    with pytest.raises(KeyError):
        read.throw(KeyError())


def test_throw_wants_an_exception(reader):
    """Anything else is a TypeError, and the read is over or not harmed."""
    read = reader.read(1)
    with pytest.raises(TypeError):
        read.throw(7)


def test_dropped_while_it_waits(reader):
    """A read that is forgotten while it waits gives its place free."""
    read = reader.read(1)
    read.send(None)
    del read
    gc.collect()
    assert reader._waiter is None


def test_second_reader_is_refused(reader):
    """Two reads cannot wait at once; the words name the method that
    waits, which for readline() is readuntil()."""
    first = reader.read(1)
    first.send(None)
    with pytest.raises(RuntimeError, match=r"readuntil\(\) called while another"):
        reader.readline().send(None)
    first.close()


def test_stop_iteration_is_no_result(reader):
    """A stored StopIteration does not end a read as if it were its value."""
    reader.set_exception(StopIteration(5))
    with pytest.raises(RuntimeError, match="StopIteration"):
        reader.read(1).send(None)


@pytest.mark.parametrize("separator", ["a", [b"a"], 5, None, 1.5])
def test_wrong_separator_is_refused_at_once(reader, separator):
    """A separator that is no bytes is a TypeError before any data has come."""
    with pytest.raises(TypeError):
        reader.readuntil(separator).send(None)


@pytest.mark.parametrize("arguments, keywords", [
    ((1, 2), {}), ((), {"m": 1}), ((1,), {"n": 1}), (("x",), {}), ((None,), {})])
def test_wrong_arguments(reader, arguments, keywords):
    """read() takes n and nothing else."""
    with pytest.raises(TypeError):
        finish(reader.read(*arguments, **keywords))


def test_arguments_by_name(reader):
    """n= and separator= are names that programs use."""
    reader.feed_data(b"a;bcd")
    assert finish(reader.readuntil(separator=b";")) == b"a;"
    assert finish(reader.read(n=1)) == b"b"
    assert finish(reader.readexactly(n=2)) == b"cd"


# ---- no copies ---------------------------------------------------------------


def test_whole_chunks_are_not_copied(reader):
    """What comes as one object and is read as a whole is the same object."""
    data = bytes(1000)
    for read in (reader.read(4096), reader.readexactly(1000)):
        reader.feed_data(data)
        assert finish(read) is data


def test_what_was_fed_may_change(reader):
    """A bytearray that is fed is copied."""
    data = bytearray(b"before")
    reader.feed_data(data)
    data[:] = b"after!"
    assert finish(reader.read(6)) == b"before"


def test_fed_by_an_iterable(reader):
    """As bytearray.extend() takes it."""
    reader.feed_data([65, 66])
    assert finish(reader.read(2)) == b"AB"
    with pytest.raises(TypeError):
        reader.feed_data(["x"])


# ---- attributes and subclasses --------------------------------------------------


def test_the_buffer_is_what_it_says(reader):
    """_buffer is a bytearray that can be changed, before and after feeding."""
    reader.feed_data(b"peek")
    buffer = reader._buffer
    assert isinstance(buffer, bytearray) and reader._buffer is buffer
    del buffer[:2]
    reader.feed_data(b"ed")
    assert buffer == b"eked"
    assert finish(reader.readexactly(3)) == b"eke"
    assert buffer == b"d"
    reader._buffer = bytearray(b"new\n")
    assert finish(reader.readline()) == b"new\n"


def test_a_view_of_the_buffer_forbids_reading(reader):
    """While somebody looks into _buffer it cannot be cut: BufferError, as
    bytearray has it, and nothing is lost."""
    reader.feed_data(b"data")
    with memoryview(reader._buffer):
        with pytest.raises(BufferError):
            reader.read(2).send(None)
    assert finish(reader.read(4)) == b"data"


def test_attributes_and_weak_references(loop, reader):
    """Readers, writers and protocols take attributes and weak references."""
    protocol = streams.StreamReaderProtocol(reader, loop=loop)
    for each in (reader, protocol):
        each.anything = each
        assert weakref.ref(each)() is each


def test_neither_copied_nor_pickled(reader):
    """As asyncio's, for they hold a loop."""
    for spoil in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            spoil(reader)


def test_is_an_asyncio_reader(loop, reader):
    """isinstance() of asyncio's classes holds."""
    assert isinstance(reader, streams._Reader)
    protocol = streams.StreamReaderProtocol(reader, loop=loop)
    assert isinstance(protocol, asyncio.Protocol)
    assert isinstance(protocol, streams._Protocol)


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_must_be_positive(loop, limit):
    """As asyncio says."""
    with pytest.raises(ValueError, match="Limit cannot be <= 0"):
        streams.StreamReader(limit, loop)


def test_limit_may_be_infinite(loop):
    """asyncio takes a float, and so do we."""
    reader = streams.StreamReader(float("inf"), loop)
    reader.feed_data(b"x" * (1 << 20) + b"\n")
    assert reader._limit == float("inf")
    assert len(finish(reader.readline())) == (1 << 20) + 1


def test_subclass_methods_are_used(loop):
    """Methods that asyncio's reader calls on itself may be overridden."""
    calls = []

    class Reader(streams.StreamReader):
        async def readuntil(self, separator=b"\n"):
            calls.append("readuntil")
            return await super().readuntil(separator)

        async def read(self, n=-1):
            calls.append("read")
            return await super().read(n)

        async def _wait_for_data(self, name):
            calls.append(name)
            await super()._wait_for_data(name)

        def feed_data(self, data):
            calls.append("feed_data")
            super().feed_data(data.upper())

    class Lines(streams.StreamReader):
        async def readline(self):
            return (await super().readline()).strip()

    async def main():
        reader = Reader(limit=4, loop=loop)
        protocol = streams.StreamReaderProtocol(reader, loop=loop)
        line = asyncio.create_task(reader.readline())
        await asyncio.sleep(0)
        protocol.data_received(b"a\n")
        assert await line == b"A\n"
        assert calls == ["readuntil", "readuntil", "feed_data"]
        reader.feed_data(b"too long\n")
        with pytest.raises(ValueError, match="limit"):
            await reader.readline()
        calls.clear()
        reader.feed_data(b"rest")
        reader.feed_eof()
        assert await Reader.__mro__[1].read(reader) == b"REST"
        assert calls == ["feed_data", "read", "read"]

        lines = Lines(loop=loop)
        lines.feed_data(b" a \n b ")
        lines.feed_eof()
        assert [line async for line in lines] == [b"a", b"b"]

    loop.run_until_complete(main())


def test_subclass_incomplete_line(loop):
    """readline() also understands what an overridden readuntil() raises."""
    class Reader(streams.StreamReader):
        async def readuntil(self, separator=b"\n"):
            raise self.what

    async def main():
        reader = Reader(loop=loop)
        reader.what = asyncio.IncompleteReadError(b"part", None)
        assert await reader.readline() == b"part"
        reader.feed_data(b"12345\nrest")
        reader.what = asyncio.LimitOverrunError("too long", 5)
        with pytest.raises(ValueError, match="too long"):
            await reader.readline()
        assert reader._buffer == b"rest"
        reader.what = KeyError("other")
        with pytest.raises(KeyError):
            await reader.readline()
        reader.what = asyncio.CancelledError()
        with pytest.raises(asyncio.CancelledError):
            await reader.readline()

    loop.run_until_complete(main())


def test_constructor_was_not_called(loop):
    """A subclass that forgets super().__init__() gets exceptions, no crash."""
    class Reader(streams.StreamReader):
        def __init__(self):
            pass

    class Protocol(streams.StreamReaderProtocol):
        def __init__(self):
            pass

    class Writer(streams.StreamWriter):
        def __init__(self):
            pass

        def __del__(self):
            pass

    reader = Reader()
    with pytest.raises(AttributeError):
        reader.read(1).send(None)
    reader.feed_data(b"x")
    assert finish(reader.read(1)) == b"x"
    protocol = Protocol()
    protocol.data_received(b"y")
    assert finish(protocol._drain_helper()) is None
    for call in (lambda w: w.write(b""), lambda w: w.writelines([]), lambda w: w.is_closing(),
                 lambda w: w.transport, lambda w: w.drain().send(None)):
        with pytest.raises(AttributeError):
            call(Writer())


# ---- drain() -------------------------------------------------------------------


class Transport(asyncio.Transport):
    """Takes everything and remembers whether it was closed."""

    closing = False

    def __init__(self):
        super().__init__()
        self.written = []

    def write(self, data):
        self.written.append(bytes(data))

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True


@pytest.fixture
def writer(loop, reader):
    protocol = streams.StreamReaderProtocol(reader, loop=loop)
    writer = streams.StreamWriter(Transport(), protocol, reader, loop)
    yield writer
    writer.close()


def test_drain_while_paused(loop, writer):
    """Several wait until the transport resumes; a cancelled one is forgotten."""
    protocol = writer._protocol

    async def main():
        await writer.drain()
        protocol.pause_writing()
        tasks = [asyncio.create_task(writer.drain()) for _ in range(3)]
        await asyncio.sleep(0)
        assert len(protocol._drain_waiters) == 3
        tasks[1].cancel()
        await asyncio.wait(tasks[1:2])
        assert len(protocol._drain_waiters) == 2
        protocol.resume_writing()
        await asyncio.gather(tasks[0], tasks[2])
        assert not protocol._drain_waiters

    loop.run_until_complete(main())


def test_drain_when_the_connection_is_lost(loop, writer):
    """Those who wait hear of it, and every later drain()."""
    protocol = writer._protocol

    async def main():
        protocol.pause_writing()
        task = asyncio.create_task(writer.drain())
        await asyncio.sleep(0)
        protocol.connection_lost(BrokenPipeError("gone"))
        with pytest.raises(BrokenPipeError):
            await task
        with pytest.raises(BrokenPipeError):
            await writer.drain()
        writer._reader._exception = None
        with pytest.raises(ConnectionResetError, match="Connection lost"):
            await writer.drain()
        assert isinstance(protocol._closed.exception(), BrokenPipeError)

    loop.run_until_complete(main())


def test_drain_on_another_protocol(loop, reader):
    """Subprocesses have protocols of their own: their _drain_helper() is used."""
    class Other(asyncio.Protocol):
        async def _drain_helper(self):
            await asyncio.sleep(0)
            raise KeyError("other")

    async def main():
        writer = streams.StreamWriter(Transport(), Other(), None, loop)
        with pytest.raises(KeyError):
            await writer.drain()
        writer.close()

    loop.run_until_complete(main())


def test_drain_lets_the_loop_run_once_closing(loop, writer):
    """On a closing transport drain() makes a pass of the loop first."""
    ran = []

    async def main():
        writer.close()
        loop.call_soon(ran.append, 1)
        await writer.drain()
        assert ran

    loop.run_until_complete(main())


# ---- as asyncio's: signatures, names, pickling -----------------------------------

FUNCTIONS = ("open_connection", "start_server", "open_unix_connection", "start_unix_server")
CLASSES = ("StreamReader", "StreamReaderProtocol", "StreamWriter")


def parameters(function):
    """Names, kinds and defaults, without annotations."""
    return [(one.name, one.kind, one.default)
            for one in inspect.signature(function).parameters.values()]


def instances(module, loop):
    """One of each class."""
    reader = module.StreamReader(loop=loop)
    protocol = module.StreamReaderProtocol(reader, loop=loop)
    return reader, protocol, module.StreamWriter(Transport(), protocol, reader, loop)


def test_signatures(loop):
    """Functions, classes and each public method take what asyncio's take, in the
    running version."""
    for name in (*FUNCTIONS, *CLASSES):
        assert parameters(getattr(streams, name)) == parameters(getattr(standard, name)), name
    for ours, theirs in zip(instances(streams, loop), instances(standard, loop)):
        for name in dir(theirs):
            method = getattr(theirs, name)
            if not name.startswith("_") and callable(method):
                assert parameters(getattr(ours, name)) == parameters(method), name
        assert set(dir(type(theirs))) <= set(dir(type(ours)))
        for each in (ours, theirs):
            if isinstance(each, standard.StreamWriter):
                each.close()


def test_every_argument_may_be_named(loop):
    """data=, n= and separator= are as good as places."""
    reader, protocol, writer = instances(streams, loop)
    protocol.data_received(data=b"a")
    reader.feed_data(data=b"b;c")
    writer.write(data=b"x")
    writer.writelines(data=[b"y"])
    assert writer.transport.written == [b"x", b"y"]
    assert finish(reader.readuntil(separator=b";")) == b"ab;"
    for call in (reader.feed_data, protocol.data_received, writer.write, writer.writelines):
        for arguments, keywords in (((), {}), ((b"", b""), {}), ((), {"other": b""}),
                                    ((b"",), {"data": b""})):
            with pytest.raises(TypeError):
                call(*arguments, **keywords)
    writer.close()


def test_repr_and_names(loop):
    """The repr is asyncio's, with what it says in each state."""
    pairs = list(zip(instances(streams, loop), instances(standard, loop)))
    for number, (ours, theirs) in enumerate(pairs):
        kind = type(theirs)
        assert (type(ours).__name__, type(ours).__qualname__) == (
            kind.__name__, kind.__qualname__)
        if number == 0:
            for reader in (ours, theirs):
                reader.feed_data(b"12345")
                reader.feed_eof()
                reader.set_exception(KeyError("x"))
                reader._paused = True
            assert repr(ours) == repr(theirs)
        if number == 2:
            def words(writer):
                return re.sub(r"0x[0-9a-f]+|kevent\.streams|asyncio\.streams", "", repr(writer))
            assert words(ours) == words(theirs)
            ours.close()
            theirs.close()


def test_none_is_a_coroutine_function(reader):
    """The one difference: inspect.iscoroutinefunction() says no of the methods that are
    awaited, and what they return is a Coroutine but not types.CoroutineType."""
    assert inspect.iscoroutinefunction(standard.StreamReader.read)
    assert not inspect.iscoroutinefunction(reader.read)
    read = reader.read()
    assert isinstance(read, collections.abc.Coroutine) and not inspect.iscoroutine(read)
    assert inspect.isawaitable(read) and asyncio.iscoroutine(read)
    read.close()


def test_pickled_as_theirs(loop):
    """asyncio's cannot be pickled, and ours cannot."""
    for each in (*instances(streams, loop), *instances(standard, loop)):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(each)
        if isinstance(each, standard.StreamWriter):
            each.close()


def test_a_copy_is_refused(reader):
    """copy.copy() of asyncio's gives two objects with one buffer; of ours it is a
    TypeError."""
    with pytest.raises(TypeError):
        copy.copy(reader)
