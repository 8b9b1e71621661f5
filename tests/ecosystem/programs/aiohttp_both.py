"""aiohttp: server and client on one loop."""
import asyncio
import contextlib
import io
import ssl
import tempfile
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, WSMsgType, web

CERTIFICATE = Path(__file__).parents[2] / "aio" / "localhost.pem"


async def loop_name(request):
    kind = type(asyncio.get_running_loop())
    return web.Response(text=f"{kind.__module__}.{kind.__qualname__}")


async def echo(request):
    response = web.StreamResponse()
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(piece)
    await response.write_eof()
    return response


async def silence(request):
    await asyncio.get_running_loop().create_future()


async def websocket(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


@contextlib.asynccontextmanager
async def serving(tls=None, file=None):
    """The base URL of a server with these routes, and /file if there is one."""
    app = web.Application(client_max_size=1 << 24)
    app.router.add_get("/loop", loop_name)
    app.router.add_post("/", echo)
    app.router.add_get("/silence", silence)
    app.router.add_get("/ws", websocket)
    if file:
        app.router.add_get("/file", lambda _: _file(file))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://localhost:{port}"
    finally:
        await runner.cleanup()


async def _file(name):
    return web.FileResponse(name)


async def talk(base, session):
    async with session.get(f"{base}/loop") as answer:
        assert await answer.text() == "kevent.loop.EventLoop"
    large = bytes(range(256)) * 8192
    for body in (b"", b"hello", large):
        async with session.post(f"{base}/", data=io.BytesIO(body)) as answer:
            assert await answer.read() == body

    async def one(number):
        async with session.post(f"{base}/", data=b"%d" % number) as answer:
            return await answer.read()

    assert await asyncio.gather(*map(one, range(100))) \
        == [b"%d" % number for number in range(100)]
    async with session.ws_connect(f"{base}/ws") as socket:
        for number in range(100):
            await socket.send_str(str(number))
            assert (await socket.receive_str()) == str(number)
        await socket.send_bytes(large)
        assert await socket.receive_bytes() == large


async def plain():
    """HTTP, WebSocket, a file by sendfile, a cancelled request."""
    with tempfile.NamedTemporaryFile() as file:
        content = bytes(range(256)) * 12000
        file.write(content)
        file.flush()
        async with serving(file=file.name) as base, ClientSession() as session:
            await talk(base, session)
            async with session.get(f"{base}/file") as answer:
                assert await answer.read() == content
            request = asyncio.create_task(session.get(f"{base}/silence"))
            done, _ = await asyncio.wait([request], timeout=0.05)
            assert not done
            request.cancel()
            await asyncio.wait([request])
            assert request.cancelled()


async def tls():
    """The same over TLS."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    client = ssl.create_default_context(cafile=str(CERTIFICATE))
    client.check_hostname = False
    async with serving(tls=server) as base:
        async with ClientSession(connector=TCPConnector(ssl=client)) as session:
            await talk(base, session)
