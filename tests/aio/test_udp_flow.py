"""Datagrams that have to wait: buffers, marks, the end."""
import pytest

from .datagrams import HEADER, Datagrams, full_queue, lost, never_empty, read_numbers
from .helpers import turns


@never_empty
@pytest.mark.parametrize("connected", [True, False])
async def test_buffered_in_order(tmp_path, connected):
    """What a full receiver does not take is sent when it can, in order."""
    async with full_queue(tmp_path, connected=connected) as (made, raw):
        last = made.sent - 1
        assert made.transport.get_write_buffer_size() == len(str(last)) + HEADER
        data = bytearray(b"%d" % made.sent)
        made.transport.sendto(data, made.receiver)
        data[:] = b"changed"
        await read_numbers(raw, made.sent + 1)
        await turns()
        assert made.transport.get_write_buffer_size() == 0
        assert not made.errors


@never_empty
async def test_pause_and_resume_writing(tmp_path):
    """pause_writing() above the high mark, resume_writing() at the low one."""
    async with full_queue(tmp_path) as (made, raw):
        made.transport.set_write_buffer_limits(high=200, low=100)
        assert made.transport.get_write_buffer_limits() == (100, 200)
        while "pause" not in made.calls:
            made.transport.sendto(b"%d" % made.sent)
            made.sent += 1
        size = made.transport.get_write_buffer_size()
        assert 200 < size <= 200 + len(str(made.sent)) + HEADER
        made.transport.sendto(b"%d" % made.sent)
        await read_numbers(raw, made.sent + 1)
        assert made.calls == ["made", "pause", "resume"]
        made.transport.set_write_buffer_limits(high=0)
        assert made.transport.get_write_buffer_limits() == (0, 0)
        with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\)"):
            made.transport.set_write_buffer_limits(1, 2)


async def test_close_sends_what_is_buffered(tmp_path):
    """close(): connection_lost() comes after the last datagram has left."""
    async with full_queue(tmp_path) as (made, raw):
        made.transport.close()
        made.transport.sendto(b"%d" % made.sent)
        await turns()
        assert made.transport.is_closing() and "lost" not in made.calls
        await read_numbers(raw, made.sent + 1)
        await lost(made)
        assert made.lost_with is None


async def test_abort_forgets_what_is_buffered(tmp_path):
    """abort(): what was not sent never is."""
    async with full_queue(tmp_path) as (made, raw):
        made.transport.abort()
        await lost(made)
        await read_numbers(raw, made.sent - 1)
        raw.settimeout(0)
        with pytest.raises(BlockingIOError):
            raw.recv(10)


@never_empty
async def test_receiver_gone_while_buffered(tmp_path):
    """Each datagram that cannot be sent any more is error_received."""
    async with full_queue(tmp_path) as (made, raw):
        made.transport.sendto(b"another")
        raw.close()
        await made.until(lambda: len(made.errors) == 2)
        assert all(isinstance(exc, OSError) for exc in made.errors)
        assert made.transport.get_write_buffer_size() == 0
        await turns()


@never_empty
@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
async def test_flow_control_that_raises(tmp_path, method, contexts):
    """An exception of pause_writing() or resume_writing() is reported only."""
    class Raises(Datagrams):
        def _raise(self):
            self.calls.append(method)
            self._happened()
            raise ZeroDivisionError
    setattr(Raises, method, Raises._raise)
    async with full_queue(tmp_path, Raises) as (made, raw):
        made.transport.set_write_buffer_limits(0)
        await read_numbers(raw, made.sent)
        assert "resume" in made.calls[-1]
        assert not made.transport.is_closing()
    [context] = contexts
    assert context["message"] == f"protocol.{method}() failed"
    assert isinstance(context["exception"], ZeroDivisionError)
    contexts.clear()
