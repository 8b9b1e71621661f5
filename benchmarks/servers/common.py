"""What every server does at its start: which loop, who it dies with, its port."""
from __future__ import annotations

import argparse
import asyncio
import ctypes
import importlib
import json
import os
import resource
import signal
from collections.abc import Callable, Coroutine

PR_SET_PDEATHSIG = 1


def resolve(factory: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Import MODULE:FACTORY."""
    module, _, name = factory.partition(":")
    return getattr(importlib.import_module(module), name)


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every server has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--loop", default="asyncio:SelectorEventLoop",
                        metavar="MODULE:FACTORY")
    parser.add_argument("--unix", metavar="PATH", help="listen there instead of on TCP")
    return parser


def serve(factory: str, main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run main() on a new loop until a signal ends the process."""
    # A server whose benchmark was killed must not stay behind.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=resolve(factory)) as runner:
        runner.run(main())


def announce(port: int) -> None:
    """Tell whoever started this process that it listens (port 0: not TCP)."""
    print(json.dumps({"pid": os.getpid(), "port": port}), flush=True)
