"""Subprocesses: options, many at once, signals, and what a child inherits."""
import asyncio
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from .helpers import turns

is_root = os.getuid() == 0


async def said(code, **options):
    """What the Python code prints in a child, as JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import json, os, signal, sys\n"
        f"print(json.dumps({code}))", stdout=subprocess.PIPE, **options)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


async def test_two_hundred_at_once():
    """200 children at a time: each its own status, none left."""
    processes = await asyncio.gather(*[
        asyncio.create_subprocess_exec("sh", "-c", f"read x; exit {n}",
                                       stdin=subprocess.PIPE)
        for n in range(200)])
    for process in processes:
        process.stdin.close()
    got = await asyncio.gather(*(process.wait() for process in processes))
    assert got == list(range(200))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


async def test_umask_and_group_and_pipesize():
    """umask, process_group, start_new_session, pipesize, cwd, env."""
    assert await said("os.umask(0)", umask=0o027) == 0o027
    pid, group = await said("[os.getpid(), os.getpgrp()]", process_group=0)
    assert pid == group != os.getpgrp()
    pid, session = await said("[os.getpid(), os.getsid(0)]",
                              start_new_session=True)
    assert pid == session
    size = await said("__import__('fcntl').fcntl(1, 1032)", pipesize=16384)
    assert size == 16384                   # F_GETPIPE_SZ
    assert await said("os.getcwd()", cwd="/") == "/"
    assert await said("os.environ['A']", env={"A": "b"}) == "b"


@pytest.mark.skipif(not is_root, reason="only root may become another user")
async def test_user_and_groups():
    """user, group, extra_groups."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "id -u; id -g; id -G", stdout=subprocess.PIPE, user=65534,
        group=65534, extra_groups=[7])
    out, _ = await process.communicate()
    assert out == b"65534\n65534\n65534 7\n"


async def test_descriptors():
    """close_fds closes the inheritable ones, too; pass_fds hands over."""
    rfd, wfd = os.pipe()
    os.set_inheritable(wfd, True)
    mine = f"os.path.exists('/proc/self/fd/{wfd}')"
    try:
        assert await said(mine) is False
        assert await said(mine, pass_fds=[wfd]) is True
        assert await said(mine, close_fds=False) is True
    finally:
        os.close(rfd)
        os.close(wfd)


async def test_preexec():
    """preexec_fn runs in the child."""
    assert await said("os.nice(0)", preexec_fn=lambda: os.nice(3)) == os.nice(0) + 3


async def test_no_blocked_signals_and_no_handler():
    """While a child runs SIGCHLD is as it was; in the child nothing is blocked
    and nothing ignored but what Python ignores."""
    before = signal.getsignal(signal.SIGCHLD)
    process = await asyncio.create_subprocess_exec("sleep", "100")
    try:
        assert signal.getsignal(signal.SIGCHLD) == before
        assert await said("[int(s) for s in signal.pthread_sigmask(0, [])]") \
            == [int(s) for s in signal.pthread_sigmask(0, [])]
    finally:
        process.kill()
        await process.wait()


def children_watched():
    """The processes that descriptors of this one stand for."""
    found = []
    for name in os.listdir("/proc/self/fdinfo"):
        try:
            with open(f"/proc/self/fdinfo/{name}") as lines:
                found += [int(line.split()[1]) for line in lines
                          if line.startswith("Pid:")]
        except OSError:
            pass                       # the one that listdir itself had open
    return found


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has a thread wait")
async def test_pidfd():
    """A child is watched by a pidfd: without a thread, without a handler for
    SIGCHLD, which may even be blocked."""
    if not asyncio.unix_events.can_use_pidfd():
        pytest.skip("no pidfd_open here (Linux 5.3, or it is forbidden)")
    threads = threading.active_count()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    try:
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", "read x; exit 3", stdin=subprocess.PIPE)
        assert process.pid in children_watched()
        assert threading.active_count() == threads
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
        process.stdin.close()
        assert await process.wait() == 3
        assert process.pid not in children_watched()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


async def test_own_sigchld_handler():
    """A handler for SIGCHLD of one's own gets on with the loop's children."""
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    loop.add_signal_handler(signal.SIGCHLD, called.set)
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
    assert await process.wait() == 5
    await called.wait()
    loop.remove_signal_handler(signal.SIGCHLD)


async def test_pipes_of_the_transport():
    """get_pipe_transport and its 'pipe', 'subprocess', pid, send_signal."""
    loop = asyncio.get_running_loop()
    exited = loop.create_future()

    class Child(asyncio.SubprocessProtocol):
        def process_exited(self):
            exited.set_result(None)

    transport, _ = await loop.subprocess_exec(
        Child, "sleep", "100", stdin=subprocess.PIPE, stderr=None)
    assert transport.get_pipe_transport(0).get_extra_info("pipe").fileno() > 2
    assert isinstance(transport.get_extra_info("subprocess"), subprocess.Popen)
    assert isinstance(transport, asyncio.SubprocessTransport)
    assert transport.get_pid() > 0 and transport.get_returncode() is None
    transport.send_signal(signal.SIGTERM)
    await exited
    assert transport.get_returncode() == -signal.SIGTERM
    transport.close()
    await turns(5)


async def test_closed_before_its_end():
    """close() of the transport of a running child kills it."""
    loop = asyncio.get_running_loop()
    lost = loop.create_future()

    class Child(asyncio.SubprocessProtocol):
        def connection_lost(self, exc):
            lost.set_result(exc)

    transport, _ = await loop.subprocess_exec(Child, "sleep", "100", stderr=None)
    transport.close()
    await lost
    assert transport.get_returncode() == -signal.SIGKILL


@pytest.mark.parametrize("text", ["universal_newlines", "shell"])
async def test_refused_options(text):
    """Text mode and shell= are refused: ValueError."""
    loop = asyncio.get_running_loop()
    with pytest.raises(ValueError):
        await loop.subprocess_exec(asyncio.SubprocessProtocol, "true",
                                   **{text: True})


def test_in_another_thread(loop_factory):
    """Children work on a loop outside the main thread."""
    got = []

    def run():
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            got.append(runner.run(said("7")))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert got == [7]


@pytest.mark.skipif(sys.version_info < (3, 15), reason="so from 3.15 on")
async def test_wait_does_not_wait_for_pipes():
    """wait() ends with the child, though a grandchild holds its pipe."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "sleep 100 & echo $!", stdout=subprocess.PIPE)
    grandchild = int(await process.stdout.readline())
    try:
        assert await process.wait() == 0
    finally:
        os.kill(grandchild, signal.SIGKILL)
        await process.stdout.read()
