"""The demo's application: plain aiohttp, which knows nothing of the loop below it."""
from __future__ import annotations

import asyncio

from aiohttp import web

from . import common, content


async def get_json(request):
    return web.json_response(content.JSON)


async def get_large(request):
    return web.Response(body=content.LARGE_BODY)


async def get_stream(request):
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for chunk in content.STREAM_CHUNKS:
        await response.write(chunk)
    await response.write_eof()
    return response


async def post_echo(request):
    return web.Response(body=await request.read())


async def websocket_echo(request):
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        await websocket.send_bytes(message.data)
    return websocket


def make_app() -> web.Application:
    """The application, ready for any of aiohttp's runners."""
    app = web.Application()
    app.add_routes([
        web.get("/json", get_json),
        web.get("/large", get_large),
        web.get("/stream", get_stream),
        web.post("/echo", post_echo),
        web.get("/ws", websocket_echo),
    ])
    return app


async def serve(path: str | None) -> None:
    """Serve until cancelled."""
    runner = web.AppRunner(make_app(), access_log=None)
    await runner.setup()
    if path:
        await web.UnixSite(runner, path).start()
        common.announce(0)
    else:
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        common.announce(runner.addresses[0][1])
    await asyncio.Event().wait()


def main() -> None:
    options = common.arguments(__doc__).parse_args()
    common.serve(options.loop, lambda: serve(options.unix))


if __name__ == "__main__":
    main()
