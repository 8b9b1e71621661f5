"""Ways in: run, new_event_loop, the policy, python -m kevent."""
import asyncio
import gc
import sys
import textwrap
import warnings

import pytest

from ..aio.helpers import python


def test_run():
    """kevent.run is asyncio.run on our loop."""
    import kevent

    async def main():
        return asyncio.get_running_loop()

    loop = kevent.run(main())
    assert isinstance(loop, kevent.EventLoop)
    assert loop.is_closed()


def test_run_debug():
    """debug= reaches the loop."""
    import kevent

    async def main():
        return asyncio.get_running_loop().get_debug()

    assert kevent.run(main(), debug=True) is True
    assert kevent.run(main(), debug=False) is False


def test_run_refuses(recwarn):
    """No coroutine, or a loop that already runs: as asyncio.run, with
    nothing left that was never awaited."""
    import kevent

    with pytest.raises((TypeError, ValueError)):
        kevent.run(5)

    async def main():
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            kevent.run(coroutine)
        coroutine.close()

    kevent.run(main())
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def test_runner():
    """asyncio.Runner takes the factory, and several runs share the loop."""
    import kevent

    async def which():
        return asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=kevent.new_event_loop) as runner:
        assert isinstance(runner.get_loop(), kevent.EventLoop)
        assert runner.run(which()) is runner.run(which())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
def test_asyncio_run():
    """asyncio.run takes the factory."""
    import kevent

    async def which():
        return asyncio.get_running_loop()

    loop = asyncio.run(which(), loop_factory=kevent.new_event_loop)
    assert isinstance(loop, kevent.EventLoop)


@pytest.mark.skipif(sys.version_info >= (3, 16), reason="gone in 3.16")
def test_install():
    """After install() asyncio's own entry points use our loop."""
    done = python("-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(
        """
        import asyncio, kevent
        kevent.install()
        async def main():
            return type(asyncio.get_running_loop())
        assert asyncio.run(main()) is kevent.EventLoop
        loop = asyncio.new_event_loop()
        assert type(loop) is kevent.EventLoop
        loop.close()
        """))
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.version_info >= (3, 16), reason="gone in 3.16")
def test_policy():
    """The policy makes our loops."""
    import kevent

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = kevent.EventLoopPolicy()
        loop = policy.new_event_loop()
    assert isinstance(loop, kevent.EventLoop)
    loop.close()


def test_import_is_quiet():
    """import kevent warns of nothing."""
    done = python("-W", "error", "-c", "import kevent")
    assert done.returncode == 0, done.stderr


SCRIPT = """
import asyncio, sys

async def main():
    loop = asyncio.get_running_loop()
    print(type(loop).__module__.split(".")[0], __name__, sys.argv[1:],
          __file__ == sys.argv[0])

asyncio.run(main())
"""


def test_script(tmp_path):
    """python -m kevent runs a script as the main program, unchanged, with
    its arguments."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = python("-m", "kevent", str(path), "--flag", "value")
    assert done.stdout == "kevent __main__ ['--flag', 'value'] True\n"
    assert done.returncode == 0 and done.stderr == ""


def test_script_finds_its_neighbours(tmp_path):
    """The script's own folder is the first to import from."""
    (tmp_path / "neighbour.py").write_text("word = 'found'\n")
    path = tmp_path / "script.py"
    path.write_text("import neighbour; print(neighbour.word)\n")
    done = python("-m", "kevent", str(path))
    assert done.stdout == "found\n", done.stderr


def test_script_status(tmp_path):
    """Its exit status and its exceptions are the program's."""
    path = tmp_path / "script.py"
    path.write_text("import sys; sys.exit(7)\n")
    assert python("-m", "kevent", str(path)).returncode == 7
    path.write_text("1 / 0\n")
    done = python("-m", "kevent", str(path))
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr


def test_no_script(tmp_path):
    """Without a script, or with one that is not there, it says so."""
    done = python("-m", "kevent")
    assert done.returncode != 0 and done.stderr
    done = python("-m", "kevent", str(tmp_path / "none.py"))
    assert done.returncode != 0 and "none.py" in done.stderr


def test_selector_event_loop():
    """asyncio's own loop runs over KeventSelector."""
    import kevent

    def factory():
        return asyncio.SelectorEventLoop(kevent.KeventSelector())

    async def main():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            assert await reader.read() == b"hello\n"
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.001)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
