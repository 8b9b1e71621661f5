"""The other side of a connection is broken, slow, mad, or many."""
import os
import resource
import subprocess
import sys

import pytest

from .child import LIMIT_S, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEM = os.path.join(ROOT, "tests", "aio", "localhost.pem")


def test_reset_at_every_state():
    """A peer resets before it is accepted, after, in the middle of data this
    way, that way, and after the end of either: each protocol hears of the end
    once, and nothing is left open."""
    run("""
    import struct
    def reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    protocols = []
    class Writes(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            protocols.append(self)
            self.room = True
        def data_received(self, data):
            super().data_received(data)
            if data[:1] == b"w":
                self.transport.write(b"x" * 3_000_000)
            if data[:1] == b"e":
                self.transport.write_eof()
        def eof_received(self):
            self.transport.write(b"after the end" * 100_000)
            return False
        def pause_writing(self):
            self.room = False
        def resume_writing(self):
            self.room = True
    loop = new_loop()
    server = Server(loop, Writes)
    before = len(os.listdir("/proc/self/fd"))
    made = 0
    for state in range(8):
        for turn in range(20):
            client = server.client()
            if state == 0:      # not accepted yet
                pass
            else:
                spin(loop, 2)
            if state == 2:
                client.send(b"half of a mess")
            if state in (3, 4):
                client.send(b"w")
                spin(loop, 2)
            if state == 4:
                client.recv(100_000)
                spin(loop, 2)
            if state == 5:
                client.shutdown(socket.SHUT_WR)
                spin(loop, 2)
            if state == 6:
                client.send(b"e")
                spin(loop, 3)
                client.recv(1)
            if state == 7:      # data are still on the way to us
                client.send(b"y" * 500_000)
            reset(client)
            spin(loop, 1 + turn % 3)
    deadline = time.monotonic() + 20
    while any(not p.lost for p in protocols) and time.monotonic() < deadline:
        spin(loop, 3)
    assert len(protocols) >= 7 * 20
    lost = [p.lost for p in protocols]
    assert lost == [1] * len(protocols), lost
    del protocols[:]
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not told, told
    """)


def test_half_open():
    """A peer that has ended, and goes on reading, gets all; one that is silent
    keeps its connection, and a silent one that comes back is heard."""
    run("""
    class Answers(Recorder):
        def eof_received(self):
            self.transport.write(b"z" * 2_000_000)
            self.transport.close()
            return True
    loop = new_loop()
    server = Server(loop, Answers)
    client = server.client()
    client.send(b"question")
    client.shutdown(socket.SHUT_WR)
    client.setblocking(False)
    got = 0
    while True:
        spin(loop, 2)
        try:
            data = client.recv(100_000)
        except BlockingIOError:
            continue
        if not data:
            break
        got += len(data)
    assert got == 2_000_000
    """)


def test_slow_readers():
    """Twenty peers that hardly read: what is kept for them stays under the mark
    while the writers wait, and none of it is lost."""
    run("""
    import hashlib
    MARK, PIECE, COUNT, ROUNDS = 100_000, 30_000, 20, 60
    most = [0]
    async def serve(reader, writer):
        writer.transport.set_write_buffer_limits(high=MARK)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        for i in range(ROUNDS):
            writer.write(bytes([i]) * PIECE)
            most[0] = max(most[0], writer.transport.get_write_buffer_size())
            await writer.drain()
        writer.close()
    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        clients = []
        for _ in range(COUNT):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, address)
            clients.append([client, 0, hashlib.sha1()])
        await asyncio.sleep(0.1)
        with open("/proc/self/statm") as file:
            before = int(file.read().split()[1])
        slow = 0
        while clients:
            for entry in list(clients):
                client, _, digest = entry
                try:
                    data = client.recv(2000 if slow < 100 else 1_000_000)
                except BlockingIOError:
                    continue
                if not data:
                    assert entry[1] == ROUNDS * PIECE
                    assert digest.digest() == wanted
                    clients.remove(entry)
                    client.close()
                entry[1] += len(data)
                digest.update(data)
            slow += 1
            await asyncio.sleep(0)
            if slow == 100:
                with open("/proc/self/statm") as file:
                    grown = int(file.read().split()[1]) - before
                # A sanitizer keeps what was freed for a while.
                spare = 4_000_000 if "libasan" not in os.environ.get("LD_PRELOAD", "") \
                    else 64_000_000
                assert grown * 4096 < COUNT * (MARK + PIECE) + spare, grown
        server.close()
    wanted = hashlib.sha1(b"".join(bytes([i]) * PIECE for i in range(ROUNDS))).digest()
    loop = new_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main())
    assert MARK < most[0] <= MARK + PIECE, most
    """)


@pytest.mark.parametrize("module", ["asyncio", "kevent.streams"])
def test_one_byte_a_segment(module):
    """Lines, exact reads and a large number of single bytes."""
    run(f"""
    import {module} as streams
    async def serve(reader, writer):
        head = await reader.readline()
        body = await reader.readexactly(int(head))
        rest = await reader.readuntil(b"--")
        writer.write(head + body + rest)
        writer.close()
    async def main():
        server = await streams.start_server(serve, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        data = b"1500\\n" + b"b" * 1500 + b"until -x- here--"
        for i in range(len(data)):
            await loop.sock_sendall(client, data[i:i + 1])
            await asyncio.sleep(0)
        got = b""
        while piece := await loop.sock_recv(client, 1):
            got += piece
        assert got == data
        client.close()
        server.close()
    loop = new_loop()
    loop.run_until_complete(main())
    """)


def test_out_of_descriptors_again_and_again():
    """Storms of connections against a limit of descriptors: whoever waits is
    served when there is room, and the loop does not spin meanwhile."""
    run("""
    import resource
    from asyncio import constants
    constants.ACCEPT_RETRY_DELAY = 0.02
    loop = new_loop()
    loop.set_exception_handler(lambda loop, context: told.append(context["message"]))
    class Echo(Recorder):
        def data_received(self, data):
            self.transport.write(data)
    server = Server(loop, Echo)
    open_now = len(os.listdir("/proc/self/fd"))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    for storm in range(3):
        clients = [socket.socket() for _ in range(60)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 60 + 20, limit[1]))
        for client in clients:
            client.connect(server.address)
            client.send(b"hello")
            client.settimeout(0)
        served = 0
        deadline = time.monotonic() + 30
        while clients and time.monotonic() < deadline:
            loop.call_later(0.005, loop.stop)
            loop.run_forever()
            for client in list(clients):
                try:
                    assert client.recv(10) == b"hello"
                except BlockingIOError:
                    continue
                served += 1
                clients.remove(client)
                client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert served == 60, served
    assert any("out of system resource" in message for message in told), told
    passes = loop.statistics()["iterations"]
    assert passes < 60_000, passes
    spin(loop)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= open_now
    """)


def test_ten_thousand_at_once():
    """10,000 connections are open together; each is answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, (hard - 200) // 2)
    if count < 1000:
        pytest.skip(f"at most {hard} descriptors allowed here")
    run(f"""
    import resource
    COUNT = {count}
    resource.setrlimit(resource.RLIMIT_NOFILE, ({hard}, {hard}))
    loop = new_loop()
    alive = set()
    class Echo(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            alive.add(self)
        def data_received(self, data):
            self.transport.write(data)
        def connection_lost(self, exc):
            alive.discard(self)
    async def main():
        server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
        address = server.sockets[0].getsockname()
        clients = []
        for first in range(0, COUNT, 500):
            some = [socket.socket() for _ in range(min(500, COUNT - first))]
            for client in some:
                client.setblocking(False)
            await asyncio.gather(*(loop.sock_connect(client, address) for client in some))
            clients += some
        while len(alive) < COUNT:
            await asyncio.sleep(0.01)
        for i, client in enumerate(clients):
            client.send(b"%d" % i)
        for i, client in enumerate(clients):
            assert await loop.sock_recv(client, 100) == b"%d" % i
        for i, client in enumerate(clients):
            client.close()
        while alive:
            await asyncio.sleep(0.01)
        server.close()
    loop.run_until_complete(main())
    loop.close()
    """)


def test_garbage_to_tls():
    """Noise, half a greeting, and a hang-up in the middle of the handshake: a
    server with TLS closes those and serves the next; so does a client."""
    run(f"""
    import random, ssl
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain({PEM!r})
    outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outside.check_hostname = False
    outside.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    raises(ssl.SSLWantReadError, outside.wrap_bio(incoming, outgoing).do_handshake)
    greeting = outgoing.read()
    chance = random.Random(5)
    loop = new_loop()
    async def echo(reader, writer):
        try:
            writer.write(await reader.readexactly(5))
        except asyncio.IncompleteReadError:
            pass
        writer.close()
    async def good(address):
        reader, writer = await asyncio.open_connection(*address, ssl=outside)
        writer.write(b"hello")
        assert await reader.read() == b"hello"
        writer.close()
    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=inside,
                                            ssl_handshake_timeout=5)
        address = server.sockets[0].getsockname()
        for i in range(60):
            client = socket.create_connection(address)
            client.setblocking(False)
            kind = i % 5
            if kind == 0:
                data = chance.randbytes(chance.randrange(1, 5000))
            elif kind == 1:
                data = greeting[:chance.randrange(1, len(greeting))]
            elif kind == 2:
                data = greeting + chance.randbytes(500)
            elif kind == 3:
                data = b"GET / HTTP/1.0\\r\\n\\r\\n"
            else:
                broken = bytearray(greeting)
                broken[chance.randrange(len(broken))] ^= 0xff
                data = bytes(broken)
            client.send(data)
            await asyncio.sleep(0.001)
            client.close()
            if i % 10 == 0:
                await good(address)
        await good(address)
        server.close()
        # And the other way round: noise from a server.
        async def noise(reader, writer):
            writer.write(chance.randbytes(3000))
            writer.close()
        server = await asyncio.start_server(noise, "127.0.0.1", 0)
        for _ in range(20):
            try:
                await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=outside)
            except (ssl.SSLError, OSError):
                continue
            raise AssertionError("that was no TLS")
        server.close()
        await asyncio.sleep(0.05)
    before = len(os.listdir("/proc/self/fd"))
    loop.run_until_complete(main())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    """)


def program(name, *arguments):
    """A program of this folder, by itself."""
    done = subprocess.run([sys.executable, "-m", f"tests.hostile.{name}", *arguments], cwd=ROOT,
                          capture_output=True, text=True, timeout=2 * LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_lossy_link():
    """A link that loses 5 % of the packets, repeats and reorders others: all
    data arrive, in order.  Needs root, for network namespaces of its own."""
    said = program("lossy")
    if "missing" in said:
        pytest.skip(said.strip())
    assert "survived" in said


def test_ten_thousand_one_after_the_other():
    """Connections opened and closed in flat memory (make connections: 10**6)."""
    assert "survived" in program("connections", "10000")
