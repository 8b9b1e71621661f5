"""The programs of benchmarks/examples: in C on the core alone, and in Python."""
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.lib.load import Load  # noqa: E402
from benchmarks.lib.machine import Places  # noqa: E402
from benchmarks.lib.process import Server  # noqa: E402

EXAMPLES = ROOT / "benchmarks" / "examples"
PAGE = b"<html><body>kevent, 2006</body></html>\n"
SHARED = Places(None, None)


def command(name):
    """How to run an example, "evtest.c" or "evtest.py"; a C program is built."""
    if name.endswith(".py"):
        return [sys.executable, str(EXAMPLES / name)]
    if shutil.which("make") is None:
        pytest.skip("no make here")
    target = f"build/{name.removesuffix('.c')}/program"
    subprocess.run(["make", "-s", "-f", "tests/core/core.mk", target], cwd=ROOT, check=True,
                   timeout=300)
    return [str(ROOT / target)]


def test_built_twice_at_once(tmp_path):
    """A program that another make builds again is whole whenever it is run."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    for folder in ("csrc/kev", "tests/core", "benchmarks/examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    make = ["make", "-s", "-B", "-f", "tests/core/core.mk", "build/evtest/program"]
    subprocess.run(make, cwd=tmp_path, check=True, timeout=300)
    builds = [subprocess.Popen(make, cwd=tmp_path) for _ in range(2)]
    try:
        while any(build.poll() is None for build in builds):
            subprocess.run([tmp_path / "build/evtest/program", "-n", "1"], check=True, timeout=60,
                           stdout=subprocess.DEVNULL)
    finally:
        assert [build.wait(300) for build in builds] == [0, 0]
    assert not list(tmp_path.glob("build/**/*.[0-9]*"))


@pytest.fixture(params=["webserver.c", "webserver.py"])
def server(request):
    """The web server, listening."""
    with Server(command(request.param)) as running:
        yield running


@pytest.mark.parametrize("name, options", [
    ("evtest.c", []),
    ("evtest.c", ["-o", "-n", "1000", "-N", "1000000", "-v"]),
    ("evtest.py", []),
    ("evtest.py", ["1000", "20000000", "1"]),
])
def test_evtest(name, options):
    """Each of many timers with nearly one interval comes in its time."""
    done = subprocess.run([*command(name), *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = re.search(r"evtest: (\d+) timers came (\d+) times in (\d+) events, each at least (\d+)",
                      done.stdout)
    timers, told, events, least = map(int, found.groups())
    assert told >= events >= timers and least >= 1
    if "-v" in options:
        assert done.stdout.count("\ntimer ") + done.stdout.startswith("timer ") == events


def test_thousand_clients(server, tmp_path):
    """1,000 connections under the load generator, which checks every answer."""
    page = tmp_path / "page"
    page.write_bytes(PAGE)
    result = Load(mode="http", connections=1000, requests=20_000, warmup=0.0, timeout=30.0,
                  routes=(f"GET / expect={page}",)).run(server, SHARED)
    assert result.ok and result.requests == 20_000 and result.wrong == 0, result.error


def test_clients_of_all_manners(server):
    """Pipelined requests, one in pieces, a connection that ends, nonsense, and a
    client that does not read until its receive window is full."""
    address = ("127.0.0.1", server.port)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(address, 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert answer.endswith(PAGE)
    with socket.create_connection(address, 10) as sock, sock.makefile("rb") as stream:
        sock.sendall(request[:10])
        sock.sendall(request[10:] + request * 3)
        assert stream.read(4 * len(answer)) == 4 * answer
    with socket.create_connection(address, 10) as sock:
        sock.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert sock.recv(100) == b""
    many = 30_000
    with socket.create_connection(address, 10) as sock:
        sock.sendall(request * many)
        sock.shutdown(socket.SHUT_WR)
        left = many * len(answer)
        while data := sock.recv(1 << 20):
            left -= len(data)
        assert left == 0
    assert server.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_an_event(server, number):
    """A signal ends the server as an event of its queue: with status 0."""
    server._process.send_signal(number)
    assert server._process.wait(10) == 0
