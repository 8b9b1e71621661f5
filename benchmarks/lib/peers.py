"""Other event loops, each in a virtual environment of its own.

A peer that cannot be installed, or does not work, is reported and not dropped.
"""
from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .loops import Loop
from .native import HERE

# What the HTTP rows need beside a loop.
COMPANIONS = ("aiohttp", "uvicorn", "httptools")


@dataclass(frozen=True)
class Peer:
    """A loop that pip can install."""

    name: str
    factory: str

    @property
    def folder(self) -> Path:
        """Its virtual environment for this Python."""
        version = "%d.%d" % sys.version_info[:2]
        return HERE.parent / f".venv-peers-{version}" / self.name

    @property
    def python(self) -> Path:
        """Its interpreter, there or not."""
        return self.folder / "bin" / "python"

    @property
    def loop(self) -> Loop:
        """The loop as the benchmarks name it."""
        return Loop(self.name, self.factory, str(self.python))

    def install(self) -> str | None:
        """Make the environment.  Returns None, or why that failed."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "-q"]
        try:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear",
                            str(self.folder)], check=True, capture_output=True, timeout=120)
            subprocess.run([*pip, self.name], check=True, capture_output=True, text=True,
                           timeout=600)
        except subprocess.CalledProcessError as error:
            lines = [line for line in str(error.stderr).strip().splitlines()
                     if "ERROR" in line or "error" in line]
            return lines[-1] if lines else f"pip ended with {error.returncode}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        for companion in COMPANIONS:
            # A row that lacks one says so.
            subprocess.run([*pip, companion], capture_output=True, timeout=600)
        return self.loop.probe().reason


PEERS = [Peer(name, f"{name}:new_event_loop") for name in (
    "uvloop", "rloop", "rsloop", "zuvloop", "veloxloop", "loopmini", "blazio", "zloop")]


def installed() -> list[Loop]:
    """The peers that `python -m benchmarks peers` has installed."""
    return [peer.loop for peer in PEERS if peer.python.exists()]


def install_all(names: list[str]) -> int:
    """Install the named peers, or all; one line for each.  Returns the exit status."""
    known = {peer.name: peer for peer in PEERS}
    unknown = set(names) - set(known)
    if unknown:
        print(f"no peer of that name: {', '.join(sorted(unknown))}; there are: "
              f"{', '.join(known)}")
        return 2
    for name in names or known:
        reason = known[name].install()
        print(f"{name}: {'installed' if reason is None else f'FAILED: {reason}'}", flush=True)
    return 0
