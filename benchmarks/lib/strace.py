"""Counts the system calls of a process that runs, with strace."""
from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections import Counter

CALL = re.compile(r"^(?:\d+\s+)?(\w+)\(")
RESUMED = re.compile(r"^(?:\d+\s+)?<\.\.\. (\w+) resumed>")
RETURNED = re.compile(r"= (-?\d+)(?: ([A-Z]+))?")


class StraceError(Exception):
    """strace is missing or may not trace here."""


class Strace:
    """A context: everything that a process and its threads ask of the kernel.

    After it, `calls` counts them by name and `failed` those that returned an
    error.  The call in which a process sleeps when the trace begins was made
    before and is not counted.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.calls: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.lines: list[str] = []

    def __enter__(self) -> Strace:
        command = shutil.which("strace")
        if command is None:
            raise StraceError("strace is not installed (Debian, Ubuntu: apt-get install strace)")
        self._log = tempfile.NamedTemporaryFile(prefix="kevent-strace-", mode="r")
        self._process = subprocess.Popen(
            [command, "-f", "-o", self._log.name, "-p", str(self.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = b""
        while b"attached" not in said:
            ready, _, _ = select.select([self._process.stderr], [], [], 20.0)
            part = os.read(self._process.stderr.fileno(), 65536) if ready else b""
            if not part:
                self._process.kill()
                self._process.communicate()
                self._log.close()
                raise StraceError("strace cannot trace here: "
                                  + (said.decode(errors="replace").strip() or "it says nothing"))
            said += part
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.communicate(timeout=20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        with self._log as log:
            self.lines = log.read().splitlines()
        self._count()

    def _count(self) -> None:
        seen: set[str] = set()
        for line in self.lines:
            thread = line.split(" ", 1)[0]
            call = CALL.match(line)
            resumed = RESUMED.match(line)
            found = call or resumed
            if found is None:
                continue
            name = found[1]
            is_first = thread not in seen
            seen.add(thread)
            if is_first and (resumed or name == "restart_syscall" or "EINTR" in line):
                # In progress when strace came, which interrupted it.
                continue
            if call and "<detached" not in line:
                self.calls[name] += 1
            if "<unfinished" not in line:
                result = RETURNED.search(line.rpartition(")")[2])
                if result and result[1] == "-1":
                    self.failed[f"{name}: {result[2]}"] += 1
