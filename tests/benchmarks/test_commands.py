"""The commands that README and the Makefile name, in their shortest form."""
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.lib import show
from benchmarks.lib.cells import rotated
from benchmarks.lib.loops import Loop, parse_all
from benchmarks.servers.echo import APIS, READS

ROOT = Path(__file__).resolve().parents[2]
BRIEF = ("--rounds", "1", "--seconds", "0.05")


def command(module, *options):
    """Run python -m benchmarks.<module>; returns status and text."""
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *options], cwd=ROOT,
                          capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not importlib.util.find_spec("aiohttp"),
                    reason="aiohttp cannot be installed for this Python")
def test_the_demo_serves_and_verifies():
    """Each route of the application on asyncio and on kevent; a loop that is
    not installed is named."""
    status, text = command("demo", *BRIEF, "--connections", "3",
                           "--loops", "asyncio,kevent,nowhere:factory")
    assert status == 0, text
    assert "all right" in text and "nowhere is not measured" in text
    assert text.count("kevent  ") >= 6


def test_the_demo_fails_without_kevent():
    """A kevent that cannot run is a failure, not a gap in the table."""
    status, text = command("demo", *BRIEF, "--loops", "asyncio,kevent=nowhere:factory")
    assert status == 1, text


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("unix", [(), ("--unix",)], ids=["tcp", "unix"])
def test_the_echo_table(api, unix, tmp_path):
    """Each way to write an echo server, over TCP and a Unix socket; the file of
    results has every cell."""
    path = tmp_path / "results.json"
    status, text = command("echo", *BRIEF, "--api", api, *unix, "--json", str(path),
                           "--loops", "asyncio,kevent")
    assert status == 0, text
    found = json.loads(path.read_text())
    assert {cell["loop"] for cell in found["cells"]} == {"c-epoll", "asyncio", "kevent"}
    assert not found["failures"]


@pytest.mark.parametrize("read", [name for name in READS if name != "read"])
@pytest.mark.parametrize("api", ["streams", "kstreams"])
def test_the_echo_table_of_streams(api, read):
    """Streams by readline() and readexactly(), several messages under way."""
    status, text = command("echo", *BRIEF, "--api", api, "--read", read, "--depth", "3",
                           "--loops", "asyncio,kevent")
    assert status == 0, text
    assert f"echo {api} {read}" in text


def test_the_check_needs_both_loops():
    """A check that could not be made has failed."""
    status, text = command("echo", *BRIEF, "--loops", "asyncio", "--check")
    assert status == 1 and "CHECK FAILED" in text


def test_system_calls_of_an_echo():
    """strace sees one receive and one send for each request on kevent, some
    waits, and nothing else."""
    status, text = command("syscalls", "--requests", "500")
    if "not proved: strace" in text:
        pytest.skip(text.strip())
    assert status == 0, text
    assert "proved" in text


def test_a_loop_is_named_in_several_ways():
    """A known name, a factory, both, and an interpreter."""
    assert Loop.parse("uvloop").factory == "uvloop:new_event_loop"
    assert Loop.parse("a.b:c") == Loop("a.b", "a.b:c")
    assert Loop.parse("x=a:b@/opt/python") == Loop("x", "a:b", "/opt/python")
    for wrong in ("nothing", "x=y", "asyncio,asyncio", ","):
        with pytest.raises(ValueError):
            parse_all(wrong)


def test_every_item_has_its_turn_at_each_place():
    """Three items in three rounds: each is first, second and third once."""
    rounds = [[item for turn, item in rotated("abc", 3) if turn == n] for n in range(3)]
    assert ["".join(column) for column in zip(*rounds)] == ["abc", "bca", "cab"]


def test_a_table_lines_up():
    """Names to the left, numbers to the right, a rule between groups."""
    assert show.table(["n", "value"], [["a", "1"], None, ["bb", "22"]]).splitlines() == [
        "n   value", "--  -----", "a       1", "--  -----", "bb     22"]
