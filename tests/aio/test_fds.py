"""Readers and writers on any descriptor that can be polled."""
import asyncio
import gc
import os
import socket
import weakref

import pytest


@pytest.fixture
def pair():
    """Two connected non-blocking sockets."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def run_once(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def run_until(loop, predicate):
    """Iterations until the predicate holds; the tests' limit ends others."""
    def look():
        if predicate():
            loop.stop()
        else:
            loop.call_later(0.001, look)

    look()
    loop.run_forever()


def test_reader(loop, pair):
    """The reader is called with its arguments when there is data."""
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, lambda *args: seen.append((args, ours.recv(10))),
                    1, "two")
    run_once(loop)
    assert seen == []
    theirs.send(b"x")
    run_until(loop, lambda: seen)
    assert seen == [((1, "two"), b"x")]
    assert loop.remove_reader(ours) is True
    assert loop.remove_reader(ours) is False


def test_by_number_and_object(loop, pair):
    """The descriptor's number and its object mean the same."""
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, seen.append, "object")
    loop.add_reader(ours.fileno(), lambda: seen.append(ours.recv(9)))
    theirs.send(b"x")
    run_until(loop, lambda: seen)
    assert seen == [b"x"]
    assert loop.remove_reader(ours.fileno())
    assert not loop.remove_reader(ours)


def test_level_triggered(loop, pair):
    """A reader that leaves data unread is called again."""
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, lambda: seen.append(ours.recv(1)))
    theirs.send(b"abc")
    run_until(loop, lambda: len(seen) >= 3)
    assert seen == [b"a", b"b", b"c"]
    loop.remove_reader(ours)


def test_level_triggered_without_reading(loop, pair):
    """Also if it reads nothing at all."""
    ours, theirs = pair
    calls = []
    loop.add_reader(ours, calls.append, 1)
    theirs.send(b"x")
    run_until(loop, lambda: len(calls) >= 5)
    loop.remove_reader(ours)


def test_writer(loop, pair):
    """A writer is called while there is room, and no more once removed."""
    ours, theirs = pair
    calls = []
    loop.add_writer(ours, calls.append, 1)
    run_until(loop, lambda: len(calls) >= 3)
    assert loop.remove_writer(ours) is True
    assert loop.remove_writer(ours) is False
    count = len(calls)
    run_once(loop)
    assert len(calls) == count


def test_full_writer_waits(loop, pair):
    """A writer on a full socket is called when the peer has read."""
    ours, theirs = pair
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    calls = []
    loop.add_writer(ours, calls.append, 1)
    run_once(loop)
    assert calls == []
    with pytest.raises(BlockingIOError):
        while True:
            theirs.recv(1 << 20)
    run_until(loop, lambda: calls)
    loop.remove_writer(ours)


def test_reader_and_writer_on_one_descriptor(loop, pair):
    """They come and go independently."""
    ours, theirs = pair
    reads, writes = [], []
    loop.add_reader(ours, lambda: reads.append(ours.recv(9)))
    loop.add_writer(ours, writes.append, 1)
    theirs.send(b"x")
    run_until(loop, lambda: reads and writes)
    assert loop.remove_writer(ours)
    count = len(writes)
    theirs.send(b"y")
    run_until(loop, lambda: len(reads) == 2)
    assert len(writes) == count
    loop.add_writer(ours, writes.append, 2)
    assert loop.remove_reader(ours)
    theirs.send(b"z")
    run_until(loop, lambda: 2 in writes)
    assert reads == [b"x", b"y"]
    assert loop.remove_writer(ours)


def test_replace(loop, pair):
    """A second add_reader replaces the first and frees it."""
    class Callback:
        def __call__(self):
            raise AssertionError("replaced")

    ours, theirs = pair
    first, seen = Callback(), []
    ref = weakref.ref(first)
    loop.add_reader(ours, first)
    loop.add_reader(ours, lambda: seen.append(ours.recv(9)))
    del first
    gc.collect()
    assert ref() is None
    theirs.send(b"x")
    run_until(loop, lambda: seen)
    loop.remove_reader(ours)


def test_remove_frees(loop, pair):
    """remove_reader lets go of the callback and its arguments."""
    class Thing:
        pass

    ours, _ = pair
    thing = Thing()
    ref = weakref.ref(thing)
    loop.add_reader(ours, print, thing)
    del thing
    loop.remove_reader(ours)
    gc.collect()
    assert ref() is None


def test_removal_inside_the_callback(loop, pair):
    """A reader can remove itself, and is not called again."""
    ours, theirs = pair
    seen = []

    def read():
        seen.append(loop.remove_reader(ours))

    loop.add_reader(ours, read)
    theirs.send(b"x")
    run_until(loop, lambda: seen)
    run_once(loop)
    run_once(loop)
    assert seen == [True]


def test_replacement_inside_the_callback(loop, pair):
    """A reader can put another in its place."""
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, lambda: loop.add_reader(
        ours, lambda: seen.append(ours.recv(9))))
    theirs.send(b"x")
    run_until(loop, lambda: seen)
    assert seen == [b"x"]
    loop.remove_reader(ours)


def test_removed_by_another_of_the_same_iteration(loop):
    """Of two ready readers that each remove the other only one is called."""
    a, b = socket.socketpair()
    c, d = socket.socketpair()
    seen = []
    with a, b, c, d:
        for sock, other in ((a, c), (c, a)):
            loop.add_reader(sock, lambda s=sock, o=other: (
                seen.append(s), loop.remove_reader(o), s.recv(1)))
        b.send(b"x")
        d.send(b"x")
        run_until(loop, lambda: seen)
        run_once(loop)
        run_once(loop)
        assert len(seen) == 1
        loop.remove_reader(seen[0])


def test_closed_by_another_and_its_number_reused(loop):
    """An event of a closed descriptor never reaches the one that took over
    its number in the same iteration."""
    a, b = socket.socketpair()
    c, d = socket.socketpair()
    seen, fresh = [], []

    def swap(other):
        number = other.fileno()
        loop.remove_reader(other)
        other.close()
        new = socket.socketpair()
        fresh.extend(new)
        taken = next((s for s in new if s.fileno() == number), None)
        assert taken is not None
        loop.add_reader(taken, seen.append, "stale event")

    for sock, other in ((a, c), (c, a)):
        loop.add_reader(sock, lambda s=sock, o=other: (
            loop.remove_reader(s), swap(o)))
    b.send(b"x")
    d.send(b"x")
    run_until(loop, lambda: fresh)
    run_once(loop)
    run_once(loop)
    assert seen == []
    for sock in fresh:
        loop.remove_reader(sock)
    for sock in (a, b, c, d, *fresh):
        sock.close()


def test_number_used_again(loop):
    """A number that was removed, closed and reused is watched anew."""
    for _ in range(50):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            seen = []
            loop.add_reader(ours, lambda: seen.append(ours.recv(9)))
            theirs.send(b"x")
            run_until(loop, lambda: seen)
            assert loop.remove_reader(ours)


def test_peer_close_wakes_the_reader(loop, pair):
    """The end of the stream is readable."""
    ours, theirs = pair
    seen = []
    loop.add_reader(ours, lambda: (seen.append(ours.recv(9)),
                                   loop.remove_reader(ours)))
    theirs.close()
    run_until(loop, lambda: seen)
    assert seen == [b""]


def test_pipe_ends(loop):
    """Pipes: the writer's end hears that the reader has gone."""
    rfd, wfd = os.pipe()
    seen = []
    loop.add_reader(wfd, seen.append, "closed")
    run_once(loop)
    assert seen == []
    os.close(rfd)
    run_until(loop, lambda: seen)
    loop.remove_reader(wfd)
    os.close(wfd)


def test_error_in_a_reader(loop, pair, contexts):
    """An exception goes to the handler; the reader stays."""
    ours, theirs = pair
    seen = []

    def read():
        seen.append(ours.recv(1))
        raise ValueError("reader")

    loop.add_reader(ours, read)
    theirs.send(b"ab")
    run_until(loop, lambda: len(seen) == 2)
    assert [type(c["exception"]) for c in contexts] == [ValueError] * 2
    contexts.clear()
    loop.remove_reader(ours)


def test_reader_runs_in_the_context_of_add(loop, pair):
    """The callback runs in the context in which it was added."""
    import contextvars
    var = contextvars.ContextVar("var", default="unset")
    ours, theirs = pair
    seen = []

    def add():
        var.set("mine")
        loop.add_reader(ours, lambda: seen.append((var.get(), ours.recv(1))))

    contextvars.copy_context().run(add)
    theirs.send(b"x")
    run_until(loop, lambda: seen)
    assert seen[0][0] == "mine"
    loop.remove_reader(ours)


@pytest.mark.parametrize("fd", [-1, -100])
def test_negative(loop, fd):
    """A negative number is a ValueError, for all four."""
    for call in (lambda: loop.add_reader(fd, print),
                 lambda: loop.add_writer(fd, print)):
        with pytest.raises(ValueError):
            call()


def test_wrong_type(loop):
    """What has no fileno() is a ValueError or TypeError."""
    for thing in ("0", None, object(), 1.5):
        with pytest.raises((TypeError, ValueError)):
            loop.add_reader(thing, print)


def test_closed_descriptor(loop):
    """A number that is not open is an OSError, and leaves nothing."""
    rfd, wfd = os.pipe()
    os.close(rfd)
    with pytest.raises(OSError):
        loop.add_reader(rfd, print)
    assert loop.remove_reader(rfd) is False
    os.close(wfd)


def test_regular_file(loop, tmp_path):
    """A regular file cannot be polled: PermissionError, as from epoll."""
    with open(tmp_path / "file", "w+") as file:
        with pytest.raises(PermissionError):
            loop.add_reader(file, print)
        assert loop.remove_reader(file) is False


def test_remove_unknown(loop):
    """Removing what was never added is False, not an error."""
    assert loop.remove_reader(0) is False
    assert loop.remove_writer(0) is False


def test_closed_loop(loop, pair):
    """A closed loop refuses."""
    ours, _ = pair
    loop.close()
    with pytest.raises(RuntimeError):
        loop.add_reader(ours, print)
    with pytest.raises(RuntimeError):
        loop.add_writer(ours, print)


async def test_descriptor_of_a_transport(pair):
    """The socket of a transport cannot be watched beside it."""
    loop = asyncio.get_running_loop()
    ours, _ = pair
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    for call in (loop.add_reader, loop.add_writer):
        with pytest.raises(RuntimeError, match="transport"):
            call(ours.fileno(), print)
    for call in (loop.remove_reader, loop.remove_writer):
        with pytest.raises(RuntimeError, match="transport"):
            call(ours.fileno())
    transport.abort()
    await asyncio.sleep(0)


def test_many_descriptors(loop):
    """Two hundred readers, all ready at once, each called once per byte."""
    pairs = [socket.socketpair() for _ in range(200)]
    seen = []
    for number, (ours, theirs) in enumerate(pairs):
        loop.add_reader(ours, lambda n=number, s=ours: (s.recv(1),
                                                        seen.append(n)))
        theirs.send(b"x")
    run_until(loop, lambda: len(seen) >= 200)
    assert sorted(seen) == list(range(200))
    for ours, theirs in pairs:
        loop.remove_reader(ours)
        ours.close()
        theirs.close()


def test_nested_epoll(loop, pair):
    """An epoll descriptor is a descriptor like others."""
    import select
    ours, theirs = pair
    seen = []
    with select.epoll() as inner:
        inner.register(ours, select.EPOLLIN)
        loop.add_reader(inner, lambda: seen.append(inner.poll(0)))
        theirs.send(b"x")
        run_until(loop, lambda: seen)
        loop.remove_reader(inner)
    assert seen[0] == [(ours.fileno(), select.EPOLLIN)]
