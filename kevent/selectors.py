"""KeventSelector: the standard library's selector contract on a kevent queue."""
from __future__ import annotations

import selectors
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

from . import _core

__all__ = ["EVENT_READ", "EVENT_WRITE", "KeventSelector", "SelectorKey"]


@_core.hand_down
class _KeyMap(_core.SelectorMap, Mapping):  # type: ignore[misc]
    """The keys of a selector by file object, as ``get_map()`` returns them.

    Iterating walks the descriptors that were registered when it began.
    """

    __slots__ = ()


@_core.hand_down
class KeventSelector(_core.Selector, selectors.BaseSelector):
    """A selector that waits in a kevent queue: level-triggered, any file epoll takes.

    A drop-in for ``selectors.EpollSelector`` and so for
    ``selectors.DefaultSelector``: ``asyncio.SelectorEventLoop(KeventSelector())``,
    ``socketserver``, ``subprocess`` work on it unchanged.  Timeouts are seconds
    and waited for with nanosecond resolution, never less than asked.

    Unlike an epoll object it survives ``os.fork()``: the child gets a queue of
    its own with the same registrations, at its first use.
    """

    _map_type = _KeyMap
