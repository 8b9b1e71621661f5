"""The event loop policy, for Pythons that have policies (before 3.16).

Policies are deprecated from 3.14 on: prefer `kevent.run(main())`, or
`asyncio.Runner(loop_factory=kevent.new_event_loop)`.
"""
from __future__ import annotations

import asyncio
import warnings

from .loop import EventLoop

__all__ = ("EventLoopPolicy", "install")

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    _Base = asyncio.DefaultEventLoopPolicy


class EventLoopPolicy(_Base):
    """asyncio's default policy, but its loops are kevent's."""

    _loop_factory = EventLoop


def install(*, streams: bool = False) -> None:
    """Make every new asyncio event loop of this process a kevent loop.

    With streams=True asyncio's streams become those of kevent.streams as well,
    until kevent.streams.uninstall().
    """
    if streams:
        from .streams import install as install_streams

        install_streams()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(EventLoopPolicy())
