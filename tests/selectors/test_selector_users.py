"""The standard library's users of selectors, running on KeventSelector."""
import asyncio
import selectors
import socket
import socketserver
import subprocess
import sys
import threading

import pytest

import kevent


@pytest.fixture
def as_default(monkeypatch):
    """selectors.DefaultSelector, and what was bound to it at import, is
    ours."""
    monkeypatch.setattr(selectors, "DefaultSelector", kevent.KeventSelector)
    monkeypatch.setattr(socketserver, "_ServerSelector",
                        kevent.KeventSelector)
    monkeypatch.setattr(subprocess, "_PopenSelector", kevent.KeventSelector)


def test_asyncio_event_loop():
    """A server, clients, a subprocess, a thread and timers on one loop."""
    async def echo(reader, writer):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def client(port, i):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        message = bytes([i]) * 100_000
        writer.write(message)
        writer.write_eof()
        assert await reader.read(-1) == message
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(client(port, i) for i in range(20)))
        server.close()
        assert await asyncio.to_thread(threading.get_ident)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print(input())",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = await process.communicate(b"hello\n")
        assert out == b"hello\n"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)

    loop = asyncio.SelectorEventLoop(kevent.KeventSelector())
    try:
        loop.run_until_complete(asyncio.wait_for(main(), 60))
    finally:
        loop.close()


def test_new_loops_take_the_default(as_default):
    """asyncio.run() on a rebound selectors.DefaultSelector."""
    async def main():
        return type(asyncio.get_running_loop()._selector)

    assert asyncio.run(main()) is kevent.KeventSelector


def test_socketserver(as_default):
    """serve_forever and shutdown."""
    class Upper(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(self.rfile.readline().upper())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upper) as server:
        thread = threading.Thread(target=server.serve_forever, args=(30,))
        thread.start()
        with socket.create_connection(server.server_address) as sock:
            sock.sendall(b"hello\n")
            assert sock.makefile().readline() == "HELLO\n"
        threading.Thread(target=server.shutdown).start()
        with socket.create_connection(server.server_address):
            pass    # wakes serve_forever before its poll interval is over
        thread.join(20)
        assert not thread.is_alive()


def test_subprocess_communicate(as_default):
    """More than a pipe holds, both ways, and a timeout."""
    program = "import sys; d = sys.stdin.read(); print(d); print(d, file=sys.stderr)"
    text = "x" * 500_000
    done = subprocess.run([sys.executable, "-c", program], input=text,
                          capture_output=True, text=True, timeout=60)
    assert done.stdout == done.stderr == text + "\n"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"],
                       timeout=0.05, capture_output=True)
