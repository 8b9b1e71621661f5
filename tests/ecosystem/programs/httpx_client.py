"""httpx as the client of an echo server."""
import asyncio

import httpx


async def talk(base):
    """Loop's name, an echo, a megabyte streamed both ways, 50 at once."""
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        answer = await client.get("/loop")
        assert answer.text == "kevent.loop.EventLoop", answer.text
        assert (await client.post("/", content=b"hello")).content == b"hello"

        async def pieces():
            for number in range(16):
                yield bytes([number]) * 65536

        got = bytearray()
        async with client.stream("POST", "/", content=pieces()) as answer:
            async for piece in answer.aiter_bytes():
                got += piece
        assert got == b"".join([bytes([n]) * 65536 for n in range(16)])
        answers = await asyncio.gather(*[
            client.post("/", content=b"%d" % n) for n in range(50)])
        assert [a.content for a in answers] == [b"%d" % n for n in range(50)]


async def time_out(base):
    """A server that does not answer: the read ends in time, as an exception."""
    async with httpx.AsyncClient(base_url=base, timeout=0.05) as client:
        try:
            await client.get("/silence")
        except httpx.ReadTimeout:
            return
    raise AssertionError("no timeout")


async def against_aiohttp():
    """Both of them on one loop."""
    from .aiohttp_both import serving

    async with serving() as base:
        await talk(base)
        await time_out(base)
