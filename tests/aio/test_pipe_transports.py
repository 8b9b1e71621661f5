"""The transports of connect_read_pipe() and connect_write_pipe(), one promise
after the other, on asyncio's loop and on ours."""
import asyncio
import contextlib
import errno
import gc
import logging
import os
import pty
import socket
import warnings

import pytest

from kevent import streams

from .helpers import Notes, turns

BIG = 1 << 20                           # bytes: no pipe holds as many


async def reading(protocol=Notes, pipe=None):
    """(transport, protocol, fd to write into)."""
    rfd, wfd = pipe or os.pipe()
    transport, made = await asyncio.get_running_loop().connect_read_pipe(
        protocol, open(rfd, "rb", 0))
    return transport, made, wfd


async def writing(protocol=Notes, pipe=None):
    """(transport, protocol, fd to read from)."""
    rfd, wfd = pipe or os.pipe()
    transport, made = await asyncio.get_running_loop().connect_write_pipe(
        protocol, open(wfd, "wb", 0))
    return transport, made, rfd


async def drained(fd, count):
    """So many bytes from a pipe that the loop writes into."""
    data = bytearray()
    os.set_blocking(fd, False)
    while len(data) < count:
        with contextlib.suppress(BlockingIOError):
            data += os.read(fd, 1 << 16)
        await asyncio.sleep(0)
    return bytes(data)


@contextlib.contextmanager
def reported():
    """What reaches the loop's exception handler."""
    contexts = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    try:
        yield contexts
    finally:
        loop.set_exception_handler(before)


# ---- reading ----------------------------------------------------------------


async def test_what_a_read_transport_says_of_itself():
    """Its repr, its pipe, whether it reads; pausing twice is as good as once."""
    transport, made, wfd = await reading()
    assert repr(transport).endswith(f"fd={transport._fileno} polling>")
    assert transport.get_extra_info("pipe") is transport._pipe
    assert transport.get_extra_info("nothing", 5) == 5
    assert transport.get_protocol() is made and transport.is_reading()
    transport.pause_reading()
    transport.pause_reading()
    assert not transport.is_reading() and repr(transport).endswith("idle>")
    transport.resume_reading()
    transport.resume_reading()
    assert transport.is_reading() and not transport.is_closing()
    transport.close()
    transport.close()
    assert transport.is_closing() and " closing " in repr(transport)
    assert await made.lost() is None
    assert repr(transport).endswith("closed>") and " closed " in repr(transport)
    assert made.calls == ["made", "lost"]
    os.close(wfd)


async def test_much_data_comes_whole():
    """More than one read holds, in order."""
    transport, made, wfd = await reading()
    data = os.urandom(BIG)
    writer = asyncio.get_running_loop().run_in_executor(
        None, lambda: open(wfd, "wb").write(data))
    assert await made.received(BIG) == data
    await writer
    assert await made.lost() is None
    assert made.calls == ["made", "data", "eof", "lost"]


async def test_the_protocol_may_change():
    """Data goes to the protocol that is set at the time."""
    transport, first, wfd = await reading()
    second = Notes()
    transport.set_protocol(second)
    os.write(wfd, b"x")
    assert await second.received(1) == b"x"
    assert first.calls == ["made"]
    os.close(wfd)
    assert await second.lost() is None


async def test_an_exception_of_data_received_is_reported():
    """The loop's handler is told, and the next data comes."""
    class Failing(Notes):
        def data_received(self, data):
            super().data_received(data)
            if data == b"bad":
                raise ZeroDivisionError

    transport, made, wfd = await reading(Failing)
    with reported() as contexts:
        os.write(wfd, b"bad")
        await made.received(3)
        await turns(3)
        os.write(wfd, b"good")
        assert await made.received(7) == b"badgood"
    assert [type(one["exception"]) for one in contexts] == [ZeroDivisionError]
    assert "_read_ready" in contexts[0]["message"]
    transport.close()
    await made.lost()
    os.close(wfd)


async def test_a_terminal_that_hangs_up():
    """The other side of a pseudo terminal is gone: EIO, which is not reported."""
    main, terminal = pty.openpty()
    os.set_blocking(main, False)
    transport, made = await asyncio.get_running_loop().connect_read_pipe(
        Notes, open(main, "rb", 0))
    with reported() as contexts:
        os.write(terminal, b"word\n")
        assert await made.received(6) == b"word\r\n"
        os.close(terminal)
        error = await made.lost()
    assert error.errno == errno.EIO and not contexts


async def test_a_read_that_fails_is_reported():
    """Any other error goes to the handler and is the end."""
    transport, made, wfd = await reading()
    number = transport._fileno
    directory = os.open(".", os.O_RDONLY)
    with reported() as contexts:
        os.dup2(directory, number)          # read() says EISDIR
        transport._read_ready()
        error = await made.lost()
    assert error.errno == errno.EISDIR
    assert contexts[0]["transport"] is transport
    assert contexts[0]["message"] == "Fatal read error on pipe transport"
    os.close(directory)
    os.close(wfd)


# ---- writing ----------------------------------------------------------------


async def test_what_a_write_transport_says_of_itself():
    """Its repr with what is buffered, its marks, its pipe."""
    transport, made, rfd = await writing()
    assert repr(transport).endswith(f"fd={transport._fileno} idle bufsize=0>")
    assert transport.get_extra_info("pipe") is transport._pipe
    assert transport.can_write_eof() and transport.get_write_buffer_size() == 0
    assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
    transport.write(bytes(BIG))
    left = transport.get_write_buffer_size()
    assert 0 < left < BIG and made.calls == ["made", "pause"]
    assert repr(transport).endswith(f" polling bufsize={left}>")
    transport.abort()
    assert transport.is_closing() and await made.lost() is None
    assert repr(transport).endswith("closed>")
    os.close(rfd)


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_what_is_buffered_is_written_before_the_end(end):
    """close() and write_eof() wait for the pipe, then the reader sees the end."""
    transport, made, rfd = await writing()
    data = os.urandom(BIG)
    transport.write(data[:1])
    transport.write(data[1:])
    getattr(transport, end)()
    getattr(transport, end)()
    transport.write(b"too late")
    assert await drained(rfd, BIG) == data
    assert await made.lost() is None
    assert os.read(rfd, 1) == b""
    assert made.calls[:2] == ["made", "pause"] and made.calls.count("lost") == 1
    os.close(rfd)


async def test_what_was_written_may_change():
    """A bytearray is copied as far as it is not written; so is a memoryview."""
    transport, made, rfd = await writing()
    data = bytearray(os.urandom(BIG))
    before = bytes(data)
    transport.write(data)
    data[:] = bytes(BIG)
    transport.write(memoryview(b"tail"))
    transport.write(b"")
    assert await drained(rfd, BIG + 4) == before + b"tail"
    transport.write(bytearray(b"small"))
    transport.write(memoryview(b"word"))
    assert os.read(rfd, 100) == b"smallword"
    transport.close()
    await made.lost()
    os.close(rfd)


@pytest.mark.parametrize("data", ["text", 5, None, [b"x"]])
async def test_wrong_data_is_refused(data):
    """What is no bytes is an AssertionError, and nothing is written."""
    transport, made, rfd = await writing()
    with pytest.raises(AssertionError):
        transport.write(data)
    with pytest.raises(TypeError):
        transport.write()
    transport.close()
    assert await made.lost() is None
    assert os.read(rfd, 1) == b""
    os.close(rfd)


async def test_the_reader_leaves():
    """Without anything buffered that is a good end, otherwise a broken pipe."""
    transport, made, rfd = await writing()
    os.close(rfd)
    assert await made.lost() is None
    transport, made, rfd = await writing()
    transport.write(bytes(BIG))
    os.close(rfd)
    assert isinstance(await made.lost(), BrokenPipeError)
    assert made.calls == ["made", "pause", "lost"]


async def test_writing_to_a_pipe_that_nobody_reads(caplog):
    """The error is the end; writes after it pass in silence, the sixth on with a
    warning."""
    transport, made, rfd = await writing()
    os.close(rfd)
    with reported() as contexts:
        transport.write(b"x")
        assert transport.is_closing()
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(4):
                transport.write(b"x")
            assert not caplog.records
            transport.write(b"x")
        assert "pipe closed by peer" in caplog.text
        assert isinstance(await made.lost(), BrokenPipeError)
    assert not contexts


async def test_exceptions_of_flow_control_are_reported():
    """pause_writing() and resume_writing() may raise; writing goes on."""
    class Failing(Notes):
        def pause_writing(self):
            super().pause_writing()
            raise ZeroDivisionError

        def resume_writing(self):
            super().resume_writing()
            raise ZeroDivisionError

    transport, made, rfd = await writing(Failing)
    with reported() as contexts:
        transport.write(bytes(BIG))
        await drained(rfd, BIG)
        await made.until(lambda: "resume" in made.calls)
    assert [one["message"] for one in contexts] == [
        "protocol.pause_writing() failed", "protocol.resume_writing() failed"]
    transport.close()
    await made.lost()
    os.close(rfd)


# ---- of either --------------------------------------------------------------


async def test_sockets_fifos_and_devices(tmp_path):
    """All that can be polled like a pipe is taken for one."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, made = await loop.connect_read_pipe(Notes, ours)
    theirs.sendall(b"socket")
    assert await made.received(6) == b"socket"
    theirs.close()
    assert await made.lost() is None and ours.fileno() == -1

    path = tmp_path / "fifo"
    os.mkfifo(path)
    rfd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    transport, made, wfd = await reading(pipe=(rfd, os.open(path, os.O_WRONLY)))
    os.write(wfd, b"fifo")
    assert await made.received(4) == b"fifo"
    os.close(wfd)
    assert await made.lost() is None

    main, terminal = pty.openpty()
    transport, made = await loop.connect_write_pipe(Notes, open(terminal, "wb", 0))
    transport.write(b"device")
    assert os.read(main, 100) == b"device"
    transport.close()
    assert await made.lost() is None
    os.close(main)


@pytest.mark.parametrize("end", ["read", "write"])
async def test_forgotten_transports_warn(end):
    """One that is dropped while it is open says so, and the pipe is closed."""
    transport, made, fd = await (reading if end == "read" else writing)()
    number = transport._fileno
    if end == "read":
        transport.pause_reading()
    else:
        asyncio.get_running_loop()._remove_reader(number)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made.transport = None
        del transport
        gc.collect()
    assert any(one.category is ResourceWarning and "unclosed transport" in str(one.message)
               for one in caught)
    with pytest.raises(OSError):
        os.fstat(number)
    os.close(fd)


async def test_debug_mode_tells(caplog):
    """Pausing, resuming and the end are logged."""
    asyncio.get_running_loop().set_debug(True)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        transport, made, wfd = await reading()
        transport.pause_reading()
        transport.resume_reading()
        os.close(wfd)
        await made.lost()
        transport, made, rfd = await writing()
        os.close(rfd)
        await made.lost()
    for word in ("pauses reading", "resumes reading"):
        assert word in caplog.text
    assert caplog.text.count("was closed by peer") == 2


# ---- streams ----------------------------------------------------------------


@pytest.fixture(params=["standard", "kevent"])
def module(request):
    """asyncio's streams, or ours."""
    return asyncio.streams if request.param == "standard" else streams


async def test_a_stream_reader_on_a_pipe(module):
    """The usual way to read lines from a pipe; its limit pauses the transport."""
    loop = asyncio.get_running_loop()
    reader = module.StreamReader(limit=1000, loop=loop)
    transport, _, wfd = await reading(
        lambda: module.StreamReaderProtocol(reader, loop=loop))
    os.write(wfd, b"one\ntwo\n")
    assert [await reader.readline(), await reader.readline()] == [b"one\n", b"two\n"]
    data = os.urandom(BIG)
    writer = loop.run_in_executor(None, lambda: open(wfd, "wb").write(data))
    while transport.is_reading():
        await asyncio.sleep(0)
    assert 2000 < len(reader._buffer) <= 2000 + 256 * 1024
    assert await reader.readexactly(BIG) == data
    assert await reader.read() == b""
    await writer
    transport.close()
    await turns(3)


async def test_the_streams_of_a_subprocess(module):
    """stdin and stdout, line by line; with kevent.streams installed they are its."""
    with streams.patched() if module is streams else contextlib.nullcontext():
        process = await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        assert isinstance(process.stdout, module.StreamReader)
        for number in range(50):
            line = b"%d\n" % number
            process.stdin.write(line)
            await process.stdin.drain()
            assert await process.stdout.readline() == line
        process.stdin.close()
        assert await process.stdout.read() == b""
        assert await process.wait() == 0
