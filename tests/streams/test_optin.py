"""asyncio's names give our streams when that was asked for, and only then."""
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import kevent
from kevent import streams

ROOT = Path(__file__).parents[2]
NAMES = ("StreamReader", "StreamReaderProtocol", "StreamWriter", "open_connection",
         "open_unix_connection", "start_server", "start_unix_server")
STANDARD = {name: getattr(asyncio, name) for name in NAMES}


def patched():
    """Whether asyncio's names are ours: all of them or none."""
    found = {getattr(module, name) is getattr(streams, name)
             for module in (asyncio, asyncio.streams) for name in NAMES}
    assert len(found) == 1
    return found.pop()


def test_off_by_default():
    """Importing kevent.streams and running a loop changes nothing."""
    async def main():
        return patched()

    assert not patched()
    assert not kevent.run(main())
    assert {name: getattr(asyncio, name) for name in NAMES} == STANDARD


def test_run_with_streams():
    """kevent.run(streams=True) is for that run, also if it raises."""
    async def main(fail):
        assert patched()
        if fail:
            raise KeyError("fail")

    kevent.run(main(False), streams=True)
    assert not patched()
    with pytest.raises(KeyError):
        kevent.run(main(True), streams=True)
    assert not patched()


def test_it_nests():
    """install() counts, the with statement too; uninstall() alone is harmless."""
    streams.uninstall()
    with streams.patched():
        streams.install()
        streams.uninstall()
        assert patched()
        with streams.patched():
            assert patched()
        assert patched()
    assert not patched()
    assert {name: getattr(asyncio, name) for name in NAMES} == STANDARD


def test_early_imports_go_on_working():
    """Who imported asyncio's classes before may use them while it is patched."""
    async def main():
        loop = asyncio.get_running_loop()
        for make in (STANDARD["StreamReader"], asyncio.StreamReader):
            reader = make(loop=loop)
            protocol = STANDARD["StreamReaderProtocol"](reader, loop=loop)
            for write in (STANDARD["StreamWriter"], asyncio.StreamWriter):
                left, right = asyncio.streams.socket.socketpair()
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
                writer = write(transport, protocol, reader, loop)
                writer.write(b"word")
                await writer.drain()
                assert right.recv(9) == b"word"
                writer.close()
                right.close()
                await asyncio.sleep(0)

    kevent.run(main(), streams=True)


def test_subprocess_pipes():
    """A child's stdin and stdout are our streams, too."""
    async def main():
        child = await asyncio.create_subprocess_exec(
            "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert type(child.stdin) is streams.StreamWriter
        assert type(child.stdout) is streams.StreamReader
        child.stdin.write(b"line\n")
        await child.stdin.drain()
        assert await child.stdout.readline() == b"line\n"
        data = b"block" * 100_000
        assert await child.communicate(data) == (data, None)

    kevent.run(main(), streams=True)


def command(*arguments):
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout.split(), done.stderr


WHICH = ("import asyncio, sys; print(asyncio.StreamReader.__module__,"
         " asyncio.open_connection.__module__, *sys.argv[1:])")


@pytest.mark.parametrize("option, module", [((), "asyncio.streams"),
                                            (("--streams",), "kevent.streams")])
def test_command(option, module, tmp_path):
    """python -m kevent --streams, in front of -c, a script, -m."""
    script = tmp_path / "which.py"
    script.write_text(WHICH)
    for program in (("-c", WHICH), (str(script),)):
        status, words, errors = command("-m", "kevent", *option, *program, "--streams")
        assert (status, words) == (0, [module, module, "--streams"]), errors


def test_command_wants_a_program():
    """--streams alone is wrong usage."""
    status, _, errors = command("-m", "kevent", "--streams")
    assert status == 2 and "--streams" in errors


@pytest.mark.skipif(sys.version_info >= (3, 16), reason="policies are gone")
def test_install_with_streams():
    """kevent.install(streams=True): the loop and the streams."""
    program = (
        "import asyncio, kevent, kevent.streams\n"
        "kevent.install(streams=True)\n"
        "async def main(): return type(asyncio.get_running_loop())\n"
        "assert asyncio.run(main()) is kevent.EventLoop\n"
        "assert asyncio.StreamReader is kevent.streams.StreamReader\n"
        "kevent.streams.uninstall()\n"
        "assert asyncio.StreamReader is not kevent.streams.StreamReader\n")
    status, _, errors = command("-c", program)
    assert status == 0, errors
