"""A trivial web server on the kevent calls alone, without asyncio: ACCEPT on
the listener, RECV and SEND on each connection, a SIGNAL that ends it.

    python benchmarks/examples/webserver.py [port]     (0: any)

Prints its pid and port as a line of JSON when it listens, answers every GET with the same page, and ends
on SIGTERM or SIGINT.  The kevents are in the default mode, which reports news
only: each is drained until it would block.  webserver.c is the same in C.
"""
from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys

import kevent
from kevent import KEVENT_CTL_ADD, KEVENT_CTL_MODIFY, KEVENT_CTL_REMOVE, kevent_ctl, ukevent

PAGE = b"<html><body>kevent, 2006</body></html>\n"
ANSWER = (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b"
          % (len(PAGE), PAGE))
HEAD_MAX = 4096
SLOTS = 1024


class Connection:
    """One client: the beginning of its next request, what it is owed."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.head = b""
        self.owed = bytearray()
        self.ends = False
        self.wants_send = False

    def receive(self) -> bool:
        """Take all that there is; False if that is no client of ours."""
        while not self.ends:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                break
            self.ends = not data
            *requests, self.head = (self.head + data).split(b"\r\n\r\n")
            for request in requests:
                if not request.startswith(b"GET "):
                    return False
                self.ends |= b"\r\nconnection: close" in request.lower()
            self.owed += ANSWER * len(requests)
            if len(self.head) > HEAD_MAX:
                return False
        return True

    def send(self) -> bool:
        """Send what can be sent; False when this was the end."""
        try:
            while self.owed:
                del self.owed[:self.sock.send(self.owed)]
        except BlockingIOError:
            pass
        return bool(self.owed) or not self.ends


class Server:
    """The queue, its ring, and whose each descriptor is."""

    def __init__(self, port: int) -> None:
        self.ring = kevent.Ring(SLOTS)
        self.fd = kevent.kevent_init(self.ring)
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.listener.setblocking(False)
        self.connections: dict[int, Connection] = {}
        self.starved = False
        for number in (signal.SIGTERM, signal.SIGINT):
            # NOMASK: the queue alone hears of it, not the handler that is set.
            self.control(KEVENT_CTL_ADD, (number, kevent.KEVENT_SIGNAL_NOMASK),
                         kevent.KEVENT_SIGNAL, kevent.KEVENT_SIGNAL_DELIVERY)
        self.control(KEVENT_CTL_ADD, self.listener.fileno(), kevent.KEVENT_SOCKET,
                     kevent.KEVENT_SOCKET_ACCEPT)

    def control(self, cmd: int, number, kind: int, event: int = 0) -> None:
        """kevent_ctl with one element."""
        failed = kevent_ctl(self.fd, cmd, [
            ukevent(number, kind, event, kevent.KEVENT_REQ_ALWAYS_QUEUE,
                    number if kind == kevent.KEVENT_SOCKET else 0)])
        if failed and cmd != KEVENT_CTL_REMOVE:
            raise OSError(2**32 - failed[0].ret_data[1], "kevent_ctl")

    def accept(self) -> None:
        """Take all who knock."""
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError:
                self.starved = True     # no descriptor: again when one is closed
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[sock.fileno()] = Connection(sock)
            self.control(KEVENT_CTL_ADD, sock.fileno(), kevent.KEVENT_SOCKET,
                         kevent.KEVENT_SOCKET_RECV)

    def close(self, fd: int) -> None:
        """Let a client go."""
        self.control(KEVENT_CTL_REMOVE, fd, kevent.KEVENT_SOCKET)
        self.connections.pop(fd).sock.close()
        if self.starved:
            # MODIFY asks again what is still so: who knocked is told of.
            self.starved = False
            self.control(KEVENT_CTL_MODIFY, self.listener.fileno(), kevent.KEVENT_SOCKET,
                         kevent.KEVENT_SOCKET_ACCEPT)

    def serve(self, fd: int, broken: bool) -> None:
        """News of a client."""
        client = self.connections[fd]
        try:
            goes_on = not broken and client.receive() and client.send()
        except OSError:
            goes_on = False
        if not goes_on:
            self.close(fd)
        elif bool(client.owed) != client.wants_send:
            client.wants_send = bool(client.owed)
            self.control(KEVENT_CTL_MODIFY, fd, kevent.KEVENT_SOCKET,
                         kevent.KEVENT_SOCKET_RECV
                         | (kevent.KEVENT_SOCKET_SEND if client.owed else 0))

    def run(self) -> None:
        """Until a signal comes."""
        listener = self.listener.fileno()
        # The ring's memory as ints: a head of 2, then 10 for each event.
        words = memoryview(self.ring).cast("B").cast("I")
        tail = 0
        while True:
            for _ in range(kevent.kevent_wait(self.fd, SLOTS, commit=tail)):
                kind, flags, fd = (words[2 + 10 * tail + i] for i in (2, 5, 8))
                tail = (tail + 1) % SLOTS
                if kind == kevent.KEVENT_SIGNAL:
                    return
                if fd == listener:
                    self.accept()
                else:
                    self.serve(fd, bool(flags & kevent.KEVENT_RET_BROKEN))


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = Server(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    port = server.listener.getsockname()[1]
    print(json.dumps({"pid": os.getpid(), "port": port}), flush=True)
    server.run()
    kevent.kevent_close(server.fd)
    server.listener.close()


if __name__ == "__main__":
    main()
