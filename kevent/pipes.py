"""asyncio's pipe transports with the reading and writing in C.

`_core.PipeReader` and `_core.PipeWriter` do what is usual and call these
methods for the rest, which is what asyncio's own do then.
"""
from __future__ import annotations

from asyncio import unix_events
from asyncio.log import logger

from . import _core

__all__ = ("ReadPipeTransport", "WritePipeTransport")


@_core.hand_down
class ReadPipeTransport(_core.PipeReader, unix_events._UnixReadPipeTransport):
    """The transport of loop.connect_read_pipe()."""

    def _read_end(self):
        if self._loop.get_debug():
            logger.info("%r was closed by peer", self)
        self._closing = True
        self._loop._remove_reader(self._fileno)
        self._loop.call_soon(self._protocol.eof_received)
        self._loop.call_soon(self._call_connection_lost, None)

    def _read_failed(self, exc):
        try:
            raise exc
        except OSError:
            self._fatal_error(exc, "Fatal read error on pipe transport")


@_core.hand_down
class WritePipeTransport(_core.PipeWriter, unix_events._UnixWritePipeTransport):
    """The transport of loop.connect_write_pipe()."""

    # Something is waiting to be written, it is too late, or data is wrong.
    _write_slowly = unix_events._UnixWritePipeTransport.write

    def _keep(self, data, count):
        if count:
            data = memoryview(data)[count:]
        self._loop._add_writer(self._fileno, self._write_ready)
        self._buffer += data
        self._maybe_pause_protocol()

    def _all_written(self):
        self._buffer.clear()
        self._loop._remove_writer(self._fileno)
        self._maybe_resume_protocol()  # may write more
        if self._closing:
            self._loop._remove_reader(self._fileno)
            self._call_connection_lost(None)

    def _write_failed(self, exc):
        self._conn_lost += 1
        try:
            raise exc
        except OSError:
            self._fatal_error(exc, "Fatal write error on pipe transport")

    def _write_on_failed(self, exc):
        self._buffer.clear()
        self._loop._remove_writer(self._fileno)
        self._write_failed(exc)
