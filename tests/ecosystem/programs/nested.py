"""nest_asyncio: a loop that runs within itself."""
import asyncio
import sys
import threading

import kevent


def everything():
    """Sleeps, streams, a thread and a child process, within a task that runs."""
    import nest_asyncio

    loop = kevent.new_event_loop()
    told = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    asyncio.set_event_loop(loop)
    nest_asyncio.apply(loop)
    try:
        assert loop.run_until_complete(outer(loop, 3)) == "deep"
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert not told, told


everything.runs_itself = True


async def outer(loop, depth):
    if depth:
        ticks = asyncio.ensure_future(count(20))
        got = loop.run_until_complete(outer(loop, depth - 1))
        assert await ticks == 20
        return got
    for part in (sleeps, streams, threads, processes):
        asyncio.run(part())
    return "deep"


async def count(number):
    for _ in range(number):
        await asyncio.sleep(0.001)
    return number


async def sleeps():
    start = asyncio.get_running_loop().time()
    await asyncio.gather(*[asyncio.sleep(n / 1000) for n in range(20)])
    assert asyncio.get_running_loop().time() - start >= 0.019


async def streams():
    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    data = bytes(range(256)) * 8192
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname())
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        writer.close()
        await writer.wait_closed()


async def threads():
    numbers = await asyncio.gather(
        *[asyncio.to_thread(threading.get_ident) for _ in range(20)])
    assert threading.get_ident() not in numbers


async def processes():
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate(b"abc\n")
    assert out == b"cba\n" and child.returncode == 0
