"""A link to a server that is some way off: a TCP proxy on loopback which delivers what it
receives half of the round trip later, in each direction. No more is in its hands than a few
sockets' buffers.

usage: slow_link.py HOST PORT MILLISECONDS    prints the port that it listens on
"""

import asyncio
import sys

CHUNK_BYTES = 64 << 10
CHUNKS_ON_THE_WAY = 256


async def carry(reader, writer, delay):
    """What is read, so much later and in order, to the end."""
    now = asyncio.get_running_loop().time
    on_the_way = asyncio.Queue(CHUNKS_ON_THE_WAY)

    async def send():
        while True:
            due, chunk = await on_the_way.get()
            await asyncio.sleep(max(0, due - now()))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()

    async def receive():
        chunk = None
        while chunk != b"":
            chunk = await reader.read(CHUNK_BYTES)
            await on_the_way.put((now() + delay, chunk))

    try:
        await asyncio.gather(send(), receive())
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


async def main(host, port, milliseconds):
    delay = milliseconds / 2000

    async def connect(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            carry(reader, far_writer, delay), carry(far_reader, writer, delay)
        )

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
