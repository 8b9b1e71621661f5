"""redis-py's asyncio client."""
import asyncio

import redis.asyncio


async def talk(where):
    """Values, a pipeline, 50 tasks, publish and subscribe, a timeout."""
    async with redis.asyncio.Redis.from_url(where) as client:
        assert await client.ping()
        connection = await client.connection_pool.get_connection()
        assert type(connection._reader) is asyncio.StreamReader
        await client.connection_pool.release(connection)
        large = bytes(range(256)) * 4096
        await client.set("large", large)
        assert await client.get("large") == large
        async with client.pipeline() as line:
            for number in range(500):
                line.rpush("list", number)
            await line.execute()
        assert await client.llen("list") == 500
        await asyncio.gather(*[client.incr("count") for _ in range(50)])
        assert await client.get("count") == b"50"
        await news(client)
        try:
            async with asyncio.timeout(0.05):
                await client.blpop(["nothing"], timeout=0)
        except TimeoutError:
            pass
        else:
            raise AssertionError("no timeout")
        assert await client.ping()


async def news(client):
    async with client.pubsub() as listener:
        await listener.subscribe("news")
        assert (await listener.get_message(timeout=10))["type"] == "subscribe"
        for number in range(20):
            await client.publish("news", number)
        got = [await listener.get_message(timeout=10) for _ in range(20)]
        assert [int(each["data"]) for each in got] == list(range(20))
