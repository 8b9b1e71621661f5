"""The machine: which CPUs to use, how to keep them awake, what it is."""
from __future__ import annotations

import os
import platform
import struct
from contextlib import contextmanager
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DMA_LATENCY = "/dev/cpu_dma_latency"


@dataclass(frozen=True)
class Places:
    """The CPU of the server and the CPU of its clients; None: not pinned."""

    server: int | None
    client: int | None

    @property
    def is_split(self) -> bool:
        """True if the client has a CPU to itself and may poll without sleeping."""
        return self.client is not None

    def __str__(self) -> str:
        if self.is_split:
            return f"server on CPU {self.server}, clients on CPU {self.client}"
        return "one CPU for server and clients"


def _siblings(cpu: int) -> set[int]:
    """The hardware threads of one core."""
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    found = set()
    try:
        for part in path.read_text().strip().split(","):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    except (OSError, ValueError):
        pass
    return found | {cpu}


def places() -> Places:
    """Two CPUs that this process may use, of two cores if there are."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        return Places(None, None)
    near = _siblings(cpus[0])
    return Places(cpus[0], next((cpu for cpu in cpus if cpu not in near), cpus[1]))


@contextmanager
def awake() -> Iterator[str | None]:
    """Ask the kernel not to let CPUs sleep deeply.

    Yields None, or a sentence that says why that cannot be had.
    """
    try:
        fd = os.open(DMA_LATENCY, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        yield (f"{DMA_LATENCY} cannot be held ({error.strerror}): latencies and requests/s "
               "hold the time in which an idle CPU wakes up; CPU per request does not.")
        return
    try:
        os.write(fd, struct.pack("i", 0))
        yield None
    finally:
        os.close(fd)


def describe() -> str:
    """Processor, kernel and C library in one line."""
    model = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    libc = " ".join(platform.libc_ver()) or "another libc"
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, {libc}"
