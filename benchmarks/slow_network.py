"""A TCP proxy with a round trip: a slow network on one machine, in real time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"

CHUNK_SIZE = 64 * 1024

END_TIME = 10.0
"""When connections that do not end, and a server that nobody reaches, are given up, in seconds."""


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass everything on, each byte ``delay`` seconds after it came, the end included."""
    loop = asyncio.get_running_loop()
    due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            moment, data = await due.get()
            await asyncio.sleep(moment - loop.time())
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(deliver())
        data = b"-"
        while data:
            data = await reader.read(CHUNK_SIZE)
            due.put_nowait((loop.time() + delay, data))


async def connect_both(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, delay: float
) -> None:
    """Stand between a client and the server."""
    async with asyncio.timeout(END_TIME):
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, port)
    for each in (writer, far_writer):
        each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Either end may hang up as rudely as it likes.
    with contextlib.suppress(*(ExceptionGroup, OSError)):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pass_on(reader, far_writer, delay))
            tasks.create_task(pass_on(far_reader, writer, delay))


async def end(connections: set[asyncio.Task[None]]) -> None:
    """Cut every connection."""
    for task in connections:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*connections, return_exceptions=True), END_TIME)


@contextlib.contextmanager
def slow_network(port: int, round_trip: float) -> Iterator[int]:
    """Yield a TCP port that leads to ``port``, with a round trip of that many seconds."""
    loop = asyncio.new_event_loop()
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = loop.create_task(connect_both(reader, writer, port, round_trip / 2))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = loop.run_until_complete(asyncio.start_server(accept, LOOPBACK, 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(END_TIME)
        server.close()
        loop.run_until_complete(end(connections))
        loop.close()
