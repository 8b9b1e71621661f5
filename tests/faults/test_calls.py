"""Every call that the extension makes to the kernel or for memory fails in
turn: a clean exception or none, nothing left behind, a loop that goes on.

The short form has a few errors; KEVENT_FULL=1 (make faults) has all.
"""
import os
import re
import subprocess
import sys

import pytest

import kevent._core

from .scenarios import SCENARIOS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FULL = os.environ.get("KEVENT_FULL") == "1"
SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))

ERRORS = ("ENOMEM", "EINTR", "EAGAIN", "short", "ECONNRESET", "EPIPE", "EMFILE", "ENFILE",
          "ENOSPC", "EPERM", "ENOSYS") if FULL else ("ENOMEM", "EINTR,short", "EPERM")

# What cannot fail, or is not asked of the kernel.
HARMLESS = """
    free close munmap clock_gettime nanosleep sched_yield
    memchr memcmp memcpy memmem memmove memset memrchr snprintf strcmp strerror strlen strnlen
    strncmp inet_ntop inet_pton getpid secure_getenv if_indextoname sigaction sigaddset sigdelset sigemptyset
    __libc_current_sigrtmin pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock
    pthread_mutex_unlock pthread_self __errno_location __stack_chk_fail __cxa_finalize
    __tls_get_addr abort qsort
""".split()


def run(inject, *arguments, timeout=110, **environment):
    """The program under the library; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.program", *map(str, arguments)], cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": inject, **environment}, capture_output=True,
        text=True, timeout=timeout * SLOWNESS)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr[-3000:])
    assert "survived" in done.stdout
    return done.stdout


@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_each_call_fails_once(inject, name, errors):
    """The nth call fails, for n from 0 until none is left to fail."""
    run(inject, name, errors)


@pytest.mark.skipif(not FULL, reason="only in make faults")
@pytest.mark.parametrize("name", SCENARIOS)
def test_many_calls_fail(inject, name):
    """Every fifth call and more: those that clean up fail, too."""
    run(inject, name, "ENOMEM,EPERM", 0, 5)


def symbols(path, *options):
    """Names of nm -D."""
    text = subprocess.run(["nm", "-D", *options, path], capture_output=True, text=True,
                          check=True).stdout
    return set(re.findall(r" [UTW] (\w+)", text))


def test_no_call_goes_round(inject):
    """Whatever the extension takes from the C library passes through inject.c,
    or cannot fail."""
    wanted = {name for name in symbols(kevent._core.__file__, "--undefined-only")
              if not name.startswith(("Py", "_Py"))}
    assert wanted - symbols(inject, "--defined-only") - set(HARMLESS) == set()


@pytest.mark.parametrize("calls", ["fstat", "epoll_ctl", "send"])
def test_it_sees_what_is_wrong(inject, calls):
    """A call that fails for ever is not survived: the program notices."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.program", "tcp", "EINTR"], cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": inject, "KEVENT_DENY": f"{calls}=12"},
        capture_output=True, text=True, timeout=60 * SLOWNESS)
    assert (done.returncode == 0) == (calls == "fstat")
