"""HTTP at two heights: a protocol around httptools, and uvicorn."""
from __future__ import annotations

import asyncio

from . import common, content
from .echo import BACKLOG, listen

HEAD = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n")
RESPONSE = HEAD % len(content.JSON_BODY) + content.JSON_BODY


class Http(asyncio.Protocol):
    """Parses requests with httptools and has one answer for all of them."""

    def connection_made(self, transport):
        import httptools

        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_message_complete(self):
        self.transport.write(RESPONSE)


async def app(scope, receive, send):
    """An ASGI application with the same answer."""
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content.JSON_BODY))]})
    await send({"type": "http.response.body", "body": content.JSON_BODY})


async def serve_protocol() -> None:
    """Serve until cancelled; by address, which more loops can than by socket."""
    import httptools  # noqa: F401  (so that a missing one is seen before the first client)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Http, "127.0.0.1", 0, backlog=BACKLOG)
    common.announce(server.sockets[0].getsockname()[1])
    await loop.create_future()
    server.close()


async def serve_uvicorn() -> None:
    """Serve until a signal comes; on a socket, whose port is known before."""
    import uvicorn

    listener = listen(None)
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off",
                            access_log=False, log_level="warning")
    common.announce(listener.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[listener])


SERVERS = {"httptools": serve_protocol, "uvicorn": serve_uvicorn}


def main() -> None:
    parser = common.arguments(__doc__)
    parser.add_argument("--api", choices=SERVERS, default="httptools")
    options = parser.parse_args()
    common.serve(options.loop, lambda: SERVERS[options.api]())


if __name__ == "__main__":
    main()
