"""Connections opened and closed, a million of them, in flat memory.

    python -m tests.hostile.connections [COUNT]

Each sends a few bytes, has them echoed, and is closed by this side or that,
or reset.  Prints how many and what the process came to, and fails if it grew
by more than 2 MB from the first tenth to the last, or lost a descriptor.
"""
import asyncio
import gc
import os
import socket
import struct
import sys
import time

import kevent

AT_ONCE = 50
LIMIT_KB = 2000
RESET = struct.pack("ii", 1, 0)


def resident_kb():
    """Of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def descriptors():
    return len(os.listdir("/proc/self/fd"))


class Echo(asyncio.Protocol):
    """Ends by itself when it is told so."""

    alive = 0

    def connection_made(self, transport):
        Echo.alive += 1
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)
        if data[0] == 1:
            self.transport.close()
        elif data[0] == 2:
            self.transport.abort()

    def connection_lost(self, exc):
        Echo.alive -= 1


class Client(asyncio.Protocol):
    """One connection: its end is the future's result."""

    def __init__(self, how, done):
        self.how, self.done = how, done

    def connection_made(self, transport):
        self.transport = transport
        transport.write(bytes([self.how]) * 10)

    def data_received(self, data):
        if self.how == 3:
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        else:
            self.transport.close()

    def connection_lost(self, exc):
        self.done.set_result(None)


async def many(loop, path, count, first):
    """count connections, one after the other."""
    for i in range(first, count, AT_ONCE):
        done = loop.create_future()
        await loop.create_unix_connection(lambda: Client(i % 4, done), path) if i % 8 == 0 \
            else await loop.create_connection(lambda: Client(i % 4, done), *many.address)
        await done


async def main(count):
    loop = asyncio.get_running_loop()
    path = f"\0kevent-{os.getpid()}"
    async with await loop.create_server(Echo, "127.0.0.1", 0, backlog=200) as tcp, \
            await loop.create_unix_server(Echo, path):
        many.address = tcp.sockets[0].getsockname()
        marks = []
        started = time.monotonic()
        before = descriptors()
        for tenth in range(10):
            await asyncio.gather(*(many(loop, path, count // 10, first)
                                   for first in range(AT_ONCE)))
            await asyncio.sleep(0.05)
            gc.collect()
            marks.append(resident_kb())
        took = time.monotonic() - started
        left = descriptors() - before
        print(f"{count} connections in {took:.0f} s, {count / took:.0f} a second; resident after "
              f"each tenth, kB: {marks}; descriptors left: {left}; protocols left: {Echo.alive}")
        assert left == 0 and Echo.alive == 0
        # A sanitizer keeps what was freed for a while, so as to notice its use.
        if "libasan" not in os.environ.get("LD_PRELOAD", ""):
            assert marks[-1] - marks[1] < LIMIT_KB, "it grew"
    print("survived")


if __name__ == "__main__":
    kevent.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
