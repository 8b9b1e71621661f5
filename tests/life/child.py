"""Programs that live and die in unusual ways, each in a process of its own."""
import os
import signal
import subprocess
import sys
import textwrap

SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))
LIMIT_S = 120 * SLOWNESS

PRELUDE = """\
import asyncio, faulthandler, gc, os, signal, socket, sys, threading, time, warnings
faulthandler.enable()
import kevent, kevent.streams

class Sink(asyncio.Protocol):
    transport = None
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.data = data

async def open_everything():
    '''One of each that a loop can have open.'''
    loop = asyncio.get_running_loop()
    kept = []
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    kept += await loop.create_connection(Sink, *address)
    kept += await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    reading, writing = os.pipe()
    kept.append((await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reading, "rb")))[0])
    kept.append((await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb")))[0])
    left, right = socket.socketpair()
    loop.add_reader(left, print)
    kept += [server, left, right]
    kept[0].write(bytes(5_000_000))                       # more than fits
    kept.append(loop.call_later(1000, print, kept))
    kept.append(loop.call_soon(print))
    kept[-1].cancel()
    kept.append(loop.create_future())
    kept.append(loop.create_task(asyncio.sleep(1000)))
    reader, writer = await kevent.streams.open_connection(*address)
    kept += [reader, writer]
    await asyncio.sleep(0)
    return kept
"""


def run(program, *, status=0, argv=()):
    """Run the program after PRELUDE; it must exit with that status (a signal's
    is negative).  Returns what it printed to stdout and to stderr."""
    source = PRELUDE + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", source, *argv], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=LIMIT_S)
    said = f"exit status {done.returncode}:\n{done.stdout}{done.stderr}"
    if done.returncode < 0 and done.returncode != status:
        said = f"killed by {signal.Signals(-done.returncode).name}, {said}"
    assert done.returncode == status, said
    assert "Fatal Python error" not in done.stderr, said
    return done.stdout, done.stderr
