"""Runs a hostile program in a child process and judges how it ended."""
import os
import signal
import subprocess
import sys
import textwrap

SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))
LIMIT_S = 60 * SLOWNESS

PRELUDE = """\
import asyncio, faulthandler, gc, os, socket, sys, threading, time, weakref
faulthandler.enable()
import kevent
from kevent import _core

told = []

def new_loop():
    loop = kevent.new_event_loop()
    loop.set_exception_handler(lambda loop, context: told.append(context))
    return loop

def raises(expected, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except expected as exc:
        return exc
    raise AssertionError(f"{call!r} raised nothing")

def spin(loop, passes=5):
    for _ in range(passes):
        loop.call_soon(loop.stop)
        loop.run_forever()

class Recorder(asyncio.Protocol):
    '''Keeps its transport and counts what it hears of.'''
    transport = None
    lost = 0
    data = b""
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.data += data
    def connection_lost(self, exc):
        self.lost += 1

def connect(loop, protocol):
    '''A transport with that protocol, and the other end, a plain socket.'''
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport = loop._make_socket_transport(ours, protocol)
    spin(loop, 2)
    return transport, theirs

class Server:
    '''A protocol's other end over TCP: ports the loop listens on.'''
    def __init__(self, loop, factory):
        self.server = loop.run_until_complete(
            loop.create_server(factory, "127.0.0.1", 0))
        self.address = self.server.sockets[0].getsockname()
    def client(self):
        return socket.create_connection(self.address)
"""


def run(program, *, returncode=0, stderr=None, dev=False):
    """Run the program after PRELUDE; it must print "survived" and exit so.

    A negative status (a signal) is a crash, an expired LIMIT_S a hang.
    Returns what it printed to stdout and stderr.
    """
    source = PRELUDE + textwrap.dedent(program) + "\nprint('survived')\n"
    done = subprocess.run(
        [sys.executable, "-X", "dev" if dev else "utf8", "-c", source],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise AssertionError(f"killed by {name}:\n{done.stdout}{done.stderr}")
    assert done.returncode == returncode, (
        f"exit status {done.returncode}:\n{done.stdout}{done.stderr}")
    assert "survived" in done.stdout, done.stdout + done.stderr
    if stderr is not None:
        assert stderr in done.stderr, done.stderr
    return done.stdout, done.stderr
