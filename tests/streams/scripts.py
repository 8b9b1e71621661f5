"""Scripts of what can happen to a reader, and what one does in such a script.

A script is a list of steps, each a tuple of a name and its arguments:

    ("feed", data) ("eof",) ("fail", number) ("look",) ("limit", bytes)
    ("read", n) ("readexactly", n) ("readuntil", separator) ("readline",)
    ("anext",) ("second", n)  another read while one may be waiting
    ("cancel",) ("turn",)     one pass of the loop
"""
from __future__ import annotations

import asyncio
import random
import sys

READS = ("read", "readexactly", "readuntil", "readline", "anext")
ALPHABET = b"ab\n"
SEPARATORS: list = [b"\n", b"a", b"ab", b"aab", b"ab\nab", b"", bytearray(b"b\n"),
                    memoryview(b"ba"), (), 10, None]
if sys.version_info >= (3, 13):
    SEPARATORS += [(b"ab", b"b"), (b"a", b"ab"), (b"\n", b"aab\n", b"ba"), (b"bb", b"")]


class Transport:
    """Notes what it is asked; cannot pause if it was made so."""

    def __init__(self, can_pause: bool) -> None:
        self.calls: list[str] = []
        self._can_pause = can_pause

    def pause_reading(self):
        self.calls.append("pause")
        if not self._can_pause:
            raise NotImplementedError

    def resume_reading(self):
        self.calls.append("resume")

    def __repr__(self):
        return "<Transport>"


def told(call):
    """The result of call(), or of its exception all that can be seen."""
    try:
        return "returned", call()
    except BaseException as exc:
        return described(exc)


def described(exc):
    context = exc.__context__
    return (type(exc), str(exc), getattr(exc, "partial", None),
            getattr(exc, "expected", None), getattr(exc, "consumed", None),
            type(context) if isinstance(exc, ValueError) else None)


class Run:
    """One reader in one script; `trace` is all that could be observed."""

    def __init__(self, cls, loop, limit, can_pause):
        self.reader = cls(limit=limit, loop=loop)
        self.transport = None
        self.trace: list = []
        self.task = None
        self._loop = loop
        if can_pause is not None:
            self.transport = Transport(can_pause)
            self.reader.set_transport(self.transport)

    async def step(self, step):
        name, *arguments = step
        reader = self.reader
        if name == "feed":
            self.note(step, told(lambda: reader.feed_data(*arguments)))
        elif name == "eof":
            self.note(step, told(reader.feed_eof))
        elif name == "fail":
            exc = (KeyError, ConnectionResetError)[arguments[0] % 2]("script")
            self.note(step, told(lambda: reader.set_exception(exc)))
        elif name == "look":
            self.note(step, bytes(reader._buffer))
        elif name == "limit":
            reader._limit = arguments[0]
        elif name == "cancel":
            if self.task is not None:
                self.task.cancel("script")
        elif name == "turn":
            await asyncio.sleep(0)
        elif name == "second":
            if self.task is not None and not self.task.done():
                second = self._loop.create_task(self.read("read", arguments))
                await asyncio.sleep(0)
                if second.done():
                    self.note(step, told(second.result))
                else:
                    second.cancel()
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
        elif self.task is None:
            self.task = self._loop.create_task(self.read(name, arguments))
        self.observe()

    async def read(self, name, arguments):
        if name == "anext":
            return await self.reader.__anext__()
        return await getattr(self.reader, name)(*arguments)

    def observe(self):
        if self.task is not None and self.task.done():
            self.note("done", "cancelled" if self.task.cancelled()
                      else told(self.task.result))
            self.task = None
        reader = self.reader
        self.note(reader.at_eof(), reader._eof, reader._paused,
                  reader._waiter is None, repr(reader.exception()),
                  self.transport and tuple(self.transport.calls))

    def note(self, *what):
        self.trace.append(what)

    async def end(self):
        for _ in range(3):
            await asyncio.sleep(0)
        self.observe()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
            self.observe()
        self.note("left", bytes(self.reader._buffer), repr(self.reader))


def trace(cls, script, limit, can_pause):
    """All that could be observed of a reader of this class in the script."""
    loop = asyncio.SelectorEventLoop()

    async def run():
        one = Run(cls, loop, limit, can_pause)
        for step in script:
            await one.step(step)
        await one.end()
        return one.trace

    try:
        return loop.run_until_complete(run())
    finally:
        loop.close()


def random_script(seed: int):
    """(script, limit, can_pause) that depends on the seed alone."""
    rng = random.Random(seed)

    def data():
        return bytes(rng.choice(ALPHABET) for _ in range(rng.choice((0, 1, 2, 3, 9, 40))))

    def step():
        name = rng.choices(
            ("feed", "turn", "read", "readexactly", "readuntil", "readline", "anext",
             "eof", "fail", "cancel", "look", "second", "limit"),
            (30, 25, 8, 8, 10, 8, 4, 1, 0.5, 4, 2, 2, 1))[0]
        if name == "feed":
            return name, rng.choice((bytes, bytes, bytes, bytearray, memoryview))(data())
        if name in ("read", "readexactly", "second"):
            return name, rng.choice((-1, 0, 1, 2, 3, 7, 20, 90))
        if name == "readuntil":
            return name, rng.choice(SEPARATORS)
        if name == "fail":
            return name, rng.randrange(2)
        if name == "limit":
            return name, rng.choice((1, 3, 8, 50))
        return (name,)

    script = [step() for _ in range(rng.randrange(2, 40))]
    return script, rng.choice((1, 2, 5, 16, 2 ** 16)), rng.choice((True, True, False, None))
