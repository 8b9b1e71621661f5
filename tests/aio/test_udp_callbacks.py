"""What the callbacks of a datagram endpoint may do, and the batches they come in."""
import asyncio
import contextlib
import contextvars
import socket
import sys

import pytest

from .datagrams import KIND, LOCAL, Datagrams, close, endpoint, lost, raw_peer
from .helpers import python, turns


async def test_raising_datagram_received(contexts):
    """An exception concerns that datagram; those behind it are delivered."""
    class Raises(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if data == b"1":
                raise ZeroDivisionError
    async with raw_peer(Raises) as (made, raw):
        for number in range(4):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 4)
        assert not made.transport.is_closing()
    [context] = contexts
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["message"].startswith("Exception in ")
    contexts.clear()


async def test_raising_connection_made(contexts):
    """The endpoint is made nevertheless, and reads."""
    class Raises(Datagrams):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ZeroDivisionError
    async with raw_peer(Raises) as (made, raw):
        raw.send(b"x")
        await made.until(lambda: made.got)
    assert len(contexts) == 1
    contexts.clear()


async def test_raising_error_received(contexts):
    """In sendto() it comes out of sendto(); while reading it is reported."""
    class Raises(Datagrams):
        def error_received(self, exc):
            super().error_received(exc)
            raise ZeroDivisionError
    async with raw_peer(Raises) as (made, raw):
        with pytest.raises(ZeroDivisionError):
            made.transport.sendto(b"x" * 70000, raw.getsockname())
        name = raw.getsockname()
    assert not contexts
    made = await endpoint(Raises, remote_addr=name)
    made.transport.sendto(b"x")
    await made.until(lambda: made.errors)
    await turns(1)
    assert isinstance(contexts.pop()["exception"], ZeroDivisionError)
    assert not contexts and not made.transport.is_closing()
    await close(made)


async def test_raising_connection_lost(contexts):
    """Reported; the socket is closed."""
    class Raises(Datagrams):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            raise ZeroDivisionError
    made = await endpoint(Raises, local_addr=LOCAL)
    await close(made)
    await turns(1)
    assert isinstance(contexts.pop()["exception"], ZeroDivisionError)
    assert made.transport.get_extra_info("socket").fileno() == -1


async def test_pause_reading():
    """Nothing is delivered while reading is paused; nothing is lost."""
    class Pauses(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            if len(self.got) in (2, 5):
                self.transport.pause_reading()
    async with raw_peer(Pauses) as (made, raw):
        assert made.transport.is_reading()
        for number in range(10):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 2)
        await turns(5)
        assert len(made.got) == 2 and not made.transport.is_reading()
        made.transport.pause_reading()
        made.transport.resume_reading()
        made.transport.resume_reading()
        assert len(made.got) == 2 and made.transport.is_reading()
        await made.until(lambda: len(made.got) == 5)
        raw.send(b"10")
        await turns(5)
        assert len(made.got) == 5
        made.transport.resume_reading()
        await made.until(lambda: len(made.got) == 11)
        assert made.data == [b"%d" % n for n in range(11)]


async def test_pause_in_connection_made():
    """Then nothing comes until reading is resumed."""
    class Pauses(Datagrams):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()
    async with raw_peer(Pauses) as (made, raw):
        raw.send(b"x")
        await turns(5)
        assert not made.got
        made.transport.resume_reading()
        await made.until(lambda: made.got)


@pytest.mark.parametrize("method", ["close", "abort"])
async def test_end_in_datagram_received(method):
    """What had come besides is delivered no more."""
    class Ends(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            getattr(self.transport, method)()
    async with raw_peer(Ends) as (made, raw):
        for _ in range(5):
            raw.send(b"x")
        await lost(made)
        await turns()
        assert len(made.got) == 1
        assert made.calls == ["made", "lost"] and made.lost_with is None


async def test_end_in_connection_made():
    """close() at once: nothing is read."""
    class Ends(Datagrams):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.close()
    made = await endpoint(Ends, local_addr=LOCAL)
    await lost(made)
    assert made.calls == ["made", "lost"]


async def test_another_protocol():
    """set_protocol() in the middle of a batch: the next datagram is the new one's."""
    second = Datagrams()

    class First(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            second.transport = self.transport
            self.transport.set_protocol(second)
    async with raw_peer(First) as (made, raw):
        for number in range(3):
            raw.send(b"%d" % number)
        await second.until(lambda: len(second.got) == 2)
        assert made.data == [b"0"] and second.data == [b"1", b"2"]
        assert made.transport.get_protocol() is second
        made.transport.set_protocol(made)


async def test_answers_in_order():
    """What a callback sends arrives in the order of sending, to each receiver."""
    class Twice(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.sendto(data + b"a", addr)
            self.transport.sendto(bytearray(data + b"b"), addr)
            self.transport.sendto(data + b"c", ("localhost", addr[1]))
            self.transport.sendto(data + b"d", addr)
    async with raw_peer(Twice) as (made, raw):
        for number in range(8):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 8)
        expected = [b"%d%c" % (n, c) for n in range(8) for c in b"abcd"]
        assert [raw.recv(10) for _ in range(32)] == expected


# More than one call takes; shorter and longer ones between equal ones; about the
# size of a packet; few enough for the receiver's buffer.
SIZES = ([30] * 66 + [300, 300, 100, 300, 301, 301, 7, 7, 7, 1] + [1452, 1452, 1453, 1453]
         + [9000, 9000, 1200, 1] + [3] * 5)


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("count", [1, 2])
async def test_runs_of_equal_datagrams(connected, count):
    """Many answers, of which some are of one size: each arrives by itself, as it
    was, in order (kevent has the kernel cut them out of long ones)."""
    answers = [bytes([n % 251]) * size for n, size in enumerate(SIZES)]

    class Sends(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            for n, answer in enumerate(answers):
                self.transport.sendto(bytearray(answer) if n % 7 == 0 else answer, addr)
                if n % 10 == 9:
                    self.transport.sendto(answer, self.other)
    with socket.socket(*KIND) as raw, socket.socket(*KIND) as other:
        for sock in (raw, other):
            sock.bind(LOCAL)
            sock.settimeout(10)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        made = await endpoint(Sends, local_addr=LOCAL,
                              remote_addr=raw.getsockname() if connected else None)
        made.other = raw.getsockname() if connected else other.getsockname()
        expected, theirs = [], []
        for n, answer in enumerate(answers):
            expected.append(answer)
            if n % 10 == 9:
                (expected if connected else theirs).append(answer)
        for _ in range(count):
            raw.sendto(b"go", made.transport.get_extra_info("sockname"))
        await made.until(lambda: len(made.got) == count)
        await turns()
        for _ in range(count):
            for answer in expected:
                assert raw.recv(70000) == answer
            if not connected:
                for answer in theirs:
                    assert other.recv(70000) == answer
        assert not made.errors
        await close(made)


async def test_runs_that_the_kernel_refuses():
    """A socket without checksums cannot have datagrams cut: they go one by one,
    the next time, too."""
    class Sends(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            for number in range(10):
                self.transport.sendto(b"%d" % number, addr)
    async with raw_peer(Sends) as (made, raw):
        no_check = 11                          # SO_NO_CHECK
        made.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, no_check, 1)
        for turn in range(1, 3):
            raw.send(b"go")
            await made.until(lambda: len(made.got) == turn)
            await turns(1)
            assert [raw.recv(10) for _ in range(10)] == [b"%d" % n for n in range(10)]
        assert not made.errors


async def test_refused_within_a_run():
    """A peer that has gone: error_received, and the endpoint stays."""
    class Sends(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            raw.close()
            for _ in range(10):
                self.transport.sendto(b"x")
    with socket.socket(*KIND) as raw:
        raw.bind(LOCAL)
        made = await endpoint(Sends, remote_addr=raw.getsockname())
        raw.sendto(b"go", made.transport.get_extra_info("sockname"))
        await made.until(lambda: made.errors)
        assert {type(exc) for exc in made.errors} == {ConnectionRefusedError}
        await close(made)
        assert made.lost_with is None


async def test_through_another_socket():
    """A relay: what comes in at one endpoint goes out at others."""
    with socket.socket(*KIND) as far:
        far.bind(LOCAL)
        far.settimeout(10)
        out = await endpoint(remote_addr=far.getsockname())
        loose = await endpoint(local_addr=LOCAL)

        class Relay(Datagrams):
            def datagram_received(self, data, addr):
                super().datagram_received(data, addr)
                out.transport.sendto(data)
                loose.transport.sendto(data, far.getsockname())
        async with raw_peer(Relay) as (made, raw):
            for number in range(6):
                raw.send(b"%d" % number)
            await made.until(lambda: len(made.got) == 6)
            came = [far.recvfrom(10) for _ in range(12)]
        for sender in (out, loose):
            name = sender.transport.get_extra_info("sockname")
            assert [data for data, addr in came if addr == name] == made.data
        await close(out, loose)


async def test_errors_within_a_batch():
    """Of what a batch sends, each datagram that cannot be sent is
    error_received, and the others leave."""
    class Answers(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.sendto(data * 70000 if data in b"25" else data, addr)
    async with raw_peer(Answers) as (made, raw):
        for number in range(8):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 8)
        await made.until(lambda: len(made.errors) == 2)
        assert [raw.recv(10) for _ in range(6)] == [b"%d" % n for n in (0, 1, 3, 4, 6, 7)]


async def test_contexts():
    """Callbacks run in copies of the context in which the endpoint was made."""
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    class Looks(Datagrams):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(variable.get())
            variable.set("made")

        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            seen.append(variable.get())
            variable.set(data)
    variable.set("outside")
    async with raw_peer(Looks) as (made, raw):
        variable.set("changed")
        for data in (b"1", b"2"):
            raw.send(data)
            await made.until(lambda: made.data[-1:] == [data])
        assert seen == ["outside", "outside", b"1"]
        made.transport.pause_reading()
        made.transport.resume_reading()
        raw.send(b"3")
        await made.until(lambda: made.data[-1:] == [b"3"])
        assert seen[-1] == "changed" and variable.get() == "changed"


async def test_made_before_anything_comes():
    """Who awaits the endpoint goes on before the first datagram is delivered."""
    sock = socket.socket(*KIND)
    sock.bind(LOCAL)
    with socket.socket(*KIND) as raw:
        raw.sendto(b"early", sock.getsockname())
    made = await endpoint(sock=sock)
    assert made.calls == ["made"] and not made.got
    await made.until(lambda: made.got)
    await close(made)


async def test_interrupted_batch(loop_factory):
    """A KeyboardInterrupt leaves the loop; the rest of the batch is delivered
    when the loop goes on."""
    done = python("-c", """if 1:
        import asyncio, socket, sys
        kind = sys.argv[1]
        if kind == "kevent":
            import kevent
            loop = kevent.new_event_loop()
        else:
            loop = asyncio.SelectorEventLoop()
        got = []
        class Protocol(asyncio.DatagramProtocol):
            def datagram_received(self, data, addr):
                got.append(data)
                self.transport.sendto(data, addr)
                if data in (b"1", b"3"):
                    raise KeyboardInterrupt if data == b"1" else SystemExit
                if len(got) == 5:
                    loop.stop()
            def connection_made(self, transport):
                self.transport = transport
        transport, _ = loop.run_until_complete(loop.create_datagram_endpoint(
            Protocol, local_addr=("127.0.0.1", 0)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
            raw.settimeout(10)
            raw.connect(transport.get_extra_info("sockname"))
            for number in range(5):
                raw.send(b"%d" % number)
            ends = []
            while len(ends) < 3:
                try:
                    loop.run_forever()
                    ends.append("stop")
                except BaseException as exc:
                    ends.append(type(exc).__name__)
            assert [raw.recv(9) for _ in got] == got
        transport.close()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        print(got == [b"%d" % n for n in range(5)], ends)
        """, "kevent" if loop_factory.__module__ == "kevent.loop" else "asyncio")
    assert done.stdout == "True ['KeyboardInterrupt', 'SystemExit', 'stop']\n", (
        done.stdout, done.stderr)


# ---- batches ---------------------------------------------------------------


class Lists(Datagrams):
    """Takes whole batches; echoes each."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def datagrams_received(self, datagrams):
        self.batches.append(datagrams)
        for data, addr in datagrams:
            self.got.append((data, addr))
            self.transport.sendto(data, addr)
        self._happened()


@pytest.mark.stdlib_differs(
    "it knows no datagrams_received(): it calls datagram_received() for each")
async def test_lists():
    """A class with datagrams_received() gets what had come as a list."""
    async with raw_peer(Lists) as (made, raw):
        for number in range(20):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 20)
        assert 0 < len(made.batches) < 20
        assert made.batches[0][0] == (b"0", raw.getsockname())
        assert [raw.recv(10) for _ in range(20)] == made.data == [
            b"%d" % n for n in range(20)]
        assert all(type(batch) is list for batch in made.batches)
        raw.send(b"one")
        await made.until(lambda: len(made.got) == 21)
        assert made.batches[-1] == [(b"one", raw.getsockname())]


async def test_lists_by_class_only():
    """An object that claims every attribute is still asked one by one."""
    class Claims(Datagrams):
        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return lambda *args: pytest.fail(name)
    async with raw_peer(Claims) as (made, raw):
        raw.send(b"x")
        await made.until(lambda: made.got)


async def test_batches_are_bounded():
    """A pass takes 32 datagrams of a socket, so that others have their turn."""
    loop = asyncio.get_running_loop()
    async with raw_peer() as (made, raw):
        turns_taken = []
        made.transport.pause_reading()
        for number in range(100):
            raw.send(b"%d" % number)
        made.transport.resume_reading()

        def look():
            turns_taken.append(len(made.got))
            if len(made.got) < 100:
                loop.call_soon(look)
        look()
        await made.until(lambda: len(made.got) == 100)
        steps = {b - a for a, b in zip(turns_taken, turns_taken[1:])}
        assert max(steps) <= 32 and made.data == [b"%d" % n for n in range(100)]


@pytest.mark.stdlib_differs("it sends each at once")
async def test_batch_leaves_before_the_next_poll():
    """What a batch sends is held until its last callback has returned, unless
    somebody asks how much is buffered."""
    class Answers(Datagrams):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.sendto(data, addr)
            self.seen.append(arrived(raw))
            if data == b"2":
                assert self.transport.get_write_buffer_size() == 0
                self.seen.append(arrived(raw))

    def arrived(raw):
        count = 0
        raw.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while raw.recv(100):
                count += 1
        return count
    async with raw_peer(Answers) as (made, raw):
        made.seen = []
        for number in range(4):
            raw.send(b"%d" % number)
        await made.until(lambda: len(made.got) == 4)
        assert made.seen == [0, 0, 0, 3, 0]
        await turns(1)
        assert arrived(raw) == 1


@pytest.mark.stdlib_differs(
    "it calls the transport again in the context that the callback runs in, "
    "which cannot be entered twice: that RuntimeError is told or logged")
def test_pass_within_a_callback(loop, contexts, caplog):
    """A callback that runs a pass of the loop: what it sent before is out, the
    rest of the batch is not delivered twice."""
    got = []

    class Nests(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            got.append(data)
            self.transport.sendto(data, addr)
            if data == b"1":
                loop.call_soon(int)
                loop._run_once()
                assert raw.recv(9) == b"0" and raw.recv(9) == b"1"
    transport, _ = loop.run_until_complete(
        loop.create_datagram_endpoint(Nests, local_addr=LOCAL))
    with socket.socket(*KIND) as raw:
        raw.settimeout(10)
        raw.connect(transport.get_extra_info("sockname"))
        for number in range(5):
            raw.send(b"%d" % number)
        while len(got) < 5:
            loop.run_until_complete(asyncio.sleep(0))
        assert [raw.recv(9) for _ in range(3)] == [b"2", b"3", b"4"]
    assert got == [b"%d" % n for n in range(5)]
    transport.close()
    loop.run_until_complete(asyncio.sleep(0))
    assert not contexts and not caplog.records
