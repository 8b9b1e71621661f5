"""Proves what an echo request asks of the kernel: one recv, one send, a share of a wait.

An echo server runs on a loop until it is warm, strace attaches to it, and an
exact number of requests goes through connections that stay open.  Any system
call beyond one receive and one send for each request and at most one wait for
each makes the command fail.
"""
from __future__ import annotations

import argparse
import tempfile

from .lib import machine, main, show
from .lib.load import HeldLoad, Load
from .lib.loops import Loop
from .lib.process import Server
from .lib.strace import Strace, StraceError
from .echo import add_options, server_options

KINDS = {
    "receive": ("recvfrom", "recvmsg", "read", "readv"),
    "send": ("sendto", "sendmsg", "write", "writev"),
    "wait": ("epoll_pwait2", "epoll_pwait", "epoll_wait"),
}
# The wait that strace interrupts is made again, and one is under way at the end.
WAITS_BEYOND = 2


def judge(trace: Strace, requests: int) -> list[str]:
    """What contradicts the claim; nothing if it holds."""
    count = {kind: sum(trace.calls[name] for name in names) for kind, names in KINDS.items()}
    known = {name for names in KINDS.values() for name in names}
    wrong = [f"{count[kind]:,} calls that {kind} for {requests:,} requests"
             for kind in ("receive", "send") if count[kind] != requests]
    if not 0 < count["wait"] <= requests + WAITS_BEYOND:
        wrong.append(f"{count['wait']:,} waits for {requests:,} requests")
    wrong += [f"{times:,} x {name}" for name, times in sorted(trace.calls.items())
              if name not in known]
    wrong += [f"{times:,} x {name}" for name, times in sorted(trace.failed.items())
              if not name.startswith(KINDS["wait"])]
    return wrong


def measure(loop: Loop, options) -> Strace:
    """Trace the requests.  Raises StraceError, ServerError, LoadError."""
    places = machine.places()
    load = Load(connections=options.connections, size=options.size,
                lines=options.read == "readline").exactly(
        options.requests, max(20 * options.connections, 500))
    with tempfile.TemporaryDirectory(prefix="kevent-syscalls-") as folder:
        path = f"{folder}/socket" if options.unix else None
        with Server.python(loop, "echo", *server_options(options), cpu=places.server,
                           unix=path) as server, \
                HeldLoad(load, server, places) as held:
            held.wait("warm")
            with Strace(server.pid) as trace:
                held.go()
                held.wait("measured")
            result = held.result()
    if not result.ok:
        raise StraceError(f"the echo was wrong: {result.error}")
    return trace


def run() -> int:
    """Trace, print the counts, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.syscalls",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--loop", type=Loop.parse, default=Loop.parse("kevent"),
                        help="kevent, uvloop, asyncio or [NAME=]MODULE:FACTORY[@PYTHON]")
    parser.add_argument("--requests", type=main.positive, default=5000)
    parser.add_argument("--log", help="keep strace's own lines in this file")
    add_options(parser)
    options = parser.parse_args()
    probe = options.loop.probe()
    if probe.reason is not None:
        print(f"{options.loop.name} cannot run: {probe.reason}")
        return main.FAILED
    main.prepare("loadgen")
    try:
        trace = measure(options.loop, options)
    except StraceError as error:
        print(f"not proved: {error}")
        return main.FAILED
    if options.log:
        with open(options.log, "w", encoding="utf-8") as log:
            log.write("\n".join(trace.lines) + "\n")
    print(f"{options.loop.name}, echo {options.api}, {options.size:,} B, "
          f"{options.connections} connections, {options.requests:,} requests\n")
    rows = [[name, f"{count:,}", show.number(count / options.requests, 3)]
            for name, count in trace.calls.most_common()]
    print(show.table(["system call", "calls", "per request"], rows), end="\n\n")
    wrong = judge(trace, options.requests)
    for line in wrong:
        print(f"FAILED: {line}")
    if not wrong:
        print("proved: each request costs one receive, one send, its share of a wait "
              "and nothing else")
    return main.FAILED if wrong else 0


if __name__ == "__main__":
    main.run(run)
