"""kevent.streams beside asyncio's streams: the same in all that can be seen."""
