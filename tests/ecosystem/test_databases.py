"""redis-py and asyncpg on kevent's loop, with the real servers."""
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from .conftest import LIMIT_S, needs, server_binary, serving


def free_port():
    """A TCP port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def redis():
    """A redis-server of our own: (its port, its Unix socket)."""
    server = server_binary("redis-server")
    with tempfile.TemporaryDirectory() as folder:
        port, path = free_port(), f"{folder}/redis.sock"
        command = [server, "--port", str(port), "--bind", "127.0.0.1",
                   "--unixsocket", path, "--dir", folder, "--save", "",
                   "--daemonize", "no"]
        with serving(command, "ready to accept connections (?:at|unix)",
                     stop=signal.SIGTERM):
            yield port, path


@needs("redis")
@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_redis(program, redis, way):
    """redis-py talks to redis-server over TCP and over its Unix socket."""
    port, path = redis
    subprocess.run([shutil.which("redis-cli"), "-p", str(port), "flushall"],
                   check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
    program("redis_client.talk", f"redis://127.0.0.1:{port}" if way == "tcp"
            else f"unix://{path}")


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL of our own, not as root: (its folder, its port)."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    server = server_binary("postgres", *folders)
    binaries = os.path.dirname(os.path.realpath(server))
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        if as_user:
            shutil.chown(folder, "postgres")
        data = f"{folder}/data"
        environment = dict(os.environ, LC_ALL="C")
        subprocess.run(
            [*as_user, f"{binaries}/initdb", "-D", data, "-U", "postgres",
             "-A", "trust", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S,
            cwd=folder, env=environment)
        port = free_port()
        command = [*as_user, f"{binaries}/postgres", "-D", data, "-p",
                   str(port), "-k", folder, "-c",
                   "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        stop = [*as_user, f"{binaries}/pg_ctl", "-D", data, "-m", "fast",
                "-w", "stop"]
        with serving(command, "database system is ready", cwd=folder,
                     env=environment, stop_by=stop):
            yield folder, port


@needs("asyncpg")
def test_asyncpg(program, postgres):
    """asyncpg talks to PostgreSQL over its Unix socket and over TCP."""
    program("asyncpg_client.talk", *postgres)
