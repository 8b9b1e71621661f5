"""create_connection: which address, in which order, and what failure says."""
import asyncio
import errno
import socket
import sys

import pytest

from .helpers import Recorder


def answers(loop, *addresses):
    """getaddrinfo of the loop answers these (family, address) for any name."""
    async def getaddrinfo(host, port, **options):
        return [(family, socket.SOCK_STREAM, 6, "", address)
                for family, address in addresses]

    loop.getaddrinfo = getaddrinfo


async def serving(loop, host="127.0.0.1", family=0):
    server = await loop.create_server(Recorder, host, 0, family=family)
    return server, server.sockets[0].getsockname()


DEAD = ("127.0.0.1", 1)                # nobody listens on port 1


async def connected_to(loop, **options):
    transport, made = await loop.create_connection(Recorder, "name", 9, **options)
    peer = transport.get_extra_info("peername")
    transport.close()
    await made.lost()
    return peer


async def test_next_address():
    """If the first address refuses the second is tried."""
    loop = asyncio.get_running_loop()
    server, address = await serving(loop)
    async with server:
        answers(loop, (socket.AF_INET, DEAD), (socket.AF_INET, address))
        assert await connected_to(loop) == address


async def test_happy_eyeballs():
    """An address that does not answer is overtaken after the delay."""
    loop = asyncio.get_running_loop()
    server, address = await serving(loop)
    original = loop.sock_connect

    async def sock_connect(sock, where):
        if where == DEAD:
            await loop.create_future()     # a host that is silent
        await original(sock, where)

    loop.sock_connect = sock_connect
    async with server:
        answers(loop, (socket.AF_INET, DEAD), (socket.AF_INET, address))
        began = loop.time()
        assert await connected_to(
            loop, happy_eyeballs_delay=0.05) == address
        assert loop.time() - began >= 0.05


async def test_interleave():
    """interleave= takes the families in turn."""
    loop = asyncio.get_running_loop()
    tried = []

    async def sock_connect(sock, where):
        tried.append(where[0])
        raise OSError(errno.ECONNREFUSED, "refused")

    loop.sock_connect = sock_connect
    answers(loop, *[(socket.AF_INET6, (f"::{n}", 1, 0, 0)) for n in (1, 2)],
            *[(socket.AF_INET, (f"127.0.0.{n}", 1)) for n in (1, 2)])
    with pytest.raises(OSError):
        await loop.create_connection(Recorder, "name", 9, interleave=1)
    assert tried == ["::1", "127.0.0.1", "::2", "127.0.0.2"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="all_errors is 3.12's")
async def test_all_errors():
    """all_errors=True raises a group with the error of each address."""
    loop = asyncio.get_running_loop()
    answers(loop, (socket.AF_INET, DEAD), (socket.AF_INET, ("127.0.0.2", 1)))
    with pytest.raises(ExceptionGroup) as told:
        await loop.create_connection(Recorder, "name", 9, all_errors=True)
    assert [type(each) for each in told.value.exceptions] \
        == [ConnectionRefusedError] * 2


async def test_errors_of_several_addresses():
    """Without all_errors one OSError names them all."""
    loop = asyncio.get_running_loop()
    answers(loop, (socket.AF_INET, DEAD), (socket.AF_INET, ("127.0.0.2", 1)))
    with pytest.raises(OSError):
        await loop.create_connection(Recorder, "name", 9)


async def test_scope_id():
    """A scope in an IPv6 address stays, in getaddrinfo and in connecting."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("fe80::1%lo", 80, type=socket.SOCK_STREAM)
    assert found[0][4] == ("fe80::1", 80, 0, socket.if_nametoindex("lo"))
    seen = []

    async def sock_connect(sock, where):
        seen.append(where)
        raise ConnectionRefusedError

    loop.sock_connect = sock_connect
    with pytest.raises(OSError):
        await loop.create_connection(Recorder, "fe80::1%lo", 80)
    assert seen[0][3] == socket.if_nametoindex("lo")


async def test_wrong_arguments():
    """Address and socket exclude each other; one of them must be there."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        for arguments, options in [
                (("127.0.0.1", 1), dict(sock=sock)), ((), {}),
                (("127.0.0.1", 1), dict(server_hostname="x")),
                ((), dict(sock=sock, server_hostname="x")),
                (("127.0.0.1", 1), dict(ssl_handshake_timeout=1))]:
            with pytest.raises(ValueError):
                await loop.create_connection(Recorder, *arguments, **options)


async def test_sendfile_parts(tmp_path):
    """sendfile and sock_sendfile: offset, count, the file's position."""
    loop = asyncio.get_running_loop()
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 100)
    whole = path.read_bytes()
    ours, theirs = socket.socketpair()
    with theirs, open(path, "rb") as file:
        theirs.setblocking(False)
        ours.setblocking(False)
        assert await loop.sock_sendfile(ours, file, 100, 1000) == 1000
        assert file.tell() == 1100
        assert await loop.sock_recv(theirs, 5000) == whole[100:1100]
        transport, made = await loop.create_connection(Recorder, sock=ours)
        assert await loop.sendfile(transport, file, 25_000) == 600
        assert file.tell() == len(whole)
        assert await loop.sock_recv(theirs, 5000) == whole[25_000:]
        with open(path) as text, pytest.raises(ValueError):
            await loop.sendfile(transport, text, 0)
        transport.close()
        with pytest.raises(RuntimeError):
            await loop.sendfile(transport, file)
        await made.lost()


async def test_cancelled_sock_calls():
    """A cancelled sock_recv or sock_accept leaves the descriptor free."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        for sock in (ours, theirs, listener):
            sock.setblocking(False)
        for call in (lambda: loop.sock_recv(ours, 1),
                     lambda: loop.sock_recv_into(ours, bytearray(1)),
                     lambda: loop.sock_accept(listener)):
            task = asyncio.ensure_future(call())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not loop.remove_reader(ours)
        assert not loop.remove_reader(listener)
        theirs.send(b"x")
        assert await loop.sock_recv(ours, 1) == b"x"


async def test_blocking_sockets_in_debug_mode():
    """In debug mode sock_* refuse a socket that blocks."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    with socket.socket() as sock, socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for call in (lambda: loop.sock_recv(sock, 1),
                     lambda: loop.sock_recv_into(sock, bytearray(1)),
                     lambda: loop.sock_sendall(sock, b"x"),
                     lambda: loop.sock_accept(sock),
                     lambda: loop.sock_connect(sock, DEAD),
                     lambda: loop.sock_recvfrom(datagrams, 1),
                     lambda: loop.sock_sendto(datagrams, b"", DEAD)):
            with pytest.raises(ValueError, match="non-blocking"):
                await call()
