"""kevent: one queue for every event, and an asyncio event loop on its ring.

`kevent.run(main())` runs a coroutine on the loop; `kevent.new_event_loop` is
the factory for asyncio.Runner, uvicorn and anyio.  The kevent calls
(`kevent_ctl`, `kevent_wait`, ...), `Queue`, `Ring` and `KeventSelector` are the
layers below it, usable on their own.
"""
from __future__ import annotations

import sys as _sys

if not _sys.platform.startswith("linux"):
    raise ImportError("kevent is for Linux only: it stands on epoll")

from . import _core
from .loop import EventLoop, new_event_loop, run
from .selectors import KeventSelector

__version__ = "0.1.0"

_CALLS = tuple(name for name in dir(_core)
               if name.startswith(("kevent_", "KEVENT_")))
globals().update({name: getattr(_core, name) for name in _CALLS})
Queue = _core.Queue
Ring = _core.Ring
inode_record = _core.inode_record
siginfo = _core.siginfo
ukevent = _core.ukevent

__all__ = [
    "EventLoop", "KeventSelector", "Queue", "Ring", "inode_record", "new_event_loop", "run",
    "siginfo", "ukevent",
    *_CALLS,
]

if _sys.version_info < (3, 16):
    # Policies are deprecated from 3.14 on: they load when they are asked for.
    _POLICY = ("EventLoopPolicy", "install")
    __all__ += _POLICY

    def __getattr__(name):
        if name in _POLICY:
            from . import policy

            return getattr(policy, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
