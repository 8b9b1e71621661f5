"""Load over TLS, in Python: the load generator in C knows no TLS.

It says about a server what loadgen says, in the same JSON.  It needs several
times the CPU of the servers it drives, which therefore wait for it: requests/s
are its own, and only the server's CPU per request is a result.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import socket
import ssl
import time

PERCENTILES = {"p10": 0.10, "p25": 0.25, "p50": 0.50, "p75": 0.75, "p90": 0.90,
               "p95": 0.95, "p99": 0.99, "p999": 0.999}


def server_cpu_ns(pid: int) -> int:
    """The CPU clock of another process, as clock_getcpuclockid(3) numbers it."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def connect(port: int) -> ssl.SSLSocket:
    """A client that trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), timeout=10.0)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain)


class Clients:
    """Connections that each send, then each receive, one message."""

    def __init__(self, port: int, connections: int, size: int) -> None:
        self.pool = random.Random(port).randbytes(size + 4096)
        self.size = size
        self.socks = [connect(port) for _ in range(connections)]
        self.answers = self.wrong = 0
        self.latencies: list[int] = []

    def turn(self) -> None:
        """One message on each connection; each byte of the answers is compared."""
        under_way = []
        for number, sock in enumerate(self.socks):
            start = (self.answers * 7 + number * 131) % 4096
            message = self.pool[start:start + self.size]
            under_way.append((sock, message, time.perf_counter_ns()))
            sock.sendall(message)
        for sock, message, begin in under_way:
            got = bytearray()
            while len(got) < len(message):
                part = sock.recv(len(message) - len(got))
                if not part:
                    raise ConnectionError("the server closed the connection")
                got += part
            self.latencies.append(time.perf_counter_ns() - begin)
            self.answers += 1
            self.wrong += got != message

    def run(self, seconds: float) -> None:
        """Turns until the time is up."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.turn()


def main() -> None:
    """Drive a server and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--duration", type=float, default=1.0)
    parser.add_argument("--warmup", type=float, default=0.3)
    parser.add_argument("--cpu", type=int)
    options = parser.parse_args()
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    clients = Clients(options.port, options.connections, options.size)
    clients.run(options.warmup)
    clients.latencies.clear()
    cpu, own, begin = server_cpu_ns(options.pid), time.process_time(), time.perf_counter()
    clients.run(options.duration)
    seconds = time.perf_counter() - begin
    cpu = server_cpu_ns(options.pid) - cpu
    own = time.process_time() - own
    found = sorted(clients.latencies)
    print(json.dumps({
        "event": "report", "mode": "tls", "ok": not clients.wrong, "requests": len(found),
        "seconds": seconds, "requests_per_second": len(found) / seconds,
        "answers_checked": clients.answers,
        "latency_ns": {name: found[min(int(len(found) * share), len(found) - 1)]
                       for name, share in PERCENTILES.items()},
        "server": {"cpu_ns": cpu, "cpu_ns_per_request": cpu / max(len(found), 1),
                   "waited_ns": 0},
        "client": {"cpu_share": own / seconds}, "wrong_answers": clients.wrong,
        "first_error": "an answer was wrong" if clients.wrong else None}))


if __name__ == "__main__":
    main()
