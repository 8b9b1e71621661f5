"""Transports as programs meet them: what is asked once per connection, in Python.

The C half (`_core.StreamTransport`, `_core.DatagramTransport`) moves the
bytes; this half answers questions about the connection and reports what went wrong with it.
"""
from __future__ import annotations

import asyncio
import socket
from asyncio import constants, trsock
from asyncio.log import logger

from . import _core

__all__ = ("DatagramTransport", "StreamTransport")


@_core.hand_down
class StreamTransport(_core.StreamTransport):
    """An asyncio.Transport of a connected TCP or Unix stream socket."""

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.TRY_NATIVE

    # What asyncio's own transport asks the socket for in one call, in bytes.
    max_size = 256 * 1024

    # ---- what it says of itself ------------------------------------------

    def __repr__(self):
        info = [self.__class__.__name__]
        if self._loop is None:
            info.append("closed")
        elif self._closing:
            info.append("closing")
        info.append(f"fd={self._sock_fd}")
        loop = self._loop
        if loop is not None and not loop.is_closed():
            reading = "polling" if self.is_reading() else "idle"
            size = self.get_write_buffer_size()
            writing = "polling" if size else "idle"
            info.append(f"read={reading}")
            info.append(f"write=<{writing}, bufsize={size}>")
        return f"<{' '.join(info)}>"

    @property
    def _extra(self):
        if not self._extra_filled:
            self._fill_extra()
        return self._extra_dict

    def _fill_extra(self):
        # Made when first asked for: most connections are never asked.
        extra = dict(self._extra_dict or ())
        sock = self._sock
        if sock is None:
            # The connection is gone and nobody had asked for its socket.
            sock = socket.socket(self._family, socket.SOCK_STREAM)
            sock.close()
        names = self._names() if type(sock) is socket.socket else None
        if names is None:
            # Of a family, or a class, that shows them in its own way.
            names = _name(sock.getsockname), _name(sock.getpeername)
        extra.setdefault("socket", trsock.TransportSocket(sock))
        extra.setdefault("sockname", names[0])
        extra.setdefault("peername", names[1])
        self._extra_dict = extra

    # ---- flow control ------------------------------------------------------

    def set_write_buffer_limits(self, high=None, low=None):
        """Set the marks (bytes) at which pause_writing and resume_writing come."""
        if high is None:
            high = 64 * 1024 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._set_limits(high, low)

    # ---- sendfile works on the socket while the stream waits ------------------

    def _make_empty_waiter(self):
        if self._empty_waiter is not None:
            raise RuntimeError("Empty waiter is already set")
        waiter = self._loop.create_future()
        self._empty_waiter = waiter
        if not self.get_write_buffer_size():
            waiter.set_result(None)
        return waiter

    def _reset_empty_waiter(self):
        self._empty_waiter = None

    def _fail_empty_waiter(self):
        waiter = self._empty_waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(ConnectionError("Connection is closed by peer"))

    # ---- what went wrong ---------------------------------------------------------

    def _fatal_error(self, exc, message="Fatal error on transport"):
        loop = self._loop
        if loop is None:
            return
        if isinstance(exc, OSError):
            if loop.get_debug():
                logger.debug("%r: %s", self, message, exc_info=exc)
        else:
            self._report(message, exc)
        self._force_close(exc)

    def _report(self, message, exc):
        self._loop.call_exception_handler({
            "message": message,
            "exception": exc,
            "transport": self,
            "protocol": self._protocol,
        })

    def _debug(self, what):
        logger.debug("%r %s", self, what)

    def _log(self, message):
        logger.warning(message)


@_core.hand_down
class DatagramTransport(_core.DatagramTransport, asyncio.DatagramTransport):
    """An asyncio.DatagramTransport of a UDP or Unix datagram socket.

    A protocol whose class has a method datagrams_received(datagrams) is not
    called for each datagram but for each batch, with what had come as a list
    of (data, addr), at most 32.
    """

    # The longest datagram that comes whole, in bytes.
    max_size = 256 * 1024

    def __repr__(self):
        info = [self.__class__.__name__]
        if self._sock is None:
            info.append("closed")
        elif self._closing:
            info.append("closing")
        info.append(f"fd={self._sock_fd}")
        loop = self._loop
        if loop is not None and not loop.is_closed():
            reading = "polling" if self.is_reading() else "idle"
            writing = "polling" if self._want_write else "idle"
            info.append(f"read={reading}")
            info.append(f"write=<{writing}, bufsize={self.get_write_buffer_size()}>")
        return f"<{' '.join(info)}>"

    @staticmethod
    def _describe(sock, extra):
        # Asked for at birth, as asyncio does: sending may change a name.
        info = dict(extra or ())
        info["socket"] = trsock.TransportSocket(sock)
        info["sockname"] = _name(sock.getsockname)
        if "peername" not in info:
            info["peername"] = _name(sock.getpeername)
        return info

    set_write_buffer_limits = StreamTransport.set_write_buffer_limits
    _fatal_error = StreamTransport._fatal_error
    _report = StreamTransport._report
    _debug = StreamTransport._debug
    _log = StreamTransport._log


def _name(ask):
    try:
        return ask()
    except OSError:
        return None
