"""What a checker makes of a program that uses kevent.  It is checked and run."""
import asyncio
import ctypes
import mmap
import selectors
import socket
import sys

import kevent
from kevent import (
    KEVENT_CTL_ADD, KEVENT_CTL_READY, KEVENT_SOCKET, KEVENT_SOCKET_RECV, KEVENT_TIMER,
    KEVENT_UNOTIFY, Queue, Ring, ukevent,
)

if sys.version_info >= (3, 11):
    from typing import assert_type


def calls() -> None:
    fd = kevent.kevent_init(Ring(8))
    assert_type(fd, int)
    event = ukevent((0, 1_000_000), KEVENT_TIMER, user=7)
    assert_type(kevent.kevent_ctl(fd, KEVENT_CTL_ADD, [event]), list[ukevent])
    assert_type(kevent.kevent_ctl(fd, KEVENT_CTL_ADD, bytearray(ukevent(1, KEVENT_UNOTIFY))), int)
    array = (ctypes.c_char * 80)()
    assert_type(kevent.kevent_get_events(fd, 0, 2, 0, array), int)
    assert_type(kevent.kevent_get_events(fd, 0, 2, 0, buf=mmap.mmap(-1, 80)), int)
    assert_type(kevent.kevent_get_events(fd, 0, 2, timeout=0), list[ukevent])
    assert_type(kevent.kevent_wait(fd, 8, timeout=0, commit=0), int)
    assert_type(kevent.kevent_ctl(fd, KEVENT_CTL_READY, []), list[ukevent])
    assert_type(kevent.kevent_features(), int)
    kevent.kevent_close(fd)


def objects() -> None:
    a, b = socket.socketpair()
    with a, b, Queue(ring_size=4) as queue:
        assert_type(queue.add(a, KEVENT_SOCKET, KEVENT_SOCKET_RECV, user=1), ukevent | None)
        b.send(b"x")
        assert_type(queue.get_events(), list[ukevent])
        assert_type(queue.statistics(), dict[str, int])
        ring = queue.ring
        assert ring is not None
        assert_type(ring[0], ukevent)
        assert_type(ring[0].ret_data, tuple[int, int])


def selector() -> None:
    a, b = socket.socketpair()
    with a, b, kevent.KeventSelector() as chosen:
        base: selectors.BaseSelector = chosen
        assert_type(chosen.register(a, selectors.EVENT_READ), selectors.SelectorKey)
        assert_type(base.select(0), list[tuple[selectors.SelectorKey, int]])
        for fileobj, key in base.get_map().items():
            assert key.fd == a.fileno(), fileobj


async def answer() -> int:
    return 42


def loops() -> None:
    assert_type(kevent.run(answer()), int)
    with asyncio.Runner(loop_factory=kevent.new_event_loop) as runner:
        assert_type(runner.run(answer()), int)
    loop: asyncio.AbstractEventLoop = kevent.new_event_loop()
    loop.close()


if __name__ == "__main__":
    calls()
    objects()
    selector()
    loops()
