"""Arguments may be given by the names that asyncio has for them."""
import asyncio
import os
import socket

import pytest


async def connected(loop, protocol=asyncio.Protocol):
    """(transport, the other end)."""
    ours, theirs = socket.socketpair()
    transport, _ = await loop.create_connection(protocol, sock=ours)
    theirs.settimeout(30)
    return transport, theirs


async def closed(transport, theirs):
    theirs.close()
    transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_callbacks():
    """callback, delay and when, of each call that queues one."""
    loop = asyncio.get_running_loop()
    done = [loop.create_future() for _ in range(4)]
    loop.call_soon(callback=lambda: done[0].set_result(0))
    loop.call_later(delay=0, callback=lambda: done[1].set_result(1))
    loop.call_at(when=0, callback=lambda: done[2].set_result(2))
    loop.call_soon_threadsafe(callback=lambda: done[3].set_result(3))
    assert await asyncio.gather(*done) == [0, 1, 2, 3]


async def test_task():
    """coro of create_task()."""
    task = asyncio.get_running_loop().create_task(coro=asyncio.sleep(0, "done"))
    assert await task == "done"


async def test_descriptors():
    """fd and callback of what watches descriptors."""
    loop = asyncio.get_running_loop()
    readable, writable = os.pipe()
    with open(readable, "rb", 0), open(writable, "wb", 0):
        told = loop.create_future()
        loop.add_writer(fd=writable, callback=lambda: told.set_result(None)
                        if not told.done() else None)
        loop.add_reader(fd=readable, callback=lambda: None)
        await told
        assert loop.remove_writer(fd=writable)
        assert loop.remove_reader(fd=readable)
        assert not loop.remove_reader(fd=readable)


async def test_stream_transport():
    """data, list_of_data, protocol, name, default, high and low of a stream."""
    loop = asyncio.get_running_loop()
    transport, theirs = await connected(loop)
    transport.set_write_buffer_limits(high=20, low=10)
    assert transport.get_write_buffer_limits() == (10, 20)
    transport.write(data=b"one")
    transport.writelines(list_of_data=[b"two", b"three"])
    assert theirs.recv(11, socket.MSG_WAITALL) == b"onetwothree"
    protocol = asyncio.Protocol()
    transport.set_protocol(protocol=protocol)
    assert transport.get_protocol() is protocol
    assert transport.get_extra_info(name="nothing", default=1) == 1
    await closed(transport, theirs)


async def test_datagram_transport():
    """data, addr and protocol of datagrams."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("127.0.0.1", 0))
        theirs.settimeout(30)
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        transport.sendto(data=b"data", addr=theirs.getsockname())
        assert theirs.recv(10) == b"data"
        protocol = asyncio.DatagramProtocol()
        transport.set_protocol(protocol=protocol)
        assert transport.get_protocol() is protocol
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_pipe_transports():
    """data and protocol of pipes."""
    loop = asyncio.get_running_loop()
    readable, writable = os.pipe()
    reader, _ = await loop.connect_read_pipe(asyncio.Protocol, open(readable, "rb", 0))
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol,
                                              open(writable, "wb", 0))
    got = loop.create_future()

    class Protocol(asyncio.Protocol):
        def data_received(self, data):
            got.set_result(data)

    reader.set_protocol(protocol=Protocol())
    writer.set_protocol(protocol=asyncio.BaseProtocol())
    writer.write(data=b"data")
    assert await got == b"data"
    writer.abort()
    reader.close()
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.mark.parametrize("call", [
    lambda transport: transport.write(),
    lambda transport: transport.write(b"x", b"y"),
    lambda transport: transport.write(b"x", data=b"y"),
    lambda transport: transport.write(dat=b"x"),
    lambda transport: transport.set_protocol(),
    lambda transport: asyncio.get_running_loop().remove_reader(),
    lambda transport: asyncio.get_running_loop().remove_reader(fileno=1),
])
async def test_wrong_names(call):
    """Too few, too many, twice, or another name: TypeError."""
    transport, theirs = await connected(asyncio.get_running_loop())
    with pytest.raises(TypeError):
        call(transport)
    await closed(transport, theirs)
