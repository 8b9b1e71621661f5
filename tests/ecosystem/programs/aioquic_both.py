"""aioquic: a QUIC server and its clients on one loop."""
import asyncio
import os
import ssl
from pathlib import Path

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration

PEM = str(Path(__file__).parents[2] / "aio" / "localhost.pem")
SIZE = 300_000


async def echo(reader, writer):
    """Everything back, at its end."""
    writer.write(await reader.read())
    writer.write_eof()


async def talk(port, size):
    """Several streams of one connection, each with its data back; a ping."""
    configuration = QuicConfiguration(alpn_protocols=["echo"], is_client=True,
                                      verify_mode=ssl.CERT_NONE)
    async with connect("127.0.0.1", port, configuration=configuration) as client:
        await client.ping()

        async def exchange():
            reader, writer = await client.create_stream()
            data = os.urandom(size)
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == data
        await asyncio.gather(*[exchange() for _ in range(4)])


async def both():
    """Five clients with short messages, then one with long ones."""
    configuration = QuicConfiguration(alpn_protocols=["echo"], is_client=False)
    configuration.load_cert_chain(PEM, PEM)
    tasks = set()

    def handle(reader, writer):
        task = asyncio.ensure_future(echo(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    made = []

    def protocol(*args, **kwargs):
        made.append(QuicConnectionProtocol(*args, **kwargs))
        return made[-1]
    server = await serve("127.0.0.1", 0, configuration=configuration,
                         create_protocol=protocol, stream_handler=handle)
    port = server._transport.get_extra_info("sockname")[1]
    await asyncio.gather(*[talk(port, 1000) for _ in range(5)])
    await talk(port, SIZE)
    server.close()
    await asyncio.gather(*[each.wait_closed() for each in made])
    while server._transport._loop is not None:
        await asyncio.sleep(0)
