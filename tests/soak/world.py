"""One round: servers that run for its length, episodes of actors chosen at
random, interrupts out of nowhere, and an end at which all must be quiet.
"""
import asyncio
import collections
import contextlib
import random
import signal
import socket
import ssl
import tempfile
import threading
from pathlib import Path

from .lateness import Lateness
from .ledger import Ledger

PEM = Path(__file__).parents[1] / "aio" / "localhost.pem"
QUIET_S = 60                # so long may the last episodes of a round take
CANCEL_WITHIN_S = 0.05


class Planned(Exception):
    """Raised on purpose; the exception handler must be told of its token."""

    def __init__(self, token):
        super().__init__(token)
        self.token = token


class World:
    """What actors share.  `rng` of an episode comes from its own seed."""

    def __init__(self, loop, seed, interrupts=True):
        self.loop = loop
        self.seed = seed
        self.interrupts = interrupts
        self.ledger = Ledger()
        self.lateness = Lateness()
        self.counts = collections.Counter()
        self.wrong = []
        self.told = collections.Counter()      # signal: handler calls

    # ---- Ctrl-C -----------------------------------------------------------

    def maybe_interrupt(self, rng, where, chance=0.03):
        """With that chance a SIGINT becomes KeyboardInterrupt right here."""
        if self.interrupts and rng.random() < chance:
            self.counts[f"Ctrl-C in {where}"] += 1
            signal.raise_signal(signal.SIGINT)

    def on_sigint(self, number, frame):
        """Raises where a program is prepared for it: at maybe_interrupt, and
        wherever the loop itself is at work.  In the middle of a Python
        function of asyncio or of an actor's book-keeping it is let go."""
        if frame.f_code is World.maybe_interrupt.__code__:
            raise KeyboardInterrupt
        inside = (frame.f_code.co_name == "run_forever"
                  and self.loop.is_running()
                  and asyncio._get_running_loop() is self.loop)
        if inside and self.loop_is_native():
            self.counts["Ctrl-C in the loop itself"] += 1
            raise KeyboardInterrupt
        self.counts["Ctrl-C let go"] += 1

    def loop_is_native(self):
        return not type(self.loop).__module__.startswith("asyncio")

    @contextlib.contextmanager
    def interrupting(self, rng):
        """SIGINT comes from another thread every now and then."""
        stop = threading.Event()
        main = threading.main_thread().ident

        def annoy():
            while not stop.wait(rng.uniform(0.002, 0.05)):
                signal.pthread_kill(main, signal.SIGINT)

        before = signal.signal(signal.SIGINT, self.on_sigint)
        thread = threading.Thread(target=annoy, daemon=True)
        try:
            if self.interrupts:
                thread.start()
            yield
        finally:
            stop.set()
            if self.interrupts:
                thread.join()
            signal.signal(signal.SIGINT, before)

    # ---- what goes wrong ----------------------------------------------------

    def on_error(self, loop, context):
        """The exception handler: planned exceptions are book-kept."""
        exc = context.get("exception")
        if (isinstance(exc, OSError) and loop.get_debug()
                and "incoming connection" in context["message"]):
            self.counts["clients gone during the handshake"] += 1
        elif isinstance(exc, Planned):
            self.ledger.came(exc.token)
            self.maybe_interrupt(self._handler_rng, "the exception handler")
        else:
            self.wrong.append(f"the handler was told: {context!r}")

    def episode_ended(self, name, task):
        """An episode may end well, by cancel, or by Ctrl-C."""
        if task.cancelled():
            self.counts[f"{name}: cancelled"] += 1
        elif (exc := task.exception()) is None:
            self.counts[name] += 1
        elif isinstance(exc, KeyboardInterrupt):
            self.counts[f"{name}: Ctrl-C"] += 1
        else:
            self.wrong.append(f"{name} failed: {exc!r}")
            self.loop.default_exception_handler(
                {"message": f"in {name}", "exception": exc})

    # ---- servers ---------------------------------------------------------------

    async def open(self, stack):
        """Starts what the actors talk to; the stack closes it."""
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.serving.load_cert_chain(PEM)
        self.trusting = ssl.create_default_context(cafile=PEM)
        servers = [
            await asyncio.start_server(echo, "127.0.0.1", 0),
            await self.loop.create_server(
                lambda: EchoProtocol(self), "127.0.0.1", 0),
            await asyncio.start_server(echo, "127.0.0.1", 0, ssl=self.serving),
            await asyncio.start_unix_server(echo, f"{folder}/echo"),
        ]
        self.streams, self.protocols, self.tls, self.unix = [
            server.sockets[0].getsockname() for server in servers]
        self.datagrams, _ = await self.loop.create_datagram_endpoint(
            EchoDatagrams, ("127.0.0.1", 0))
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            self.loop.add_signal_handler(number, self.on_signal, number)

        async def close():
            for number in (signal.SIGUSR1, signal.SIGUSR2):
                self.loop.remove_signal_handler(number)
            self.datagrams.close()
            for server in servers:
                server.close()
            for server in servers:
                await server.wait_closed()

        stack.push_async_callback(close)

    def on_signal(self, number):
        self.told[number] += 1
        self.maybe_interrupt(self._handler_rng, "a signal's handler")

    # ---- the round ----------------------------------------------------------------

    async def round(self, number, seconds, actors, at_once=12):
        """Episodes for that long, at most so many at once, then silence."""
        rng = random.Random(f"{self.seed}:{number}")
        self._handler_rng = random.Random(f"{self.seed}:{number}:handlers")
        names = list(actors)
        weights = [actors[name].weight for name in names]
        ends = self.loop.time() + seconds
        running = set()
        count = 0
        async with contextlib.AsyncExitStack() as stack:
            await self.open(stack)
            while self.loop.time() < ends:
                if len(running) >= at_once:
                    await asyncio.wait(
                        running, return_when=asyncio.FIRST_COMPLETED)
                name = rng.choices(names, weights)[0]
                own = random.Random(f"{self.seed}:{number}:{count}")
                count += 1
                task = self.loop.create_task(actors[name](self, own))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(
                    lambda task, name=name: self.episode_ended(name, task))
                if own.random() < 0.05:
                    self.loop.call_later(
                        own.uniform(0, CANCEL_WITHIN_S), task.cancel)
            await self.silence(running)
        # Transports that were closed last, and what they have scheduled.
        for _ in range(20):
            await asyncio.sleep(0)

    async def silence(self, running):
        """The last episodes end by themselves; who does not hangs."""
        late = ()
        if running:
            _, late = await asyncio.wait(running, timeout=QUIET_S)
        for task in late:
            self.wrong.append(f"hangs: {task!r}, {task.get_stack()}")
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)
        ends = self.loop.time() + QUIET_S
        while self.ledger.owes() and self.loop.time() < ends:
            await asyncio.sleep(0.01)
        await asyncio.sleep(CANCEL_WITHIN_S)   # timers that would cancel

    def run_round(self, *arguments):
        """Runs the loop to the end of a round, through every interrupt."""
        rng = random.Random(f"{self.seed}:{arguments[0]}:interrupts")
        self.loop.set_exception_handler(self.on_error)
        with self.lateness.beside_a_bystander():
            task = self.loop.create_task(self.round(*arguments))
            task.add_done_callback(lambda _: self.loop.stop())
            with self.interrupting(rng), self.lateness.under_load(self.loop):
                while not task.done():
                    try:
                        self.loop.run_forever()
                    except KeyboardInterrupt:
                        self.counts["Ctrl-C left run_forever"] += 1
            task.result()
            self.loop.run_until_complete(self.lateness.when_quiet(rng))
        self.wrong += self.lateness.stalls()
        self.ledger.close()
        self.loop.set_exception_handler(None)


async def echo(reader, writer):
    """A stream server's handler: everything back, and the end, too."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (OSError, ssl.SSLError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


class EchoProtocol(asyncio.Protocol):
    """The same as a protocol, whose callbacks are interrupted.

    connection_lost comes after each connection_made: both are in the ledger.
    """

    def __init__(self, world):
        self.world = world
        self.rng = random.Random(world.counts["protocols made"])
        world.counts["protocols made"] += 1

    def connection_made(self, transport):
        self.transport = transport
        self.lost = self.world.ledger.promise("connection_lost")
        self.world.maybe_interrupt(self.rng, "connection_made")

    def data_received(self, data):
        self.transport.write(data)
        self.world.maybe_interrupt(self.rng, "data_received")

    def eof_received(self):
        self.world.maybe_interrupt(self.rng, "eof_received")

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()
        self.world.maybe_interrupt(self.rng, "resume_writing")

    def connection_lost(self, exc):
        self.world.ledger.came(self.lost)
        self.world.maybe_interrupt(self.rng, "connection_lost")


class EchoDatagrams(asyncio.DatagramProtocol):
    """Datagrams back to where they came from."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


def socketpair():
    """Two connected sockets that do not block."""
    pair = socket.socketpair()
    for sock in pair:
        sock.setblocking(False)
    return pair
