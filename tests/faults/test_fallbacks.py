"""On an old kernel, or behind a filter of system calls: what is missing is
done without, and the same tests pass.

The short form has a few of the tests; KEVENT_FULL=1 (make fallbacks) all.
"""
import errno
import os
import subprocess
import sys

import pytest

import kevent._core

from .test_calls import FULL, ROOT, SLOWNESS, symbols

NOSYS, PERM, INVAL = errno.ENOSYS, errno.EPERM, errno.EINVAL

# What is denied, how, and where it is used.
DENIED = {
    "epoll_pwait2-ENOSYS": (f"epoll_pwait2={NOSYS}", "core kevent aio"),   # Linux 5.11
    "epoll_pwait2-EPERM": (f"epoll_pwait2={PERM}", "core kevent aio"),
    "accept4-ENOSYS": (f"accept4={NOSYS}", "aio"),
    "accept4-EPERM": (f"accept4={PERM}", "aio"),
    "MADV_WIPEONFORK": (f"madvise={INVAL}", "core kevent aio"),            # Linux 4.14
    "P_PIDFD": (f"waitid_pidfd={INVAL}", "core kevent"),                   # Linux 5.4
    "io_uring-ENOSYS": (f"io_uring_setup={NOSYS}", "core"),                # Linux 5.1
    "io_uring-EPERM": (f"io_uring_setup={PERM}", "core"),
    "recvmmsg-ENOSYS": (f"recvmmsg={NOSYS}", "aio"),
    "sendmmsg-ENOSYS": (f"sendmmsg={NOSYS}", "aio"),
    "recvmmsg-EPERM": (f"recvmmsg={PERM}", "aio"),
    "sendmmsg-EPERM": (f"sendmmsg={PERM}", "aio"),
}
TESTS = {
    "kevent": ["tests/kevent", "tests/selectors"] if FULL else
              ["tests/kevent/test_proc.py", "tests/kevent/test_kevent_queue.py"],
    "aio": ["tests/aio", "tests/entry", "tests/streams"] if FULL else
           ["tests/aio/test_servers.py", "tests/aio/test_timers.py", "tests/aio/test_udp.py",
            "tests/aio/test_udp_callbacks.py"],
}
# Ours, but for those that count how many datagrams one recvmmsg() takes, and
# those that measure how close to epoll_pwait2 a sleep ends.
SELECTED = ("not asyncio and not test_lists and not test_batch_leaves"
            " and not as_short_as_the_kernel")


def seen_in(inject, seen, denied, command, name):
    """Runs the command with calls denied; it must have come across them."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=900,
        # Without epoll_pwait2 a sleep ends at the next whole millisecond.
        env={**os.environ, "KEVENT_TEST_SLOWNESS": str(2 * SLOWNESS),
             "LD_PRELOAD": inject, "KEVENT_DENY": denied,
             "KEVENT_DENY_SEEN": str(seen)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert name in seen.read_text(), f"{name} was never called"


def used(denied):
    """Whether this build has the call at all."""
    name = denied.split("=")[0]
    return not name.endswith("mmsg") or name in symbols(
        kevent._core.__file__, "--undefined-only")


CASES = [(key, layer) for key, (denied, layers) in DENIED.items()
         for layer in layers.split() if used(denied)]


@pytest.mark.parametrize("key, layer", CASES)
def test_without(inject, tmp_path, key, layer):
    """The same tests pass where the call is not to be had."""
    denied, _ = DENIED[key]
    if layer == "core":
        subprocess.run(["make", "-s", "-f", "tests/core/core.mk", "build/core/program"],
                       cwd=ROOT, check=True, timeout=300)
        command = ["build/core/program", "core"]
        if not FULL:
            command.append({"MADV_WIPEONFORK": "owned", "P_PIDFD": "proc",
                            "io_uring-ENOSYS": "lull", "io_uring-EPERM": "lull"}.get(key, "wait"))
    else:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                   "-k", SELECTED, *TESTS[layer]]
    seen_in(inject, tmp_path / "seen", denied, command, denied.split("=")[0])


def test_a_process_cannot_be_watched(inject, tmp_path):
    """Before pidfds (Linux 5.3) a kevent of type PROC says ENOSYS; the queue
    goes on."""
    program = """if True:
        import errno, os, kevent
        with kevent.Queue(ring_size=8) as queue:
            try:
                queue.add(os.getpid(), kevent.KEVENT_PROC, kevent.KEVENT_PROC_EXIT)
            except OSError as exc:
                assert exc.errno == errno.ENOSYS, exc
            else:
                raise AssertionError
            queue.add(1, kevent.KEVENT_TIMER, 1)
            assert queue.wait(timeout=10**10) == 1
    """
    seen_in(inject, tmp_path / "seen", f"pidfd_open={NOSYS}",
            [sys.executable, "-c", program], "pidfd_open")
