"""Each type shows the collector its type and everything that it holds."""
import asyncio
import contextvars
import gc
import socket

import kevent
from kevent import _core


def shown(each):
    """The identities of what the collector sees in an object."""
    return {id(one) for one in gc.get_referents(each)}


def assert_shows(each, *held):
    """The object's type and all that it holds are visited."""
    assert gc.is_tracked(each)
    seen = shown(each)
    assert id(type(each)) in seen, f"{type(each)} does not visit its type"
    for one in held:
        assert id(one) in seen, f"{type(each)} does not visit {one!r}"


def test_handles():
    """Callback, arguments, context, loop, where it was made, the deadline."""
    loop = kevent.new_event_loop()
    loop.set_debug(True)
    context = contextvars.copy_context()
    one, two, when = object(), object(), loop.time() + 1000.5

    def callback(*args):
        pass
    for args in ((one,), (one, two)):
        handle = loop.call_soon(callback, *args, context=context)
        held = args if len(args) == 1 else (handle._args,)
        assert_shows(handle, callback, context, loop, handle._source_traceback, *held)
        timer = loop.call_at(when, callback, *args, context=context)
        held = args if len(args) == 1 else (timer._args,)
        assert_shows(timer, callback, context, loop, when, *held)
    loop.close()


def test_loop():
    """The ready queue, timers, readers, transports, the task factory."""
    loop = kevent.new_event_loop()
    left, right = socket.socketpair()
    other, end = socket.socketpair()
    other.setblocking(False)
    timer = loop.call_later(1000, print)
    reader = loop._add_reader(left, print)
    writer = loop._add_writer(left, print)
    factory = asyncio.Task
    loop.set_task_factory(factory)
    transport = loop._make_socket_transport(other, asyncio.Protocol())
    assert_shows(loop, loop._ready, timer, reader, writer, transport, factory,
                 loop._transports, _core)
    handle = loop.call_soon(print)
    assert_shows(loop._ready, handle)
    transport.abort()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    for each in (left, right, end):
        each.close()


def test_transport():
    """Loop, socket, protocol, server, context, what is known of the peer."""
    class Server:
        def _attach(self, transport=None):
            pass
        _detach = _attach
    loop = kevent.new_event_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    protocol, server = asyncio.Protocol(), Server()
    context = contextvars.copy_context()
    transport = kevent.EventLoop._stream_class(
        loop, ours, protocol, None, {"a": 1}, server, context)
    transport._empty_waiter = waiter = loop.create_future()
    assert_shows(transport, loop, ours, protocol, server, context, waiter,
                 transport._extra_dict)
    transport._empty_waiter = None
    transport.abort()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    theirs.close()


def test_datagram_transport():
    """Loop, socket, protocol, address, contexts, what waits at either end; and
    the loop the addresses that it knows."""
    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            self.addr = addr
            transport.pause_reading()
    loop = kevent.new_event_loop()
    theirs, ours = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab")
    for each in (theirs, ours):
        each.bind(("127.0.0.1", 0))
        each.setblocking(False)
    protocol, address = Protocol(), theirs.getsockname()
    transport = loop._make_datagram_transport(ours, protocol, address)
    data = [b"0" * 10, b"1" * 10]
    for one in data:
        theirs.sendto(one, ours.getsockname())
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert_shows(transport, loop, ours, protocol, address, transport._extra, protocol.addr)
    assert data[1] in gc.get_referents(transport)
    assert_shows(loop, transport._protocol.addr)
    transport.abort()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    theirs.close()


def test_queue_ring_selector():
    """The ring of a queue, the buffer of a ring, the keys of a selector."""
    class Memory(bytearray):
        pass
    memory = Memory(8 + 40 * 4)
    ring = kevent.Ring.from_buffer(memory)
    with kevent.Queue(ring=ring) as queue:
        assert_shows(queue, ring, _core)
    assert_shows(ring)
    left, right = socket.socketpair()
    with kevent.KeventSelector() as selector, left, right:
        key = selector.register(left, 2, object())
        [pair] = selector.select(0)
        assert_shows(selector, key, pair, selector.get_map(), _core)
        assert_shows(selector.get_map(), selector)


def test_cycles_are_collected():
    """A closed loop, a lost transport and a closed selector in cycles go."""
    import weakref

    class Thing:
        pass
    for kind in ("loop", "transport", "selector", "open loop"):
        thing = Thing()
        thing.loop = loop = kevent.new_event_loop()
        loop.thing = thing
        if kind == "open loop":
            loop.call_later(1000, thing)
            loop.call_soon(thing)
        if kind == "transport":
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            class Protocol(asyncio.Protocol):
                pass
            protocol = Protocol()
            thing.transport = loop._make_socket_transport(ours, protocol)
            protocol.thing = thing
            thing.transport.abort()
            loop.call_soon(loop.stop)
            loop.run_forever()
            theirs.close()
            del ours, theirs, protocol, Protocol
        if kind == "selector":
            thing.selector = kevent.KeventSelector()
            left, right = socket.socketpair()
            thing.selector.register(left, 1, thing)
            right.send(b"x")
            thing.selector.select(0)
            left.close()
            right.close()
            del left, right
        if kind != "open loop":
            loop.close()
        probe = weakref.ref(thing)
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            del thing, loop
            gc.collect()
        assert probe() is None, kind
