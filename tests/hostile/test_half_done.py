"""What is cut off in the middle: by an interrupt, by an element that is none,
by a buffer that does something else meanwhile."""
import sys

import pytest

from .child import run


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_interrupt_in_data_received_loses_no_event(family):
    """KeyboardInterrupt leaves the loop from data_received(), while the end of
    the data is known and there is room to write: after a restart the end is
    told and the rest is written."""
    run(f"""
    family = socket.{family}
    listener = socket.socket(family)
    listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else b"\\0" + os.urandom(8))
    listener.listen()
    class Interrupted(Recorder):
        def data_received(self, data):
            super().data_received(data)
            if self.armed:
                self.armed = False
                raise KeyboardInterrupt
        def eof_received(self):
            self.ended = True
            return True
    for what in ("end", "room", "much"):
        loop = new_loop()
        protocol = Interrupted()
        protocol.armed, protocol.ended = True, False
        theirs = socket.socket(family)
        theirs.connect(listener.getsockname())
        ours = listener.accept()[0]
        ours.setblocking(False)
        transport = loop._make_socket_transport(ours, protocol)
        spin(loop, 2)
        total = 4_000_000 if what == "room" else 0
        transport.write(b"w" * total)
        rest = total
        spin(loop)
        theirs.setblocking(False)
        try:
            while rest:   # now there is room
                rest -= len(theirs.recv(65536))
        except BlockingIOError:
            pass
        theirs.setblocking(True)
        size = 2_000_000 if what == "much" else 5
        def send():
            theirs.sendall(b"a" * size)
            theirs.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        if size == 5:
            sender.join()
        for _ in range(1000):
            try:
                spin(loop, 1)
            except KeyboardInterrupt:
                break
            time.sleep(0.002)
        assert not protocol.armed
        deadline = time.monotonic() + 10
        theirs.setblocking(False)
        while time.monotonic() < deadline and not (
                protocol.ended and rest == 0 and len(protocol.data) == size):
            spin(loop, 2)
            try:
                while rest:
                    rest -= len(theirs.recv(65536))
            except BlockingIOError:
                pass
        sender.join()
        assert protocol.ended and len(protocol.data) == size, (what, len(protocol.data))
        assert rest == 0, (what, rest)
        transport.close()
        spin(loop)
        theirs.close()
        loop.close()
    """)


def test_writelines_is_whole_or_not():
    """An element that is no buffer: TypeError, nothing of the others is sent,
    and what is written after it is."""
    run("""
    for held in (False, True):
        loop = new_loop()
        transport, theirs = connect(loop, Recorder())
        def work():
            raises(TypeError, transport.writelines, [b"a", b"b", 5])
            transport.write(b"c")
            raises(TypeError, transport.writelines, [b"d", None])
            transport.writelines([b"e", bytearray(b"f")])
        if held:
            loop.call_soon(work)
        else:
            work()
        spin(loop)
        assert transport.get_write_buffer_size() == 0
        transport.close()
        spin(loop)
        assert theirs.recv(100) == b"cef"
        theirs.close()
        loop.close()
    """)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python classes have buffers from 3.12 on")
@pytest.mark.parametrize("act", ["abort", "close", "write", "lose", "raise"])
def test_buffers_that_act_on_the_transport(act):
    """__buffer__() of an element of writelines() closes the transport, or
    writes: no descriptor is used after that, nothing is stuck."""
    run(f"""
    class Evil:
        def __buffer__(self, flags):
            if self.act:
                self.act = False
                {dict(abort="transport.abort()", close="transport.close()",
                      write="transport.write(b'!')", lose="transport._call_connection_lost(None)",
                      **{"raise": "raise ValueError"})[act]}
            return memoryview(b"evil")
        act = True
    loop = new_loop()
    transport, theirs = connect(loop, Recorder())
    try:
        transport.writelines([b"a", Evil(), b"z"])
    except ValueError:
        pass
    spin(loop)
    assert transport.get_write_buffer_size() == 0
    transport.close()
    spin(loop)
    theirs.settimeout(1)
    got = theirs.recv(100)
    assert got == {dict(abort=b"", close=b"", write=b"!aevilz", lose=b"",
                        **{"raise": b""})[act]!r}, got
    theirs.close()
    loop.close()
    """)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python classes have buffers from 3.12 on")
def test_fed_buffer_looks_into_the_reader():
    """__buffer__() of what is fed to a reader takes the reader's _buffer: both
    see the same bytes afterwards."""
    run("""
    from kevent.streams import StreamReader
    class Evil:
        def __buffer__(self, flags):
            seen.append(reader._buffer)
            return memoryview(b"evil" * 2000)
    for before in (b"", b"before"):
        seen = []
        loop = new_loop()
        reader = StreamReader(loop=loop)
        reader.feed_data(before)
        reader.feed_data(Evil())
        reader.feed_data(b"after")
        expected = before + b"evil" * 2000 + b"after"
        assert bytes(reader._buffer) == expected, bytes(reader._buffer)[:20]
        assert loop.run_until_complete(reader.readexactly(len(expected))) == expected
        loop.close()
    """)


def test_fed_iterable_replaces_the_buffer():
    """An iterable that is fed puts another _buffer into the reader."""
    run("""
    from kevent.streams import StreamReader
    def items():
        for i in range(50):
            yield i
            reader._buffer = bytearray(b"x" * 100)
            junk.append(bytearray(b"y" * 5))
    for _ in range(20):
        junk = []
        loop = new_loop()
        reader = StreamReader(loop=loop)
        reader.feed_data(b"abc")
        reader._buffer
        reader._buffer.extend(b"d")
        kept = reader._buffer
        del kept
        reader.feed_data(items())
        bytes(reader._buffer)
        loop.close()
    """)
