"""sock_recv, sock_recv_into and sock_sendall: at once, later, never, again."""
import array
import asyncio
import gc
import inspect
import os
import socket
import weakref

import pytest

from .helpers import LIMIT_S

MIB = 1 << 20


@pytest.fixture
def pair():
    """Two connected non-blocking sockets."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def turns(count=3):
    """So many iterations."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_they_are_coroutines(pair):
    """Nothing happens before they are awaited, as with any coroutine."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    theirs.send(b"x")
    for call in (loop.sock_recv(ours, "no number"), loop.sock_recv_into(ours, 1),
                 loop.sock_sendall(ours, "no bytes")):
        assert asyncio.iscoroutine(call) and inspect.iscoroutinefunction(loop.sock_recv)
        with pytest.raises(TypeError):
            await call
    assert await loop.sock_recv(ours, 10) == b"x"


async def test_at_once_needs_no_iteration(pair):
    """What can be done is done before anybody else runs."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    ran = []
    loop.call_soon(ran.append, 1)
    theirs.send(b"data")
    buffer = bytearray(2)
    assert await loop.sock_recv(ours, 2) == b"da"
    assert await loop.sock_recv_into(ours, buffer) == 2 and buffer == b"ta"
    assert await loop.sock_sendall(ours, b"answer") is None
    assert ran == [] and theirs.recv(10) == b"answer"


async def test_later(pair):
    """Each message is waited for, one after the other and now and then."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    for number in range(50):
        task = loop.create_task(loop.sock_recv(ours, 100))
        await turns(number % 4 + 1)
        assert not task.done()
        theirs.send(b"%d" % number)
        assert await task == b"%d" % number
        await turns(number % 5)
    buffer = bytearray(8)
    task = loop.create_task(loop.sock_recv_into(ours, memoryview(buffer)[2:5]))
    await turns()
    theirs.send(b"abcdef")
    assert await task == 3 and buffer == b"\0\0abc\0\0\0"


async def test_end_and_reset():
    """The end is b"", a reset is ConnectionResetError, now and while waiting."""
    loop = asyncio.get_running_loop()
    for waits in (False, True):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            task = loop.create_task(loop.sock_recv(ours, 10))
            await turns(waits * 3)
            theirs.close()
            assert await task == b"" and await loop.sock_recv(ours, 10) == b""
            with pytest.raises(BrokenPipeError):
                await loop.sock_sendall(ours, b"x")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            ours.send(b"unread")
            task = loop.create_task(loop.sock_recv(ours, 10))
            await turns(waits * 3)
            theirs.close()
            with pytest.raises(ConnectionResetError):
                await task


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview,
                                  lambda data: memoryview(bytearray(data))[1:]])
async def test_more_than_the_socket_takes(pair, kind):
    """All of it is sent, in order, however long that takes."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    data = kind(os.urandom(4 * MIB))
    task = loop.create_task(loop.sock_sendall(ours, data))
    got = bytearray()
    while len(got) < len(data):
        got += await loop.sock_recv(theirs, 100_000)
    assert await task is None and got == bytes(data)


async def test_sizes(pair):
    """Zero, one, many, larger than any buffer; negative is refused."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    assert await loop.sock_recv(ours, 0) == b""
    assert await loop.sock_sendall(ours, b"") is None
    await loop.sock_sendall(theirs, bytes(1000))
    assert await loop.sock_recv(ours, 1) == b"\0"
    assert len(await loop.sock_recv(ours, 8 * MIB)) == 999
    with pytest.raises(ValueError):
        await loop.sock_recv(ours, -1)
    with pytest.raises(OverflowError):
        await loop.sock_recv(ours, 1 << 70)
    assert await loop.sock_recv_into(ours, bytearray()) == 0
    with pytest.raises((TypeError, BufferError)):
        await loop.sock_recv_into(ours, b"constant")


async def test_other_buffers(pair):
    """Whatever a socket's own methods take."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    numbers = array.array("b", [1, 2, 3])
    await loop.sock_sendall(theirs, numbers)
    into = array.array("i", [0, 0])
    assert await loop.sock_recv_into(ours, into) == 3
    assert into.tobytes()[:4] == b"\1\2\3\0"
    view = memoryview(b"x")
    view.release()
    with pytest.raises(ValueError):
        await loop.sock_sendall(ours, view)


async def test_the_buffer_may_change_while_it_waits(pair):
    """It is not held; the data that are sent are."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    buffer = bytearray()
    buffer.append(0)
    task = loop.create_task(loop.sock_recv_into(ours, buffer))
    await turns()
    buffer.extend(bytes(9))
    theirs.send(b"0123456789")
    assert await task == 10 and buffer == b"0123456789"
    data = bytearray(4 * MIB)
    task = loop.create_task(loop.sock_sendall(ours, data))
    await turns()
    with pytest.raises(BufferError):
        data.append(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    data.append(1)


async def test_cancelled(pair):
    """Nothing is lost, nothing is left: the next call gets the data."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    for sent_first in (False, True):
        task = loop.create_task(loop.sock_recv(ours, 10))
        await turns()
        if sent_first:
            theirs.send(b"data")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.remove_reader(ours) is False
        if not sent_first:
            theirs.send(b"data")
        assert await loop.sock_recv(ours, 10) == b"data"
    for _ in range(20):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.sock_recv(ours, 10), 0.0001)
    task = loop.create_task(loop.sock_recv(ours, 10))
    await turns()
    theirs.send(b"data")
    assert await task == b"data"


async def test_it_stands_where_a_reader_stands(pair):
    """While it waits remove_reader() takes it away, add_reader() replaces it."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    task = loop.create_task(loop.sock_recv(ours, 10))
    await turns()
    assert ours.fileno() in loop._selector.get_map()
    assert loop.remove_reader(ours) is True
    assert loop.remove_reader(ours) is False
    theirs.send(b"first")
    await turns()
    assert not task.done() and ours.recv(10) == b"first"
    task.cancel()
    await asyncio.wait([task])
    task = loop.create_task(loop.sock_recv(ours, 10))
    await turns()
    seen = loop.create_future()
    loop.add_reader(ours, lambda: seen.done() or seen.set_result(ours.recv(10)))
    theirs.send(b"second")
    assert await asyncio.wait_for(seen, LIMIT_S) == b"second"
    task.cancel()
    await asyncio.wait([task])
    await turns()
    loop.remove_reader(ours)
    await turns()
    assert ours.fileno() not in loop._selector.get_map()


async def test_reading_and_writing_at_once(pair):
    """A call of each kind waits on one socket, beside a reader as well."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    data = bytes(2 * MIB)
    sending = loop.create_task(loop.sock_sendall(ours, data))
    receiving = loop.create_task(loop.sock_recv(ours, 10))
    await turns()
    theirs.send(b"to you")
    assert await receiving == b"to you"
    got = 0
    seen = []
    loop.add_reader(ours, lambda: seen.append(ours.recv(10)))
    theirs.send(b"again")
    while got < len(data):
        got += len(await loop.sock_recv(theirs, MIB))
    await sending
    await turns()
    assert seen == [b"again"]
    theirs.send(b"once more")
    await turns(6)
    assert seen == [b"again", b"once more"]
    assert loop.remove_reader(ours) is True


async def test_a_number_that_is_used_again():
    """The socket is closed at once, its number goes to the next one."""
    loop = asyncio.get_running_loop()
    numbers = set()
    for number in range(20):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            numbers.add(ours.fileno())
            task = loop.create_task(loop.sock_recv(ours, 10))
            await turns(2)
            theirs.send(b"%d" % number)
            assert await task == b"%d" % number
    assert len(numbers) < 20


async def test_a_socket_under_the_same_number(pair):
    """os.dup2() puts another file there between two calls."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    others = socket.socketpair()
    with others[0], others[1]:
        others[0].setblocking(False)
        task = loop.create_task(loop.sock_recv(ours, 10))
        await turns()
        theirs.send(b"one")
        assert await task == b"one"
        os.dup2(others[0].fileno(), ours.fileno())
        task = loop.create_task(loop.sock_recv(ours, 10))
        await turns()
        others[1].send(b"two")
        assert await asyncio.wait_for(task, LIMIT_S) == b"two"


async def test_no_registration_is_left(pair):
    """A few iterations after the call the kernel watches nothing any more."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    task = loop.create_task(loop.sock_recv(ours, 10))
    await turns()
    theirs.send(b"x")
    await task
    await turns(4)
    polled = loop.fileno() if hasattr(loop, "fileno") else loop._selector.fileno()
    with open(f"/proc/self/fdinfo/{polled}") as info:
        assert f"tfd: {ours.fileno():8}" not in info.read()


async def test_a_socket_of_a_transport(pair):
    """Refused when it would have to wait."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    with pytest.raises(RuntimeError, match=f"File descriptor {ours.fileno()} is used by"):
        await loop.sock_recv(ours, 10)
    transport.close()
    await turns()


async def test_debug_wants_sockets_that_do_not_block(pair):
    """And only debug mode does."""
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    ours.setblocking(True)
    theirs.send(b"x")
    assert await loop.sock_recv(ours, 10) == b"x"
    loop.set_debug(True)
    for call in (loop.sock_recv(ours, 10), loop.sock_recv_into(ours, bytearray(1)),
                 loop.sock_sendall(ours, b"x")):
        with pytest.raises(ValueError, match="must be non-blocking"):
            await call
    ours.setblocking(False)
    task = loop.create_task(loop.sock_recv(ours, 10))
    await turns()
    theirs.send(b"y")
    assert await task == b"y"
    loop.set_debug(False)


async def test_closed_sockets(pair):
    """EBADF, as of the socket's own methods."""
    loop = asyncio.get_running_loop()
    ours, _ = pair
    ours.close()
    for call in (loop.sock_recv(ours, 10), loop.sock_recv_into(ours, bytearray(1)),
                 loop.sock_sendall(ours, b"x")):
        with pytest.raises(OSError, match="Bad file descriptor"):
            await call


def test_loop_closed_meanwhile(loop, pair):
    """A call that waits keeps nothing alive once its loop is closed."""
    ours, theirs = pair

    class Buffer(bytearray):
        pass

    buffer = Buffer(10)
    gone = weakref.ref(buffer)
    call = loop.sock_recv_into(ours, buffer)
    future = call.send(None)
    assert not future.done()
    loop.close()
    with pytest.raises(asyncio.CancelledError):
        call.throw(asyncio.CancelledError)
    with pytest.raises(RuntimeError, match="closed"):
        loop.sock_recv(ours, 10).send(None)
    theirs.send(b"x")
    with pytest.raises(StopIteration) as stop:
        loop.sock_recv(ours, 10).send(None)
    assert stop.value.value == b"x"
    del call, future, buffer
    gc.collect()
    assert gone() is None
