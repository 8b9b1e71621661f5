"""Pipes and subprocesses."""
import asyncio
import os
import signal
import subprocess
import sys

import pytest

from .helpers import Notes, turns


class PipeNotes(Notes, asyncio.SubprocessProtocol):
    """For one end of a pipe."""


async def test_read_pipe():
    """Data and the end of a pipe reach the protocol."""
    loop = asyncio.get_running_loop()
    rfd, wfd = os.pipe()
    transport, made = await loop.connect_read_pipe(
        PipeNotes, os.fdopen(rfd, "rb", 0))
    assert isinstance(transport, asyncio.ReadTransport)
    os.write(wfd, b"one")
    assert await made.received(3) == b"one"
    transport.pause_reading()
    os.write(wfd, b"two")
    await turns(5)
    assert made.data == b"one"
    transport.resume_reading()
    assert await made.received(6) == b"onetwo"
    os.close(wfd)
    assert await made.lost() is None
    assert made.calls == ["made", "data", "eof", "lost"]


async def test_write_pipe():
    """Writes go into a pipe, with flow control; its reader leaving is the
    end."""
    loop = asyncio.get_running_loop()
    rfd, wfd = os.pipe()
    transport, made = await loop.connect_write_pipe(
        PipeNotes, os.fdopen(wfd, "wb", 0))
    assert isinstance(transport, asyncio.WriteTransport)
    transport.write(b"one")
    assert os.read(rfd, 10) == b"one"
    transport.write(bytes(1 << 20))
    assert "pause" in made.calls
    os.set_blocking(rfd, False)
    count = 0
    while count < 1 << 20:
        try:
            count += len(os.read(rfd, 65536))
        except BlockingIOError:
            pass                       # the loop has not written more yet
        await asyncio.sleep(0)
    await made.until(lambda: "resume" in made.calls)
    os.close(rfd)
    await made.lost()
    assert made.calls.count("lost") == 1


async def test_regular_file_is_no_pipe(tmp_path):
    """A regular file raises ValueError and stays the caller's."""
    loop = asyncio.get_running_loop()
    with open(tmp_path / "file", "w+b") as file:
        with pytest.raises(ValueError):
            await loop.connect_read_pipe(PipeNotes, file)
        with pytest.raises(ValueError):
            await loop.connect_write_pipe(PipeNotes, file)
        assert not file.closed


async def python(code, **options):
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code,
                                                **options)


async def test_exit_status():
    """wait() tells the status of the child."""
    process = await python("import sys; sys.exit(7)")
    assert await process.wait() == 7
    assert process.returncode == 7


async def test_communicate():
    """communicate() feeds stdin and collects both outputs."""
    process = await python(
        "import sys; d = sys.stdin.read(); print(d.upper(), end='');"
        "print('err', file=sys.stderr, end='')",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert await process.communicate(b"hello") == (b"HELLO", b"err")
    assert process.returncode == 0


async def test_big_through_cat():
    """4 MiB through cat and back."""
    data = os.urandom(1 << 22)
    process = await asyncio.create_subprocess_exec(
        "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert (await process.communicate(data))[0] == data


async def test_shell():
    """A shell command with its status."""
    process = await asyncio.create_subprocess_shell(
        "echo out; exit 3", stdout=subprocess.PIPE)
    assert await process.communicate() == (b"out\n", None)
    assert process.returncode == 3


async def test_killed():
    """A killed child's status is the negative signal."""
    process = await asyncio.create_subprocess_exec("sleep", "100")
    process.terminate()
    assert await process.wait() == -signal.SIGTERM
    process = await asyncio.create_subprocess_exec("sleep", "100")
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        process.kill()


async def test_many_at_once():
    """Twenty children at a time, each with its own status."""
    processes = [await asyncio.create_subprocess_exec("sh", "-c",
                                                      f"exit {n}")
                 for n in range(20)]
    assert await asyncio.gather(*(p.wait() for p in processes)) == list(
        range(20))


async def test_no_such_program():
    """A missing program raises FileNotFoundError at once."""
    with pytest.raises(FileNotFoundError):
        await asyncio.create_subprocess_exec("/nonexistent/program")


async def test_foreign_children_are_left_alone():
    """A child of subprocess.Popen is not reaped by the loop."""
    foreign = subprocess.Popen(["true"])
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0
    await asyncio.sleep(0.01)
    assert foreign.wait() == 0


async def test_signal_mask_of_a_child():
    """A child starts with no signal blocked that was not before."""
    code = ("import signal; print(sorted(int(s) for s in"
            " signal.pthread_sigmask(signal.SIG_BLOCK, [])))")
    before = sorted(int(s) for s in signal.pthread_sigmask(
        signal.SIG_BLOCK, []))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
    process = await python(code, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.decode().strip() == str(before)


async def test_descriptors_of_a_child():
    """A child inherits standard streams only: nothing of the loop."""
    code = ("import os; print(sorted(int(n) for n in os.listdir("
            "'/proc/self/fd')))")
    process = await python(code, stdout=subprocess.PIPE,
                           stdin=subprocess.DEVNULL)
    out, _ = await process.communicate()
    # The fourth is what listdir itself had open.
    assert out.decode().strip() == "[0, 1, 2, 3]"


async def test_protocol():
    """subprocess_exec tells a protocol of pipes, exit and loss."""
    loop = asyncio.get_running_loop()
    lost = loop.create_future()
    calls = []

    class Child(asyncio.SubprocessProtocol):
        def connection_made(self, transport):
            calls.append("made")

        def pipe_data_received(self, fd, data):
            calls.append((fd, data))

        def pipe_connection_lost(self, fd, exc):
            calls.append(("closed", fd))

        def process_exited(self):
            calls.append("exited")

        def connection_lost(self, exc):
            lost.set_result(None)

    transport, _ = await loop.subprocess_exec(
        Child, sys.executable, "-c", "print('x', end='')", stdin=None,
        stderr=None)
    await lost
    assert transport.get_returncode() == 0
    assert calls[0] == "made" and (1, b"x") in calls
    assert ("closed", 1) in calls and "exited" in calls
    transport.close()
