"""A link that loses, repeats and reorders packets, and an echo over it.

    python -m tests.hostile.lossy     (root; Linux with /dev/net/tun)

Two network namespaces, of which nothing is left afterwards, are joined by two
TUN devices, and this program carries the packets between them: it works where
the kernel has no netem.  Prints "survived", or what is missing.
"""
import asyncio
import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading

import kevent

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001
LOST, TWICE, LATE = 0.05, 0.02, 0.05
SIZE = 200_000


def namespace():
    """This process in a network of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def tun(address):
    """A TUN device with that address in this namespace."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", b"lossy", IFF_TUN_NO_PI))
    for command in (f"ip addr add {address}/24 dev lossy", "ip link set lossy up"):
        subprocess.run(command.split(), check=True)
    return fd


def carry(ends, counts):
    """Packets from each to the other, for ever."""
    chance = random.Random(1)
    late = []
    while True:
        readable, _, _ = select.select(ends, [], [], 0.02)
        held, late = late, []
        for fd in readable:
            packet = os.read(fd, 65536)
            other = ends[1 - ends.index(fd)]
            fate = chance.random()
            counts["all"] += 1
            if fate < LOST:
                counts["lost"] += 1
            elif fate < LOST + LATE:
                late.append((other, packet))
            else:
                os.write(other, packet)
                if fate > 1 - TWICE:
                    os.write(other, packet)
        for other, packet in held:
            os.write(other, packet)


def serve(channel):
    """The other side: an echo server, in a child."""
    namespace()
    socket.send_fds(channel, [b"x"], [tun("10.9.0.2")])

    async def echo(reader, writer):
        while data := await reader.read(5000):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(echo, "10.9.0.2", 7000)
        channel.send(b"ready")
        async with server:
            await server.serve_forever()
    kevent.run(main())


async def ask(data):
    """All that was sent comes back, in order."""
    reader, writer = await asyncio.open_connection("10.9.0.2", 7000)

    async def send():
        for at in range(0, len(data), 10_000):
            writer.write(data[at:at + 10_000])
            await writer.drain()
        writer.write_eof()
    sending = asyncio.ensure_future(send())
    assert await reader.read() == data
    await sending
    writer.close()


def main():
    try:
        namespace()
        ours, theirs = socket.socketpair()
        near = tun("10.9.0.1")
    except (OSError, subprocess.CalledProcessError) as exc:
        print("missing: root, /dev/net/tun or ip:", exc)
        return
    child = os.fork()
    if child == 0:
        try:
            serve(theirs)
        finally:
            os._exit(1)
    try:
        far = socket.recv_fds(ours, 10, 1)[1][0]
        assert ours.recv(10) == b"ready"
        counts = {"all": 0, "lost": 0}
        threading.Thread(target=carry, args=([near, far], counts), daemon=True).start()

        async def work():
            data = [random.Random(i).randbytes(SIZE) for i in range(4)]
            async with asyncio.timeout(100 * float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))):
                await asyncio.gather(*map(ask, data))
        kevent.run(work())
        assert counts["lost"] > 0, counts
        print("survived", counts)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


if __name__ == "__main__":
    sys.exit(main())
