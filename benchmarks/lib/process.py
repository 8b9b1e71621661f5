"""Server processes that are there when they are needed and gone afterwards."""
from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Callable, Sequence

from .loops import Loop
from .native import HERE, program


class ServerError(Exception):
    """A server did not start or did not live."""


def pinned(cpu: int | None) -> Callable[[], None] | None:
    """What a child calls before it runs its program, for Popen."""
    if cpu is None:
        return None
    return lambda: os.sched_setaffinity(0, {cpu})


class Server:
    """A context: starts a server, waits until it listens, ends it.

    The process has to print one line of JSON with its pid and its port.
    `prefix` is a command that runs the server (valgrind and the like).
    """

    def __init__(self, command: Sequence[str], *, cpu: int | None = None,
                 unix: str | None = None, prefix: Sequence[str] = (),
                 env: dict[str, str] | None = None, timeout: float = 30.0) -> None:
        self.command = [*prefix, *command, *(("--unix", unix) if unix else ())]
        self.cpu = cpu
        self.unix = unix
        self.env = {**os.environ, **(env or {})}
        self.timeout = timeout
        self.pid = 0
        self.port = 0

    @classmethod
    def python(cls, loop: Loop, module: str, *options: str, **rest) -> Server:
        """A module of benchmarks.servers on a loop."""
        return cls([loop.python, "-m", f"benchmarks.servers.{module}",
                    "--loop", loop.factory, *options], **rest)

    @classmethod
    def c_epoll(cls, *options: str, **rest) -> Server:
        """The reference in C."""
        return cls([program("cepoll"), *options], **rest)

    def __enter__(self) -> Server:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self.command, cwd=HERE.parent, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self._errors, preexec_fn=pinned(self.cpu))
        try:
            ready, _, _ = select.select([self._process.stdout], [], [], self.timeout)
            line = self._process.stdout.readline() if ready else b""
            if not line:
                raise ServerError(f"no server after {self.timeout:.0f} s: {self.complaint()}"
                                  if not ready else self.complaint())
            answer = json.loads(line)
            self.pid, self.port = answer["pid"], answer["port"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._process.stdout.close()
        self._errors.close()
        if self.unix:
            try:
                os.unlink(self.unix)
            except FileNotFoundError:
                pass

    def stop(self, patience: float = 5.0) -> None:
        """End the process, whatever it does."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def is_alive(self) -> bool:
        """True while the process runs."""
        return self._process.poll() is None

    def complaint(self) -> str:
        """The last thing that the server wrote to stderr."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "the server said nothing"
