"""asyncio's streams with the reading and writing in C.

`open_connection`, `start_server` and their Unix twins, `StreamReader`,
`StreamWriter` and `StreamReaderProtocol` have the names, parameters, limits
and exceptions of asyncio's in the running Python, and work on any asyncio
loop.  The classes derive from asyncio's: what runs per packet or per read is
overridden in C (`_core`), what runs once per connection is inherited.

    reader, writer = await kevent.streams.open_connection("example.org", 80)

A program that calls asyncio's functions gets these instead, without a change,
inside of `with kevent.streams.patched():`, after `kevent.streams.install()`,
with `kevent.run(main(), streams=True)`, `kevent.install(streams=True)` or
`python -m kevent --streams`.  It is off by default and can be undone.

One difference shows: what `reader.read()` and `writer.drain()` return is
awaited like a coroutine and can be made a task, but it is not of
`types.CoroutineType`.
"""
from __future__ import annotations

import asyncio
import asyncio.streams as _standard
import contextlib
import threading
import types
from collections.abc import Iterator
from typing import Any

from . import _core

__all__ = (
    "StreamReader", "StreamReaderProtocol", "StreamWriter", "install",
    "open_connection", "open_unix_connection", "patched", "start_server",
    "start_unix_server", "uninstall",
)

DEFAULT_LIMIT: int = _standard._DEFAULT_LIMIT  # bytes

# asyncio's own, whatever the names stand for later.
_Reader = _standard.StreamReader
_Writer = _standard.StreamWriter
_Protocol = _standard.StreamReaderProtocol


def _with_names(function: Any, **names: Any) -> Any:
    """A copy of the function that sees other global names.

    So a method of asyncio can be used as it is in the running version, with
    our classes in place of those of its module.
    """
    copy = types.FunctionType(
        function.__code__, {**function.__globals__, **names},
        function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    copy.__qualname__ = function.__qualname__
    return copy


@_core.hand_down
class StreamReader(_core.StreamReader, _Reader):
    """An asyncio.StreamReader that searches and cuts its buffer in C."""


@_core.hand_down
class StreamWriter(_core.StreamWriter, _Writer):
    """An asyncio.StreamWriter whose write() and drain() are C."""


@_core.hand_down
class StreamReaderProtocol(_core.StreamReaderProtocol, _Protocol):
    """An asyncio.StreamReaderProtocol that feeds its reader in C."""

    connection_made = _with_names(_Protocol.connection_made, StreamWriter=StreamWriter)


# ---- connections and servers ------------------------------------------------


async def open_connection(
    host: Any = None, port: Any = None, *, limit: int = DEFAULT_LIMIT, **kwds: Any,
) -> tuple[StreamReader, StreamWriter]:
    """Connect to host and port; returns (reader, writer).

    limit is the reader's, in bytes; everything else goes to
    loop.create_connection() and raises what that raises.
    """
    loop = asyncio.get_running_loop()
    reader, protocol = _pair(loop, limit)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def open_unix_connection(
    path: Any = None, *, limit: int = DEFAULT_LIMIT, **kwds: Any,
) -> tuple[StreamReader, StreamWriter]:
    """Connect to the Unix socket at path; otherwise as open_connection()."""
    loop = asyncio.get_running_loop()
    reader, protocol = _pair(loop, limit)
    transport, _ = await loop.create_unix_connection(lambda: protocol, path, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: Any, host: Any = None, port: Any = None, *,
    limit: int = DEFAULT_LIMIT, **kwds: Any,
) -> asyncio.Server:
    """Call client_connected_cb(reader, writer) for each client that connects.

    If it returns a coroutine, a task is made of it.  limit is the readers', in
    bytes; everything else goes to loop.create_server(), whose result (an
    asyncio.Server) is returned.
    """
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: _pair(loop, limit, client_connected_cb)[1], host, port, **kwds)


async def start_unix_server(
    client_connected_cb: Any, path: Any = None, *, limit: int = DEFAULT_LIMIT,
    **kwds: Any,
) -> asyncio.Server:
    """Serve on a Unix socket at path; otherwise as start_server()."""
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(
        lambda: _pair(loop, limit, client_connected_cb)[1], path, **kwds)


def _pair(loop, limit, client_connected_cb=None):
    reader = StreamReader(limit=limit, loop=loop)
    return reader, StreamReaderProtocol(reader, client_connected_cb, loop=loop)


# ---- in place of asyncio's ----------------------------------------------------

_NAMES = (
    "StreamReader", "StreamReaderProtocol", "StreamWriter", "open_connection",
    "open_unix_connection", "start_server", "start_unix_server",
)


class _Patch:
    """What asyncio's names were before, and how often they are patched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._before: list[tuple[Any, str, Any]] = []

    def enter(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._apply()

    def leave(self) -> None:
        with self._lock:
            if self._depth == 0:
                return
            self._depth -= 1
            if self._depth == 0:
                while self._before:
                    setattr(*self._before.pop())

    def _apply(self) -> None:
        # asyncio's writer asks whether it was given one of asyncio's readers:
        # it shall not mean ours only.
        self._set(_Writer, "__init__", _with_names(
            _Writer.__init__, StreamReader=_Reader))
        for module in (asyncio, _standard):
            for name in _NAMES:
                self._set(module, name, globals()[name])

    def _set(self, owner: Any, name: str, value: Any) -> None:
        self._before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)


_patch = _Patch()


def install() -> None:
    """Make asyncio's stream functions and classes these, in the whole process.

    Names that a module has imported from asyncio before stay what they are.
    Calls nest: as many uninstall() undo it.
    """
    _patch.enter()


def uninstall() -> None:
    """Give asyncio its own streams back; without install() it does nothing."""
    _patch.leave()


@contextlib.contextmanager
def patched() -> Iterator[None]:
    """install() for the duration of a with statement."""
    install()
    try:
        yield
    finally:
        uninstall()
