"""Loops to try the harness on: it must pass the first and fail the others."""
import asyncio
import atexit
import os
import selectors
import time


class Trivial(asyncio.SelectorEventLoop):
    """Nothing changed: any difference is the harness's own."""


class Broken(asyncio.SelectorEventLoop):
    """Says nothing was watched, and refuses a documented parameter."""

    def remove_reader(self, fd):
        super().remove_reader(fd)
        return False

    async def sock_recv_into(self, sock, buf):
        raise NotImplementedError


class Hanging(asyncio.SelectorEventLoop):
    """Sleeps for good where it should raise."""

    async def sock_sendto(self, sock, data, address):
        time.sleep(3600)


class Crashing(asyncio.SelectorEventLoop):
    """Takes the process down."""

    async def sock_sendto(self, sock, data, address):
        os.abort()


class Unbound(asyncio.SelectorEventLoop):
    """A factory that hands out the stdlib's loop instead of this one."""

    def __new__(cls):
        return asyncio.unix_events._UnixSelectorEventLoop()


class DyingLate(asyncio.SelectorEventLoop):
    """Leaves something behind that kills the interpreter when it ends."""

    def __init__(self):
        super().__init__()
        atexit.register(os.abort)


class TrivialSelector(selectors.EpollSelector):
    """As Trivial; test_modify_unregister skips it for its name."""
