"""The load generator against servers that are right and servers that are not.

A comparison is worth what its verification is worth, so each way in which a
server can spoil an answer is tried here and has to be noticed.
"""
import os
import subprocess
import sys
import threading

import pytest
from peers import echo, http, over_tls, serving, websocket

from benchmarks.lib.load import HeldLoad, Load
from benchmarks.lib.machine import Places
from benchmarks.lib.process import Server
from benchmarks.lib.rows import CERTIFICATE

SHARED = Places(None, None)
BODY = bytes(range(256)) * 8
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def drive(server, **options):
    """Run a short exact load and return its result."""
    options = {"connections": 2, "requests": 40, "warmup": 0.0, "timeout": 5.0, **options}
    return Load(**options).run(server, SHARED)


def flip(data, at):
    """The data with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


# ---- right answers --------------------------------------------------------

@pytest.mark.parametrize("edge", [(), ("--edge",)], ids=["level", "edge"])
@pytest.mark.parametrize(("size", "depth"), [(1, 1), (1024, 1), (100, 300), (1 << 20, 3)])
def test_the_reference_server_echoes_every_size_and_depth(edge, size, depth):
    """All answers of the C server are verified and none is wrong or lost."""
    with Server.c_epoll(*edge) as server:
        result = drive(server, size=size, depth=depth, connections=3, requests=900
                       if size < 5000 else 30)
    assert result.ok, result.error
    assert result.requests == result.answers == (900 if size < 5000 else 30)


def test_a_unix_socket_is_as_good(tmp_path):
    """The same through a path."""
    with Server.c_epoll(unix=str(tmp_path / "s")) as server:
        result = drive(server)
    assert result.ok and result.requests == 40, result.error


@pytest.mark.parametrize("size", [1, 1024, 100_000])
def test_tls_is_as_good(size):
    """The same over TLS, with messages of less and of more than a record."""
    with Server.c_epoll("--tls", str(CERTIFICATE)) as server:
        result = drive(server, size=size, tls=True)
    assert result.ok and result.requests == 40, result.error


def test_a_timed_run_measures_its_window_and_the_servers_clock():
    """The server's CPU time per request is above zero and fits into the window;
    the percentiles are in order."""
    with Server.c_epoll() as server:
        result = drive(server, requests=None, duration=0.2, warmup=0.05)
    assert result.ok, result.error
    assert 0.2 <= result.raw["seconds"] < 5.0
    assert 0 < result.cpu * result.requests <= result.raw["seconds"] * 1e9
    latency = result.raw["latency_ns"]
    order = [latency[name] for name in ("min", "p50", "p90", "p99", "p999", "max")]
    assert order == sorted(order) and order[0] > 0
    assert result.answers >= result.requests


def test_warm_up_is_apart_from_what_is_measured():
    """A bounded warm-up is verified and not measured."""
    with Server.c_epoll() as server:
        result = drive(server, warmup_requests=25, requests=40)
    assert (result.requests, result.answers) == (40, 65)


def test_a_held_run_keeps_its_connections_and_waits():
    """Between warm-up and measurement nothing is sent until the run may go on."""
    seen = []

    def note(number, data):
        seen.append(number)
        return data

    with serving(echo(note)) as server:
        load = Load(connections=1, warmup_requests=10, requests=7)
        with HeldLoad(load, server, SHARED) as held:
            held.wait("warm")
            assert len(seen) == 10
            held.go()
            held.wait("measured")
            assert len(seen) == 17
            result = held.result()
    assert result.ok and result.requests == 7


@pytest.mark.parametrize("depth", [1, 16])
def test_in_lockstep_each_batch_waits_for_the_one_before(depth):
    """The server never has a part of the next batch before all of one is answered."""
    pieces = []

    def talk(sock):
        while data := sock.recv(1 << 20):
            pieces.append(len(data))
            sock.sendall(data)

    with serving(talk) as server:
        result = drive(server, connections=1, requests=5 * depth, depth=depth, size=100,
                       lockstep=True)
    assert result.ok and result.answers == 5 * depth, result.error
    assert pieces == [100 * depth] * 5


def test_in_lockstep_a_server_that_never_sleeps_is_reported():
    """Nothing is sent to it, and the run ends with a complaint."""
    busy = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"],
                            stdout=subprocess.PIPE)
    try:
        busy.stdout.readline()
        with serving(echo()) as server:
            server.pid = busy.pid
            result = drive(server, connections=1, lockstep=True, timeout=0.5)
    finally:
        busy.kill()
        busy.communicate()
    assert not result.ok and result.answers == 0
    assert "does not go to sleep" in result.error


def test_payloads_differ_by_connection_and_by_message():
    """No two messages of a run are alike: otherwise one in place of another
    would not be noticed."""
    seen, lock = [], threading.Lock()

    def note(number, data):
        with lock:
            seen.append(data)
        return data

    with serving(echo(note)) as server:
        assert drive(server, connections=5, requests=200).ok
    assert len(seen) == len(set(seen)) == 200


@pytest.mark.parametrize(("size", "depth"), [(1, 1), (1024, 16), (100_000, 2)])
def test_lines_have_one_newline_at_their_end(size, depth):
    """A server that reads lines gets each message as one, however many are sent at once."""
    seen = []

    def lines(sock):
        with sock.makefile("rb") as stream:
            for line in stream:
                seen.append(len(line))
                sock.sendall(line)

    with serving(lines) as server:
        result = drive(server, connections=3, requests=90, size=size, depth=depth, lines=True)
    assert result.ok and result.answers == 90, result.error
    assert seen == [size] * 90


def test_a_wrong_end_of_a_line_is_caught():
    """The newline is verified as every other byte."""
    with serving(echo(lambda n, data: flip(data, 1023) if n == 3 else data)) as server:
        result = drive(server, connections=1, lines=True)
    assert not result.ok and result.wrong == 1
    assert "end of line" in result.error and "byte 1023" in result.error


# ---- wrong echoes ---------------------------------------------------------

@pytest.mark.parametrize("at", [0, 511, 1023])
def test_one_wrong_bit_is_caught(at):
    """One bit of one message, wherever it is, is counted once and told."""
    with serving(echo(lambda n, data: flip(data, at) if n == 9 else data)) as server:
        result = drive(server, connections=1)
    assert not result.ok
    assert (result.raw["wrong_bytes"], result.wrong) == (1, 1)
    assert f"byte {at}" in result.error and "message 9" in result.error


def test_one_wrong_bit_over_tls_is_caught():
    """What TLS carried is compared as well."""
    talk = over_tls(echo(lambda n, data: flip(data, 77) if n == 9 else data), CERTIFICATE)
    with serving(talk) as server:
        result = drive(server, connections=1, tls=True)
    assert not result.ok
    assert (result.raw["wrong_bytes"], result.wrong) == (1, 1)


def test_a_server_that_knows_no_tls_is_told():
    """A handshake that fails is an error with a name, not a stall."""
    with serving(echo(size=1)) as server:
        result = drive(server, connections=1, tls=True)
    assert not result.ok and "TLS handshake" in result.error


def test_a_wrong_bit_in_the_warm_up_is_caught():
    """Verification begins with the first byte, not with the measurement."""
    with serving(echo(lambda n, data: flip(data, 3) if n == 0 else data)) as server:
        result = drive(server, connections=1, warmup_requests=5)
    assert not result.ok and result.wrong == 1


def test_bytes_of_another_connection_are_caught():
    """A server that answers one connection with another's message."""
    meeting = threading.Barrier(2, timeout=5)
    messages = {}

    def swap(number, data):
        place = meeting.wait()
        messages[place] = data
        meeting.wait()
        other = messages[1 - place]
        meeting.wait()
        return other

    with serving(echo(swap)) as server:
        result = drive(server, connections=2, requests=2)
    assert not result.ok and result.wrong == 2


def test_an_old_message_again_is_caught():
    """A server that repeats what it sent before."""
    kept = []

    def stale(number, data):
        kept.append(data)
        return kept[-2] if number == 5 else data

    with serving(echo(stale)) as server:
        result = drive(server, connections=1)
    assert not result.ok and result.wrong == 1


def test_bytes_too_many_are_caught():
    """A byte that nobody sent ends the run."""
    with serving(echo(lambda n, data: data + b"x" if n == 2 else data)) as server:
        result = drive(server, connections=1, requests=10)
    assert not result.ok and result.raw["wrong_bytes"] > 0


def test_a_lost_connection_is_caught():
    """A server that hangs up in the middle of an answer."""
    def talk(sock):
        sock.sendall(sock.recv(1024)[:100])

    with serving(talk) as server:
        result = drive(server, connections=1)
    assert not result.ok and result.raw["lost_connections"] == 1


def test_silence_ends_the_run():
    """A server that never answers costs no more than the timeout."""
    with serving(lambda sock: sock.recv(1 << 20) and sock.recv(1 << 20)) as server:
        result = drive(server, timeout=0.2)
    assert not result.ok and result.raw["stalls"] == 1


def test_nobody_listens():
    """No server at all is an error with a reason."""
    with Server.c_epoll() as server:
        pass
    result = drive(server)
    assert not result.ok and "refused" in result.error


# ---- HTTP -----------------------------------------------------------------

def response(body=BODY, status=b"200 OK", headers=b""):
    """A response with a length."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (
        status, len(body), headers, body)


def chunked(*chunks, end=b"0\r\n\r\n"):
    """A response in chunks."""
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end)


@pytest.fixture
def get(tmp_path):
    """A route that expects BODY."""
    path = tmp_path / "body"
    path.write_bytes(BODY)
    return f"GET /x expect={path}"


def ask(route, answer, piece=1 << 20, requests=6):
    """Drive an HTTP server that answers so."""
    with serving(http(answer, piece)) as server:
        return drive(server, mode="http", routes=(route,), requests=requests)


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_right_responses_pass_however_they_are_cut(get, piece):
    """Length, chunks, trailers and an empty body, down to one byte a packet."""
    requests = 2 if piece == 1 else 6
    assert ask(get, lambda *_: response(), piece, requests).ok
    in_chunks = f"{get} chunked=1"
    assert ask(in_chunks, lambda *_: chunked(BODY[:5], BODY[5:]), piece, requests).ok
    trailer = b"0\r\nX-Sum: 1\r\n\r\n"
    assert ask(in_chunks, lambda *_: chunked(BODY, end=trailer), piece, requests).ok
    assert ask("GET /x", lambda *_: response(b""), piece, requests).ok
    assert ask("GET /x status=204", lambda *_: b"HTTP/1.1 204 No Content\r\n\r\n",
               piece, requests).ok


def test_a_posted_body_comes_back():
    """POST sends another body each time and expects it back."""
    bodies = set()

    def answer(path, body):
        bodies.add(body)
        return response(body)

    assert ask("POST /e body=3000", answer).ok
    assert len(bodies) == 6 and {len(body) for body in bodies} == {3000}


SPOILT = {
    "a byte of the body": response(flip(BODY, 77)),
    "the last byte of the body": response(flip(BODY, len(BODY) - 1)),
    "a short body": response(BODY[:-1]),
    "a long body": response(BODY + b"!"),
    "an empty body": response(b""),
    "the status": response(status=b"500 Internal Server Error"),
    "no framing": b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
    "two framings": response(headers=b"Transfer-Encoding: chunked\r\n"),
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n" + BODY,
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + BODY,
    "two lengths": response(headers=b"Content-Length: %d\r\n" % len(BODY)),
    "chunks where a length was asked for": chunked(BODY),
    "another protocol": response().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no protocol": b"220 mail.example.org\r\n" + response(),
    "the end of the connection": response(headers=b"Connection: close\r\n"),
    "two responses": response() + response(),
    "a header without a colon": response(headers=b"X-Nonsense\r\n"),
}


@pytest.mark.parametrize("reply", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_response_is_caught(get, reply):
    """Each answer is wrong in one thing."""
    result = ask(get, lambda *_: reply)
    assert not result.ok and result.error


SPOILT_CHUNKS = {
    "a byte": chunked(BODY[:9], flip(BODY[9:], 2)),
    "a chunk missing": chunked(BODY[:100]),
    "a chunk twice": chunked(BODY, BODY),
    "chunks exchanged": chunked(BODY[100:], BODY[:100]),
    "a chunk longer than it said": chunked(BODY).replace(b"\r\n0\r\n", b"!\r\n0\r\n"),
    "a size that is no number": chunked(BODY).replace(b"800\r\n", b"80g\r\n"),
    "a length instead": response(),
}


@pytest.mark.parametrize("reply", SPOILT_CHUNKS.values(), ids=SPOILT_CHUNKS)
def test_a_spoilt_chunked_response_is_caught(get, reply):
    """The same for chunks."""
    result = ask(f"{get} chunked=1", lambda *_: reply)
    assert not result.ok and result.error


def test_a_posted_body_that_comes_back_wrong_is_caught():
    """One bit of one of the bodies."""
    count = iter(range(1000))
    result = ask("POST /e body=3000", lambda path, body: response(
        flip(body, 2999) if next(count) == 3 else body))
    assert not result.ok and (result.raw["wrong_bytes"], result.wrong) == (1, 1)


# ---- WebSocket ------------------------------------------------------------

@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536])
def test_websocket_messages_come_back(size):
    """Each of the three forms of a frame's length, at its limits."""
    with serving(websocket(ACCEPT)) as server:
        result = drive(server, mode="http", routes=(f"WS /w size={size}",), requests=6)
    assert result.ok and result.requests == 6, result.error


def test_a_wrong_websocket_message_is_caught():
    """One bit in each message."""
    with serving(websocket(ACCEPT, lambda data: flip(data, 5))) as server:
        result = drive(server, mode="http", routes=("WS /w size=200",), requests=6)
    assert not result.ok and result.wrong == 6


def test_a_wrong_websocket_accept_is_caught():
    """A server that upgrades without having read the key."""
    with serving(websocket(b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=")) as server:
        result = drive(server, mode="http", routes=("WS /w size=200",), requests=6)
    assert not result.ok and "Accept" in result.error


# ---- a mix ----------------------------------------------------------------

def test_a_mix_has_equal_shares(get):
    """Every client goes through all routes in turn, so the shares do not depend
    on which of them the server answers fastest."""
    routes = (f"{get} name=a", "POST /e body=100 name=b", f"{get} name=c")
    with serving(http(lambda path, body: response(body or BODY))) as server:
        result = drive(server, mode="http", routes=routes, connections=3, requests=90)
    assert result.ok, result.error
    shares = {route["name"]: route["requests"] for route in result.raw["routes"]}
    assert sum(shares.values()) == 90
    assert max(shares.values()) - min(shares.values()) <= 9, shares


def test_a_server_ends_with_its_context():
    """No server outlives the measurement."""
    with Server.c_epoll() as server:
        pid = server.pid
        assert server.is_alive()
    assert not os.path.exists(f"/proc/{pid}")
