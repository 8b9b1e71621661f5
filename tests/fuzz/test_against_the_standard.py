"""Random programs on the loop, a transport and the selector, each also on the
standard library's: both must come to the same.

KEVENT_FULL=1 (make fuzz) runs ten times as many.
"""
import asyncio
import os
import selectors
import socket

import pytest

import kevent

hypothesis = pytest.importorskip("hypothesis", reason="make fuzz installs it")
from hypothesis import strategies as st  # noqa: E402

FULL = os.environ.get("KEVENT_FULL") == "1"
SETTINGS = hypothesis.settings(
    max_examples=2000 if FULL else 150, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck))


def kind(exc):
    """What of an exception must be the same."""
    return type(exc).__name__


# ---- the loop: callbacks, timers, cancellation, descriptors ----------------

small = st.integers(0, 5)
loop_step = st.one_of(
    st.tuples(st.just("soon"), small), st.tuples(st.just("later"), small),
    st.tuples(st.just("cancel"), small), st.tuples(st.just("pass"), small),
    st.tuples(st.just("clock"), small), st.tuples(st.just("reader"), small),
    st.tuples(st.just("writer"), small), st.tuples(st.just("unreader"), small),
    st.tuples(st.just("unwriter"), small), st.tuples(st.just("data"), small),
    st.tuples(st.just("eat"), small), st.tuples(st.just("threadsafe"), small),
    st.tuples(st.just("future"), small), st.tuples(st.just("task"), small),
    st.tuples(st.just("raise"), small),
)


class LoopRun:
    """One script on one loop; trace is what happened."""

    def __init__(self, factory):
        self.loop = factory()
        self.trace = []
        self.now = 1000.0
        self.loop.time = lambda: self.now
        self.loop.set_exception_handler(
            lambda loop, context: self.trace.append(("told", kind(context.get("exception")))))
        self.handles = []
        self.futures = []
        self.count = 0
        self.pairs = []
        for _ in range(2):
            left, right = socket.socketpair()
            left.setblocking(False)
            right.setblocking(False)
            self.pairs.append((left, right))

    def close(self):
        for left, right in self.pairs:
            self.loop.remove_reader(left)
            self.loop.remove_writer(left)
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.passes(3)
        self.loop.close()
        for left, right in self.pairs:
            left.close()
            right.close()

    def passes(self, n):
        for _ in range(n):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def callback(self, n, depth):
        name = self.count = self.count + 1

        def call(*args):
            self.trace.append((name, args))
            if depth > 0:
                self.handles.append(self.loop.call_soon(self.callback(n, depth - 1)))
            if n == 4 and self.handles:
                self.handles[name % len(self.handles)].cancel()
        return call

    def step(self, op, n):
        loop = self.loop
        left, right = self.pairs[n % 2]
        if op == "soon":
            self.handles.append(loop.call_soon(self.callback(n, n % 3), *range(n)))
        elif op == "threadsafe":
            self.handles.append(loop.call_soon_threadsafe(self.callback(n, 0)))
        elif op == "later":
            self.count += 1     # no two deadlines are the same
            self.handles.append(loop.call_later(
                n + self.count / 1024, self.callback(n, n % 2)))
        elif op == "cancel" and self.handles:
            self.handles[n % len(self.handles)].cancel()
        elif op == "pass":
            self.passes(1)
        elif op == "clock":
            self.now += n
        elif op == "reader":
            loop.add_reader(left, self.callback(n, 0), "r")
        elif op == "writer":
            loop.add_writer(left, self.callback(n, 0), "w")
        elif op == "unreader":
            self.trace.append(loop.remove_reader(left))
        elif op == "unwriter":
            self.trace.append(loop.remove_writer(left))
        elif op == "data":
            right.send(b"x")
        elif op == "eat":
            try:
                left.recv(1000)
            except BlockingIOError:
                pass
        elif op == "future":
            future = loop.create_future()
            future.add_done_callback(lambda f: self.trace.append(("done", f.cancelled())))
            future.cancel() if n % 2 else future.set_result(n)
        elif op == "task":
            async def work():
                for i in range(n):
                    self.trace.append(("task", i))
                    await asyncio.sleep(0 if i % 2 else 0.5)
            loop.create_task(work())
        elif op == "raise":
            loop.call_soon(lambda: 1 // 0)


def loop_trace(factory, script):
    run = LoopRun(factory)
    try:
        for op, n in script:
            run.step(op, n)
        run.passes(2)
        run.now += 1000
        run.passes(8)
        cancelled = [handle.cancelled() for handle in run.handles]
    finally:
        run.close()
    return run.trace, cancelled


@SETTINGS
@hypothesis.given(st.lists(loop_step, max_size=40))
def test_loop(script):
    """The same callbacks, with the same arguments, in the same order."""
    ours = loop_trace(kevent.new_event_loop, script)
    assert ours == loop_trace(asyncio.SelectorEventLoop, script)


# ---- a transport -------------------------------------------------------------

size = st.sampled_from((0, 1, 10, 1000, 70_000, 400_000))
stream_step = st.one_of(
    st.tuples(st.just("write"), size), st.tuples(st.just("writelines"), size),
    st.tuples(st.just("send"), size), st.tuples(st.just("receive"), size),
    st.tuples(st.just("pause"), size), st.tuples(st.just("resume"), size),
    st.tuples(st.just("write_eof"), size), st.tuples(st.just("shutdown"), size),
    st.tuples(st.just("close"), size), st.tuples(st.just("abort"), size),
    st.tuples(st.just("limits"), size), st.tuples(st.just("wrong"), size),
    st.tuples(st.just("hangup"), size), st.tuples(st.just("callback"), size),
    st.tuples(st.just("keep_open"), size),
)


class StreamRun:
    """One script on one transport."""

    def __init__(self, factory, buffered, family):
        run = self

        class Both:
            def connection_made(self, transport):
                run.trace.append("made")

            def eof_received(self):
                # asyncio tells it again after pause and resume.
                if "eof" not in run.trace:
                    run.trace.append("eof")
                return run.keep_open

            def connection_lost(self, exc):
                run.trace.append(("lost", kind(exc)))

            def pause_writing(self):
                run.trace.append("pause")

            def resume_writing(self):
                run.trace.append("resume")

        class Plain(Both, asyncio.Protocol):
            def data_received(self, data):
                run.got += data

        class Buffered(Both, asyncio.BufferedProtocol):
            def get_buffer(self, hint):
                self.buffer = bytearray(5000)
                return self.buffer

            def buffer_updated(self, count):
                run.got += self.buffer[:count]

        self.trace, self.got, self.sent, self.keep_open = [], b"", b"", False
        # What each side was given to send, and whether its end, too.
        self.written, self.given = 0, 0
        self.eof_written, self.eof_given, self.ended = False, False, False
        self.loop = factory()
        self.loop.set_exception_handler(
            lambda loop, context: self.trace.append(("told", context["message"])))
        if family == "unix":
            ours, self.theirs = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self.theirs = socket.create_connection(listener.getsockname())
                ours, _ = listener.accept()
        ours.setblocking(False)
        self.theirs.setblocking(False)
        self.transport = self.loop._make_socket_transport(
            ours, Buffered() if buffered else Plain())
        self.counter = 0
        self.settle()

    def close(self):
        try:
            self.transport.abort()
        except AttributeError:
            pass    # asyncio, in some versions, of one that is lost
        self.settle()
        self.theirs.close()
        self.loop.close()

    def turn(self):
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    # TCP may keep the last bytes back for 40 ms, until the other side says that
    # it has room: no number of turns without news means that all has come.

    def due_to_us(self):
        """Whether the transport reads and has not yet all that was sent to it."""
        return self.transport.is_reading() and (
            len(self.got) < self.given or self.eof_given and "eof" not in self.trace)

    def due_to_them(self):
        """Whether the transport has more for the other side, which has read all
        that is there."""
        return (len(self.sent) < self.written or self.eof_written
                or self.transport.is_closing())

    def settle(self):
        """Until nothing more comes of what was done."""
        before = None
        still = 0
        while still < 4 or self.due_to_us():
            self.turn()
            now = len(self.got), len(self.trace), self.transport.get_write_buffer_size()
            still = still + 1 if now == before else 0
            before = now

    def data(self, n):
        self.counter += 1
        return bytes([self.counter % 251]) * n

    def write(self, data):
        self.transport.write(data)
        self.written += len(data)

    def step(self, op, n):
        transport = self.transport
        if op == "write":
            self.write(self.data(n))
        elif op == "callback":
            data = self.data(n)
            self.loop.call_soon(lambda: [self.write(data[i::3]) for i in range(3)])
        elif op == "writelines":
            # Nothing empty at the end: asyncio from 3.12 on keeps that in its
            # buffer for ever, and the transport never closes.
            # Nor after the end: there it raises TypeError, or keeps the lines.
            if not transport.is_closing():
                transport.writelines([self.data(n), b"", bytearray(self.data(5))])
                self.written += n + 5
                if type(self.loop) is asyncio.SelectorEventLoop:
                    # 3.12's and 3.13.0's forgets that in writelines() alone.
                    transport._maybe_pause_protocol()
        elif op == "send":
            # Whole, so that it does not matter when the other side reads.
            try:
                self.given += self.theirs.send(self.data(min(n, 20_000)))
            except OSError as exc:
                self.trace.append(kind(exc))
        elif op == "receive":
            self.receive()
        elif op == "pause":
            transport.pause_reading()
        elif op == "resume":
            transport.resume_reading()
        elif op == "write_eof":
            transport.write_eof()
            self.eof_written = True
        elif op == "shutdown":
            self.theirs.shutdown(socket.SHUT_WR)
            self.eof_given = True
        elif op == "close":
            transport.close()
        elif op == "abort":
            transport.abort()
        elif op == "limits":
            transport.set_write_buffer_limits(high=n)
        elif op == "keep_open":
            self.keep_open = not self.keep_open
        elif op == "wrong":
            transport.write("no bytes")

    def receive(self):
        """All that is due, the loop sending on meanwhile."""
        while not self.ended:
            try:
                piece = self.theirs.recv(1_000_000)
            except BlockingIOError:
                if not self.due_to_them():
                    break
                self.turn()
            except OSError as exc:
                self.trace.append(kind(exc))
                return
            else:
                self.sent += piece
                self.ended = not piece
        self.settle()


def stream_trace(factory, script, buffered, family):
    run = StreamRun(factory, buffered, family)
    answers = []
    try:
        for op, n in script:
            if op == "hangup":
                break
            try:
                run.step(op, n)
            except (RuntimeError, TypeError, ValueError, OSError) as exc:
                answers.append(kind(exc))
            except AttributeError:
                # asyncio, in some versions, of a transport that is lost.
                assert factory is asyncio.SelectorEventLoop
            run.settle()
            answers.append((run.transport.is_closing(), run.transport.is_reading(),
                            run.transport.get_write_buffer_size() > 0))
        run.receive()
        got, sent, trace, ended = run.got, run.sent, list(run.trace), run.ended
    finally:
        run.close()
    return got, sent, ended, trace, answers


@SETTINGS
@hypothesis.given(st.lists(stream_step, max_size=20), st.booleans(),
                  st.sampled_from(("unix", "tcp")))
# The kernel keeps the last 5,376 bytes of asyncio's for a while.
@hypothesis.example([("callback", 400_000), ("write", 400_000), ("send", 1000)], False, "tcp")
def test_transport(script, buffered, family):
    """The same bytes both ways and the end of them, the same callbacks in the
    same order, the same exceptions and answers."""
    ours = stream_trace(kevent.new_event_loop, script, buffered, family)
    theirs = stream_trace(asyncio.SelectorEventLoop, script, buffered, family)
    assert ours == theirs


# ---- the selector ---------------------------------------------------------------

selector_step = st.one_of(
    st.tuples(st.just("register"), small, st.integers(0, 4)),
    # EpollSelector.modify() takes any mask, which register() refuses.
    st.tuples(st.just("modify"), small, st.integers(1, 3)),
    st.tuples(st.just("unregister"), small, small), st.tuples(st.just("select"), small, small),
    st.tuples(st.just("send"), small, small), st.tuples(st.just("recv"), small, small),
    st.tuples(st.just("hangup"), small, small), st.tuples(st.just("get"), small, small),
)


def selector_trace(factory, script):
    pairs = [socket.socketpair() for _ in range(3)]
    ends = [end for pair in pairs for end in pair]
    for end in ends:
        end.setblocking(False)
    trace = []
    with factory() as selector:
        for op, i, j in script:
            end = ends[i]
            try:
                if op == "register":
                    trace.append(selector.register(end, j, (i, j))[2:])
                elif op == "modify":
                    trace.append(selector.modify(end, j, (i, j))[2:])
                elif op == "unregister":
                    trace.append(selector.unregister(end)[2:])
                elif op == "get":
                    trace.append((selector.get_key(end)[2:], len(selector.get_map())))
                elif op == "send":
                    end.send(b"x")
                elif op == "recv":
                    end.recv(100)
                elif op == "hangup":
                    end.shutdown(socket.SHUT_WR)
                ready = selector.select(0)
                trace.append(sorted((ends.index(key.fileobj), key.data, mask)
                                    for key, mask in ready))
            except (ValueError, KeyError, OSError) as exc:
                trace.append((kind(exc), getattr(exc, "errno", None)))
    for end in ends:
        end.close()
    return trace


@SETTINGS
@hypothesis.given(st.lists(selector_step, max_size=40))
def test_selector(script):
    """The same events, keys and exceptions as EpollSelector's."""
    assert selector_trace(kevent.KeventSelector, script) == \
        selector_trace(selectors.EpollSelector, script)
