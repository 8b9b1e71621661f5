"""Servers that answer as they are told, wrongly for the most part."""
from __future__ import annotations

import os
import re
import socket
import socketserver
import ssl
import threading
from contextlib import contextmanager
from types import SimpleNamespace

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128


@contextmanager
def serving(talk):
    """A TCP server whose talk(sock) is called in a thread for each connection."""
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                talk(self.request)
            except OSError:
                pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield SimpleNamespace(pid=os.getpid(), port=server.server_address[1], unix=None)
        finally:
            server.shutdown()
            thread.join()


def echo(change=lambda number, data: data, size=1024):
    """An echo of whole messages; change(number, data) may spoil one."""
    def talk(sock):
        number = 0
        with sock.makefile("rb") as stream:
            while len(data := stream.read(size)) == size:
                sock.sendall(change(number, data))
                number += 1
    return talk


def over_tls(talk, certificate):
    """The same talk, encrypted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def encrypted(sock):
        with context.wrap_socket(sock, server_side=True) as inner:
            talk(inner)
    return encrypted


def http(answer, piece=1 << 20):
    """Answers each request with answer(path, body), sent in pieces of that size."""
    def talk(sock):
        with sock.makefile("rb") as stream:
            while line := stream.readline():
                head = b""
                while (header := stream.readline()) not in (b"\r\n", b""):
                    head += header
                length = LENGTH.search(head)
                body = stream.read(int(length[1])) if length else b""
                reply = answer(line.split()[1].decode(), body)
                for at in range(0, len(reply), piece):
                    sock.sendall(reply[at:at + piece])
    return talk


def websocket(accept, change=lambda data: data):
    """Upgrades with that Sec-WebSocket-Accept, then echoes binary frames."""
    def talk(sock):
        with sock.makefile("rb") as stream:
            while stream.readline() not in (b"\r\n", b""):
                pass
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept)
            while head := stream.read(2):
                assert head[0] == 0x82 and head[1] & 0x80, "not a masked binary frame"
                size, more = head[1] & 0x7f, b""
                if size >= 126:
                    more = stream.read(2 if size == 126 else 8)
                    size = int.from_bytes(more, "big")
                key = stream.read(4)
                data = bytes(byte ^ key[i % 4] for i, byte in enumerate(stream.read(size)))
                sock.sendall(bytes([0x82, head[1] & 0x7f]) + more + change(data))
    return talk
