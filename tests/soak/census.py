"""What the process holds: descriptors, objects, memory, threads, children."""
import collections
import ctypes
import gc
import os
import sys
import sysconfig
import threading
import tracemalloc

# A type from one of these is counted; the rest is in the number of blocks.
WATCHED = ("kevent", "asyncio", "_asyncio", "tests.soak.world",
           "tests.soak.actors", "_ssl", "ssl", "subprocess", "socket")
BUILTIN = ("coroutine", "async_generator", "frame", "Context")


def descriptors():
    """{descriptor: what it is}, without the one that looks."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found


def resident_kib():
    """Resident memory of this process, in KiB."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise AssertionError("/proc/self/status names no VmRSS")


# The allocator of a Python without the GIL keeps freed pages, the more the
# more threads there are: resident memory swings by half of it from one round
# to the next, and is not judged there.
KEEPS_PAGES = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


class MallInfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks",
        "fsmblks", "uordblks", "fordblks", "keepcost")]


def allocated_kib():
    """What glibc has handed out, in KiB, without tracemalloc's own tables.

    Small blocks of Python's are not in it, but counted.  Without the GIL
    Python takes none from glibc: there it is what tracemalloc has seen, too.
    """
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = MallInfo
    info = mallinfo2()
    size = info.uordblks + info.hblkhd - tracemalloc.get_tracemalloc_memory()
    if KEEPS_PAGES:
        size += tracemalloc.get_traced_memory()[0]
    return size // 1024


def has_children():
    """Whether a child is there, running or not yet waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def objects():
    """{type's name: how many}, of the watched types that the collector knows."""
    counts = collections.Counter()
    for each in gc.get_objects():
        kind = type(each)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name.startswith(WATCHED) or kind.__name__ in BUILTIN:
            counts[name] += 1
    return counts


class Census:
    """A count of all of it, after a full collection."""

    def __init__(self, loop):
        for _ in range(3):
            gc.collect()
        ctypes.CDLL(None).malloc_trim(0)    # what is free is not held
        self.descriptors = descriptors()
        self.objects = objects()
        self.threads = threading.active_count()
        self.children = has_children()
        self.watched = len(loop._selector.get_map())
        self.ready = len(loop._ready)
        self.blocks = sys.getallocatedblocks()
        self.allocated_kib = allocated_kib()
        self.resident_kib = 0 if KEEPS_PAGES else resident_kib()

    def leaks_since(self, before):
        """Sentences about what is there now and was not there before."""
        leaks = []
        for fd, what in self.descriptors.items():
            if before.descriptors.get(fd) is None:
                leaks.append(f"descriptor {fd} left open: {what}")
        for name, count in (self.objects - before.objects).items():
            leaks.append(f"{count} more of {name}")
        if self.threads > before.threads:
            leaks.append(f"{self.threads - before.threads} more threads")
        if self.children:
            leaks.append("a child that nobody waited for")
        if self.watched > before.watched:
            leaks.append(f"{self.watched - before.watched} more descriptors "
                         "are watched")
        if self.ready:
            leaks.append(f"{self.ready} callbacks still queued")
        return leaks
