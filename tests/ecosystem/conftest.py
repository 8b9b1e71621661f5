"""Each program in a process of its own: plain, in asyncio's debug mode, and with
the streams of kevent.streams in place of asyncio's."""
import contextlib
import importlib.util
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))
LIMIT_S = 60 * SLOWNESS

# What nobody may say on the way: an error that was only logged is one, too.
COMPLAINTS = re.compile(
    r"Traceback|was never (?:awaited|retrieved)|ResourceWarning|"
    r"Task was destroyed|Unclosed|Exception ignored|Fatal error")


@pytest.fixture(params=["plain", "debug", "streams"])
def environment(request):
    """The variables of a child."""
    path = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return dict(os.environ, PYTHONPATH=path,
                PYTHONASYNCIODEBUG="1" if request.param == "debug" else "",
                KEVENT_TEST_STREAMS="1" if request.param == "streams" else "",
                PYTHONWARNINGS="default::ResourceWarning",
                PYTHONUNBUFFERED="1")


@pytest.fixture
def program(environment):
    """program(name, *arguments) runs a coroutine function of programs/ to its
    end, and fails with all that was said if something was wrong."""

    def run(name, *arguments):
        finished = subprocess.run(
            [sys.executable, "-m", "tests.ecosystem.child", name,
             *map(str, arguments)],
            cwd=ROOT, env=environment, text=True, capture_output=True,
            timeout=LIMIT_S)
        said = finished.stdout + finished.stderr
        assert finished.returncode == 0, said
        assert finished.stdout.endswith("all of it\n"), said
        assert not COMPLAINTS.search(said), said

    return run


def _is_there(name):
    package = name.partition(".")[0]
    return bool(importlib.util.find_spec(package) and importlib.util.find_spec(name))


def needs(*names):
    """Marks a module: it is skipped unless these packages are there."""
    missing = [name for name in names if not _is_there(name)]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed")


def server_binary(name, *folders):
    """The path of a server program; without it the test is skipped."""
    path = os.pathsep.join([*folders, os.environ["PATH"]])
    found = shutil.which(name, path=path)
    if not found:
        pytest.skip(f"{name} not installed")
    return found


@contextlib.contextmanager
def serving(command, ready, stop=signal.SIGINT, good=(0, -signal.SIGINT),
            stop_by=None, **options):
    """A server process that has printed what matches `ready`: the match.

    It ends by the signal, or by the command stop_by, with a status out of
    `good`, and has not complained.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, **options)
    said = b""
    ends = time.monotonic() + LIMIT_S
    try:
        while not (match := re.search(ready, said.decode(errors="replace"))):
            left = ends - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                pytest.fail(f"{command[0]} is not up: {said.decode()}")
            data = os.read(process.stdout.fileno(), 65536)
            assert data, f"{command[0]} has ended: {said.decode()}"
            said += data
        yield match
        if stop_by:
            subprocess.run(stop_by, check=True, timeout=LIMIT_S,
                           stdout=subprocess.DEVNULL, cwd=options.get("cwd"))
        else:
            process.send_signal(stop)
        rest, _ = process.communicate(timeout=LIMIT_S)
        said += rest
        assert process.returncode in good, said.decode()
        assert not COMPLAINTS.search(said.decode()), said.decode()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
