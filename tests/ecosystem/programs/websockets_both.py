"""websockets: server and client on one loop, or the client alone."""
import asyncio
import os

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def talk(uri):
    """Text, bytes, a megabyte, fragments, many in a row, a ping."""
    async with connect(uri, max_size=None) as client:
        large = os.urandom(1 << 20)
        for message in ("text", b"bytes", "", large):
            await client.send(message)
            assert await client.recv() == message
        await client.send(iter(["a", "b", "c"]))
        assert await client.recv() == "abc"
        for number in range(200):
            await client.send(str(number))
        assert [await client.recv() for _ in range(200)] \
            == [str(number) for number in range(200)]
        await (await client.ping())


async def by_streams():
    """The older client, which reads from asyncio's StreamReader."""
    from websockets.legacy.client import connect as connect_by_streams

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        uri = f"ws://127.0.0.1:{port}"
        async with connect_by_streams(uri, max_size=None) as client:
            assert type(client.reader) is asyncio.StreamReader
            large = os.urandom(1 << 20)
            for message in ("text", b"bytes", "", large, *map(str, range(200))):
                await client.send(message)
                assert await client.recv() == message


async def both():
    """Ten clients of one server, and a connection that the server closes."""
    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        uri = f"ws://127.0.0.1:{port}"
        await asyncio.gather(*[talk(uri) for _ in range(3)])
        async with connect(uri) as client:
            server.close()
            await client.wait_closed()
            assert client.close_code == 1001
