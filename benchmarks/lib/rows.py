"""The rows of the comparison: what is measured on each loop, and how."""
from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..inside import WORKLOADS
from ..servers import content
from .load import HeldLoad, Load, LoadError, Result
from .loops import Loop
from .machine import Places
from .native import HERE
from .process import Server, pinned
from .results import OURS

CERTIFICATE = HERE.parent / "tests" / "aio" / "localhost.pem"
# Some loops look at all their timers to cancel one: a million would take hours.
INSIDE_SECONDS = 20.0


@dataclass(frozen=True)
class Context:
    """What a measurement needs to know.  Loop None is the server in C."""

    places: Places
    folder: Path
    seconds: float
    scale: float


@dataclass(frozen=True)
class Row:
    """A row: its name for options and files, its title for people."""

    name: str
    group: str
    title: str
    unit: str
    has_limit: bool = True
    # A row that asks the same of every loop but ours.
    twin: str | None = field(default=None, kw_only=True)

    def measure(self, loop: Loop | None, context: Context) -> dict:
        """One value and what belongs to it.

        Raises ServerError, LoadError; a wrong answer is a LoadError, too.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ServerRow(Row):
    """A server under load: microseconds of its CPU for a request."""

    module: str = "echo"
    options: tuple[str, ...] = ()
    our_options: tuple[str, ...] = ()       # kevent's, where it offers something else
    c_options: tuple[str, ...] = ()
    load: Load = field(default_factory=Load)
    is_unix: bool = False
    is_tls: bool = False

    def start(self, loop: Loop | None, context: Context) -> Server:
        """The server, not yet started."""
        path = str(context.folder / "socket") if self.is_unix else None
        rest = {"cpu": context.places.server, "unix": path}
        if loop is None:
            return Server.c_epoll(*self.c_options, **rest)
        tls = ("--tls", str(CERTIFICATE)) if self.is_tls else ()
        options = self.our_options if loop.name == OURS and self.our_options else self.options
        return Server.python(loop, self.module, *options, *tls, **rest)

    def drive(self, server: Server, context: Context) -> Result:
        """The load, for the context's seconds."""
        load = replace(self.load, duration=context.seconds * (
            2 if self.load.connections > 1000 else 1), tls=self.is_tls)
        if self.load.mode == "http":
            body = context.folder / "json"
            body.write_bytes(content.JSON_BODY)
            load = replace(load, routes=(f"GET /json expect={body}",))
        return load.run(server, context.places)

    def measure(self, loop: Loop | None, context: Context) -> dict:
        with self.start(loop, context) as server:
            result = self.drive(server, context)
            if result.ok and not result.cpu:
                # On a busy machine the server may not run at all in so short a time.
                result = self.drive(server, replace(context, seconds=10 * context.seconds))
            if not result.ok or not result.cpu:
                raise LoadError(f"{result.wrong} wrong answers; "
                                f"{result.error or 'none in the measured time'}; "
                                f"{server.complaint()}")
        return {"value": result.cpu / 1e3, "per_second": result.per_second,
                "answers": result.answers, "waited": result.waited_share,
                "latency_ns": result.raw["latency_ns"]}


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LoadError("the server has no memory")


@dataclass(frozen=True)
class MemoryRow(ServerRow):
    """Connections that are open, have each echoed once, and are idle: bytes of each."""

    def measure(self, loop: Loop | None, context: Context) -> dict:
        count = self.load.connections
        with self.start(loop, context) as server:
            warm = replace(self.load, connections=10, duration=0.1, warmup=0.0)
            warm.run(server, context.places)
            before = resident_bytes(server.pid)
            with HeldLoad(self.load.exactly(count, count), server, context.places) as held:
                held.wait("warm")
                after = resident_bytes(server.pid)
        return {"value": (after - before) / count, "answers": count}


@dataclass(frozen=True)
class InsideRow(Row):
    """A workload of inside.py: nanoseconds an operation, the best of a process."""

    def measure(self, loop: Loop | None, context: Context) -> dict:
        assert loop is not None
        command = [loop.python, "-m", "benchmarks.inside", "--loop", loop.factory,
                   "--scale", str(context.scale), self.name]
        # Threads are to run beside the loop: those rows have both CPUs.
        cpu = None if self.group == "threads" else context.places.server
        try:
            done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True,
                                  timeout=INSIDE_SECONDS, stdin=subprocess.DEVNULL,
                                  preexec_fn=pinned(cpu))
            answer = json.loads(done.stdout.strip().splitlines()[-1])
        except subprocess.TimeoutExpired:
            raise LoadError(f"did not end in {INSIDE_SECONDS:.0f} s") from None
        except (IndexError, ValueError):
            last = done.stderr.strip().splitlines() or ["it died"]
            raise LoadError(last[-1]) from None
        if "error" in answer:
            raise LoadError(answer["error"])
        return {"value": answer["ns"], "every": answer["every"]}


CPU = "us of server CPU"


def _echo(name: str, title: str, *, api: str = "protocol", **rest) -> ServerRow:
    load = Load(timeout=4.0, **{key: rest.pop(key) for key in (
        "connections", "size", "depth", "mode", "udp", "lines", "warmup") if key in rest})
    return ServerRow(name, rest.pop("group", "echo"), title, CPU, options=("--api", api),
                     load=load, **rest)


def _streams(name: str, title: str, read: str, **load) -> list[ServerRow]:
    """Two rows: asyncio's streams on every loop, and kevent with kevent.streams."""
    how = ("--read", read, "--size", str(load.get("size", 1024)))
    load = Load(timeout=4.0, lines=read == "readline", **load)
    standard = ServerRow(f"streams{name}", "echo", f"asyncio's streams, {title}", CPU,
                         options=("--api", "streams", *how), load=load)
    return [standard, replace(standard, name=f"kstreams{name}", twin=standard.name,
                              title=f"{standard.title}; kevent with kevent.streams",
                              our_options=("--api", "kstreams", *how))]


SCALE = (1, 10, 100, 1_000, 10_000)

ROWS: dict[str, Row] = {row.name: row for row in [
    *(_echo(f"echo_{count}", f"Protocol, 1 KiB, {count:,} connection{'s' * (count > 1)}",
            connections=count, warmup=0.2 if count < 10_000 else 1.0) for count in SCALE),
    _echo("echo_100b", "Protocol, 100 B, 10 connections", size=100),
    _echo("echo_10k", "Protocol, 10 KiB, 10 connections", size=10_240),
    _echo("echo_100k", "Protocol, 100 KiB, 10 connections", size=102_400),
    _echo("echo_1m", "Protocol, 1 MiB, 10 connections", size=1_048_576),
    _echo("echo_deep", "Protocol, 1 KiB, 16 under way on each of 10", depth=16),
    _echo("buffered", "BufferedProtocol, 1 KiB, 10 connections", api="buffered"),
    _echo("buffered_100k", "BufferedProtocol, 100 KiB, 10 connections", api="buffered",
          size=102_400),
    *_streams("", "read(n), 1 KiB, 10 connections", "read"),
    *_streams("_line", "readline(), 1 KiB, 10 connections", "readline"),
    *_streams("_deep", "readline(), 1 KiB, 16 under way on each of 10", "readline", depth=16),
    *_streams("_100k", "readexactly(), 100 KiB, 10 connections", "readexactly", size=102_400),
    _echo("sock", "sock_recv and sock_sendall, 1 KiB, 10 connections", api="sock"),
    _echo("unix", "Protocol over a Unix socket, 1 KiB, 10 connections", is_unix=True),
    _echo("udp", "UDP, 1 KiB, 10 clients", api="udp", udp=True, c_options=("--udp",)),
    _echo("tls", "Protocol over TLS, 1 KiB, 10 connections", is_tls=True,
          c_options=("--tls", str(CERTIFICATE))),
    _echo("tls_100k", "Protocol over TLS, 100 KiB, 10 connections", is_tls=True,
          size=102_400, c_options=("--tls", str(CERTIFICATE))),
    _echo("churn", "a new connection for each 1 KiB, 10 clients", mode="churn"),
    *(ServerRow(name, "http", title, CPU, False, module, options,
                load=Load(mode="http", connections=50, timeout=4.0))
      for name, title, module, options in (
          ("httptools", "a protocol with httptools, 50 clients", "http", ("--api", "httptools")),
          ("uvicorn", "uvicorn, 50 clients", "http", ("--api", "uvicorn")),
          ("aiohttp", "aiohttp, 50 clients", "web", ()))),
    MemoryRow("idle_10000", "memory", "10,000 idle connections",
              "bytes a connection", load=Load(connections=10_000), options=("--api", "protocol")),
    *(InsideRow(one.name, one.group, one.title, "ns", False) for one in WORKLOADS.values()),
]}

QUICK = ("echo_10", "echo_100", "streams", "sock", "churn", "httptools", "aiohttp",
         "call_soon_chain", "timer_create_cancel", "timers_among_1000", "timers_among_100000",
         "sleep0", "create_task", "thread_wakeup", "run_nothing")
