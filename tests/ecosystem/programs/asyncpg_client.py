"""asyncpg."""
import asyncio

import asyncpg


async def talk(folder, port):
    """Over the Unix socket and over TCP."""
    for host in (folder, "127.0.0.1"):
        async with asyncpg.create_pool(
                host=host, port=int(port), user="postgres",
                database="postgres", min_size=2, max_size=5) as pool:
            await values(pool)
            await transactions(pool)
            await copies(pool)
            await notices(pool)
            await cancels(pool)


async def values(pool):
    assert await pool.fetchval("select 6 * 7") == 42
    got = await asyncio.gather(*[
        pool.fetchval("select $1::int + 1", number) for number in range(100)])
    assert got == list(range(1, 101))
    large = bytes(range(256)) * 4096
    assert await pool.fetchval("select $1::bytea", large) == large


async def transactions(pool):
    async with pool.acquire() as connection:
        await connection.execute("create temp table t (n int)")
        try:
            async with connection.transaction():
                await connection.execute("insert into t values (1)")
                raise LookupError
        except LookupError:
            pass
        assert await connection.fetchval("select count(*) from t") == 0
        async with connection.transaction():
            numbers = [row[0] async for row in connection.cursor(
                "select generate_series(1, 1000)", prefetch=50)]
        assert numbers == list(range(1, 1001))
        await connection.execute("drop table t")


async def copies(pool):
    async with pool.acquire() as connection:
        await connection.execute("create temp table c (n int, s text)")
        rows = [(number, str(number) * 10) for number in range(10_000)]
        await connection.copy_records_to_table("c", records=rows)
        assert await connection.fetchval("select sum(n) from c") == sum(range(10_000))
        await connection.execute("drop table c")


async def notices(pool):
    async with pool.acquire() as one, pool.acquire() as other:
        told = asyncio.get_running_loop().create_future()
        def listener(*arguments):
            told.set_result(arguments[3])
        await one.add_listener("news", listener)
        await other.execute("notify news, 'hello'")
        assert await told == "hello"
        await one.remove_listener("news", listener)


async def cancels(pool):
    """A query that takes too long is cancelled; the connection lives on."""
    async with pool.acquire() as connection:
        try:
            await connection.execute("select pg_sleep(100)", timeout=0.1)
        except TimeoutError:
            pass
        else:
            raise AssertionError("no timeout")
        assert await connection.fetchval("select 1") == 1
