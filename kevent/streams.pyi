"""Types of the streams: asyncio's."""
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

__all__ = (
    "StreamReader", "StreamReaderProtocol", "StreamWriter", "install",
    "open_connection", "open_unix_connection", "patched", "start_server",
    "start_unix_server", "uninstall",
)

DEFAULT_LIMIT: int

_Callback = Callable[[StreamReader, StreamWriter], Awaitable[None] | None]

class StreamReader(asyncio.StreamReader): ...
class StreamWriter(asyncio.StreamWriter): ...
class StreamReaderProtocol(asyncio.StreamReaderProtocol): ...

async def open_connection(
    host: Any = None, port: Any = None, *, limit: int = 65536, **kwds: Any
) -> tuple[StreamReader, StreamWriter]: ...
async def open_unix_connection(
    path: Any = None, *, limit: int = 65536, **kwds: Any
) -> tuple[StreamReader, StreamWriter]: ...
async def start_server(
    client_connected_cb: _Callback,
    host: Any = None,
    port: Any = None,
    *,
    limit: int = 65536,
    **kwds: Any,
) -> asyncio.Server: ...
async def start_unix_server(
    client_connected_cb: _Callback, path: Any = None, *, limit: int = 65536, **kwds: Any
) -> asyncio.Server: ...
def install() -> None: ...
def uninstall() -> None: ...
def patched() -> AbstractContextManager[None]: ...
