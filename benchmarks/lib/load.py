"""Runs the load generator and reads what it found."""
from __future__ import annotations

import json
import select
import subprocess
from dataclasses import dataclass, field, replace

from .machine import Places
from .native import program
from .process import Server


class LoadError(Exception):
    """The load generator itself did not work."""


@dataclass(frozen=True)
class Load:
    """What is asked of a server.  Times in seconds, sizes in bytes.

    `requests`, if given, is the exact number in the measured window, in place
    of `duration`; `warmup_requests` likewise.  In `lockstep` the one client
    sends only while the server sleeps, `depth` requests in one piece.
    """

    mode: str = "echo"
    connections: int = 10
    size: int = 1024
    depth: int = 1
    routes: tuple[str, ...] = ()
    duration: float = 1.0
    warmup: float = 0.2
    requests: int | None = None
    warmup_requests: int | None = None
    timeout: float = 10.0
    seed: int = 1
    udp: bool = False
    lines: bool = False
    tls: bool = False
    lockstep: bool = False

    def command(self, server: Server, places: Places) -> list[str]:
        """The command line for a server that listens."""
        command = [program("loadgen"), "--mode", self.mode,
                   "--connections", str(self.connections), "--pid", str(server.pid),
                   "--timeout", str(self.timeout), "--seed", str(self.seed)]
        command += ["--unix", server.unix] if server.unix else ["--port", str(server.port)]
        command += ["--udp"] if self.udp else []
        command += ["--lines"] if self.lines else []
        command += ["--tls"] if self.tls else []
        command += ["--lockstep"] if self.lockstep else []
        if self.mode in ("echo", "churn"):
            command += ["--size", str(self.size), "--depth", str(self.depth)]
        for route in self.routes:
            command += ["--route", route]
        command += (["--requests", str(self.requests)] if self.requests
                    else ["--duration", str(self.duration)])
        command += (["--warmup-requests", str(self.warmup_requests)] if self.warmup_requests
                    else ["--warmup", str(self.warmup)])
        if places.is_split:
            command += ["--busy", "--cpu", str(places.client)]
        return command

    @property
    def limit(self) -> float:
        """After how many seconds a run has certainly gone wrong."""
        known = 0.0 if self.requests else self.duration + self.warmup
        return known + 2 * self.timeout + (600.0 if self.requests else 30.0)

    def run(self, server: Server, places: Places) -> Result:
        """Drive the server.  Raises LoadError; what was wrong with the answers
        is in the result."""
        command = self.command(server, places)
        try:
            done = subprocess.run(command, capture_output=True, text=True,
                                  timeout=self.limit, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise LoadError(f"the load generator did not end in {self.limit:.0f} s") from None
        return Result.parse(done.stdout, done.stderr)

    def exactly(self, requests: int, warmup_requests: int | None = None) -> Load:
        """The same load, bounded by a number of requests."""
        return replace(self, requests=requests, warmup_requests=warmup_requests)


@dataclass(frozen=True)
class Result:
    """One measured window.  Times in nanoseconds unless a name says otherwise."""

    ok: bool
    requests: int
    per_second: float
    cpu: float
    p50: int
    p99: int
    p999: int
    answers: int
    wrong: int
    waited_share: float
    client_share: float
    error: str | None
    raw: dict = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, errors: str = "") -> Result:
        """Read the generator's last line."""
        try:
            raw = json.loads(text.strip().splitlines()[-1])
        except (IndexError, ValueError):
            last = errors.strip().splitlines() or ["the load generator said nothing"]
            raise LoadError(last[-1]) from None
        latency, server = raw["latency_ns"], raw["server"]
        window_ns = max(raw["seconds"] * 1e9, 1.0)
        return cls(
            ok=raw["ok"], requests=raw["requests"], per_second=raw["requests_per_second"],
            cpu=server["cpu_ns_per_request"],
            p50=latency["p50"], p99=latency["p99"], p999=latency["p999"],
            answers=raw["answers_checked"], wrong=raw["wrong_answers"],
            waited_share=server["waited_ns"] / window_ns,
            client_share=raw["client"]["cpu_share"], error=raw["first_error"], raw=raw)


class HeldLoad:
    """A context: a run that stops when it is warm and when it has measured.

    In between the server is idle with all its connections open, so that a
    tracer sees the measured requests and nothing else.
    """

    def __init__(self, load: Load, server: Server, places: Places) -> None:
        self.load = load
        self._command = [*load.command(server, places), "--hold"]

    def __enter__(self) -> HeldLoad:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def wait(self, event: str) -> None:
        """Until the run says `event`.  Raises LoadError if it says anything else."""
        ready, _, _ = select.select([self._process.stdout], [], [], self.load.limit)
        line = self._process.stdout.readline() if ready else ""
        found = json.loads(line) if line else {}
        if found.get("event") != event:
            raise LoadError(f"instead of '{event}': {found.get('first_error') or 'nothing'}")

    def go(self) -> None:
        """Let the run go on."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self) -> Result:
        """Let it end.  Raises LoadError."""
        try:
            text, _ = self._process.communicate("\n", timeout=self.load.limit)
        except subprocess.TimeoutExpired:
            raise LoadError("the load generator did not end") from None
        return Result.parse(text)
