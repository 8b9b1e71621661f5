"""Types of the transports: asyncio's."""
import asyncio

__all__ = ("DatagramTransport", "StreamTransport")

class StreamTransport(asyncio.Transport):
    max_size: int

class DatagramTransport(asyncio.DatagramTransport):
    max_size: int
    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None: ...
