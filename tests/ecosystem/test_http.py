"""HTTP and WebSocket: uvicorn, aiohttp, websockets, httpx, on kevent's loop."""
import importlib.util
import sys

import pytest

from .conftest import ROOT, needs, serving


@needs("uvicorn", "httpx", "websockets")
@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_uvicorn(program, environment, http):
    """`uvicorn --loop kevent:new_event_loop` serves httpx and websockets, both
    on kevent, and ends well on Ctrl-C."""
    if not importlib.util.find_spec(http):
        pytest.skip(f"{http} not installed")
    command = [sys.executable, "-m", "uvicorn", "--loop",
               "kevent:new_event_loop", "--http", http, "--port", "0",
               "tests.ecosystem.programs.asgi:app"]
    with serving(command, r"running on http://127\.0\.0\.1:(\d+)", cwd=ROOT,
                 env=environment) as match:
        program("httpx_client.talk", f"http://127.0.0.1:{match[1]}")
        program("websockets_both.talk", f"ws://127.0.0.1:{match[1]}")


@needs("aiohttp")
@pytest.mark.parametrize("name", ["plain", "tls"])
def test_aiohttp(program, name):
    """aiohttp's client talks to aiohttp's server, also over TLS."""
    program(f"aiohttp_both.{name}")


@needs("websockets")
def test_websockets(program):
    """websockets' clients talk to its server, which then goes away."""
    program("websockets_both.both")


@needs("websockets.legacy")
def test_websockets_by_streams(program):
    """websockets' older client, which is made of asyncio's streams."""
    program("websockets_both.by_streams")


@needs("httpx", "aiohttp")
def test_httpx(program):
    """httpx talks to an aiohttp server on the same loop; a timeout is one."""
    program("httpx_client.against_aiohttp")
