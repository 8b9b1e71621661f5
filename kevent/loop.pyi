"""Types of the event loop: asyncio's."""
import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ("EventLoop", "new_event_loop", "run")

_T = TypeVar("_T")

class EventLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def statistics(self) -> dict[str, int]: ...

def new_event_loop() -> EventLoop: ...
def run(
    main: Coroutine[Any, Any, _T], *, debug: bool | None = None, streams: bool = False
) -> _T: ...
