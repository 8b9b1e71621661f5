"""Small programs on one open loop, each of which leaves nothing behind."""
import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading

import kevent

scenarios = {}


def scenario(function):
    """Register a function of the loop under its name."""
    scenarios[function.__name__] = function
    return function


def spin(loop, passes=3):
    """Run some passes of the loop."""
    for _ in range(passes):
        loop.call_soon(loop.stop)
        loop.run_forever()


@scenario
def handles(loop):
    """call_soon with 0, 1 and more arguments: run, cancelled, failing."""
    for args in ((), (1,), (1, 2)):
        loop.call_soon(lambda *args: None, *args)
        loop.call_soon(lambda *args: None, *args).cancel()
        loop.call_soon(lambda *args: 1 / 0, *args)
        loop.call_soon_threadsafe(lambda *args: None, *args)
    spin(loop)


@scenario
def timers(loop):
    """Timers that fire, are cancelled and fail."""
    for delay in (0, 1e-6, 1000):
        loop.call_later(delay, lambda: None)
        loop.call_later(delay, lambda *args: None, 1, 2).cancel()
        loop.call_at(loop.time(), lambda: 1 / 0)
    loop._scheduled = ()
    spin(loop)


@scenario
def tasks(loop):
    """Tasks, futures, cancellation, exceptions, time limits."""
    async def fail():
        await asyncio.sleep(0)
        raise ValueError

    async def main():
        await asyncio.gather(fail(), asyncio.sleep(0), return_exceptions=True)
        task = asyncio.create_task(asyncio.sleep(100))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        try:
            async with asyncio.timeout(0):
                await loop.create_future()
        except TimeoutError:
            pass
    loop.run_until_complete(main())


@scenario
def connections(loop):
    """A server, a client, data both ways, pauses, large writes, an abort."""
    async def serve(reader, writer):
        data = await reader.readexactly(100_000)
        writer.write(data)
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for end in ("close", "abort", "nothing"):
            reader, writer = await asyncio.open_connection(*address)
            writer.get_extra_info("peername")
            writer.writelines([b"x" * 50_000, b"y" * 50_000])
            if end != "abort":
                await reader.readexactly(100_000)
                assert await reader.read() == b""
            else:
                writer.transport.abort()
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass
        server.close()
        await server.wait_closed()
    loop.run_until_complete(main())
    spin(loop)


@scenario
def raising_protocols(loop):
    """Protocols that raise in each of their methods."""
    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            raise ValueError
        def data_received(self, data):
            raise ValueError
        def connection_lost(self, exc):
            raise ValueError
    for _ in range(3):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        transport = loop._make_socket_transport(ours, Protocol())
        theirs.send(b"x")
        spin(loop)
        theirs.close()
        transport.abort()
        spin(loop)


@scenario
def datagrams(loop):
    """Endpoints that echo batches, are paused, cannot send, raise, are dropped."""
    class Echo(asyncio.DatagramProtocol):
        count = 0
        def connection_made(self, transport):
            self.transport = transport
        def datagram_received(self, data, addr):
            self.count += 1
            self.transport.sendto(bytearray(data), addr)
            if data == b"2":
                self.transport.pause_reading()
            if data == b"4":
                raise ValueError
    class Lists(Echo):
        def datagrams_received(self, datagrams):
            for data, addr in datagrams:
                Echo.datagram_received(self, data, addr)
    for kind in (Echo, Lists):
        for end in ("close", "abort", "drop", "late"):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            protocol = kind()
            transport = loop._make_datagram_transport(sock, protocol)
            spin(loop)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
                raw.connect(sock.getsockname())
                for number in range(6):
                    raw.send(b"%d" % number)
                spin(loop)
                assert protocol.count
                if end != "late":
                    transport.resume_reading()
                    spin(loop)
                transport.sendto(b"x" * 70_000, raw.getsockname())
            if end == "drop":
                transport.pause_reading()
                del protocol.transport, protocol, transport
                gc.collect()
            elif end == "close":
                transport.close()
            else:
                transport.abort()
            spin(loop)
    theirs, ours = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in "ab")
    theirs.bind(b"\0kevent-scenario-%d" % os.getpid())
    ours.connect(theirs.getsockname())
    ours.setblocking(False)
    transport = loop._make_datagram_transport(ours, Echo())
    spin(loop)
    while not transport.get_write_buffer_size():
        transport.sendto(b"x" * 1000)
    transport.sendto(bytearray(b"x"))
    theirs.recv(1000)
    spin(loop)
    theirs.close()
    spin(loop)
    transport.abort()
    spin(loop)


@scenario
def readers(loop):
    """add_reader and add_writer, replaced, removed and left to the end."""
    left, right = socket.socketpair()
    with left, right:
        right.send(b"x")
        loop.add_reader(left, left.recv, 10)
        loop.add_reader(left, left.recv, 10)
        loop.add_writer(left, lambda: loop.remove_writer(left))
        spin(loop)
        loop.remove_reader(left)


@scenario
def threads(loop):
    """Callbacks and results from other threads."""
    async def main():
        await asyncio.to_thread(lambda: None)
        event = asyncio.Event()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(event.set))
        thread.start()
        await event.wait()
        thread.join()
    loop.run_until_complete(main())


@scenario
def children(loop):
    """A subprocess with pipes."""
    async def main():
        process = await asyncio.create_subprocess_exec(
            "/bin/cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = await process.communicate(b"x")
        assert out == b"x"
    loop.run_until_complete(main())


@scenario
def loops(loop):
    """Loops that are made, used, closed; and left with work queued."""
    other = kevent.new_event_loop()
    other.call_soon(print)
    other.call_later(100, print)
    left, right = socket.socketpair()
    with left, right:
        other.add_reader(left, print)
        other.close()
    kevent.run(asyncio.sleep(0))
    gc.collect()


@scenario
def debug(loop):
    """The same in debug mode, which keeps where handles come from."""
    loop.set_debug(True)
    try:
        handles(loop)
        timers(loop)
    finally:
        loop.set_debug(False)


@scenario
def selectors_and_queues(loop):
    """Selector, Queue, Ring and the calls on descriptors."""
    left, right = socket.socketpair()
    with left, right:
        selector = kevent.KeventSelector()
        selector.register(left, 1, object())
        right.send(b"x")
        selector.select(0)
        selector.modify(left, 3)
        selector.get_map()
        selector.unregister(left)
        selector.close()
        with kevent.Queue(ring_size=8) as queue:
            queue.add(left.fileno(), kevent.KEVENT_POLL)
            queue.wait(timeout=0)
            queue.get_events(0, 8, 0)
            try:
                queue.remove(12345, 3)
            except OSError:
                pass
        descriptor = kevent.kevent_open()
        kevent.kevent_close(descriptor)


@scenario
def wrong_calls(loop):
    """Errors of every method."""
    for call in (lambda: loop.call_soon(), lambda: loop.call_later(None, print),
                 lambda: loop.call_at("x", print), lambda: loop.add_reader(-1, print),
                 lambda: loop.add_reader(10**6, print), lambda: loop.call_soon(a=1),
                 lambda: loop._make_socket_transport(5, None), lambda: kevent.ukevent(),
                 lambda: kevent.Queue(ring=5), lambda: kevent.KeventSelector().register(-1, 1)):
        try:
            call()
        except (TypeError, ValueError, OSError, AttributeError):
            pass
        else:
            raise AssertionError(call)
    gc.collect()


def open_descriptors():
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def measure(name, rounds, windows=5):
    """The least growth of (blocks, descriptors, objects) in some windows of
    that many rounds: caches fill once, a leak is in every window."""
    loop = kevent.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    run = scenarios[name]

    def state():
        spin(loop)
        for _ in range(3):
            gc.collect()
        return sys.getallocatedblocks(), open_descriptors(), len(gc.get_objects())

    # Fill the lists of free objects, the interpreter's and the loop's: what
    # lies in them counts as allocated.
    for _ in range(2000):
        loop.call_soon(asyncio.Event)
        loop.call_later(0, max, 1, [2.5], {}, lambda: rounds).cancel()
    states = [state()]
    for window in range(windows + 1):   # the first is the warm-up
        for _ in range(rounds if window else 10 * rounds):
            run(loop)
        states.append(state())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    growths = [[b - a for a, b in zip(before, after)]
               for before, after in zip(states[1:], states[2:])]
    return tuple(min(column) for column in zip(*growths))


if __name__ == "__main__":
    import warnings
    warnings.simplefilter("ignore")
    print(*measure(sys.argv[1], int(sys.argv[2])))
