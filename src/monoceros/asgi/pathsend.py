"""``http.response.pathsend``: a file as the content of a response."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING

from monoceros.http.errors import ClientDisconnected

if TYPE_CHECKING:
    from monoceros.asgi.connection import Connection
    from monoceros.http.types import Exchange

_PIECE = 1 << 17


async def send_path(connection: Connection, exchange: Exchange, path: str) -> None:
    """Send the file, and end the response; raises ``OSError`` where it cannot be read.

    Files are read on a thread of the loop's, so that a slow disk holds up nobody.
    """
    loop = asyncio.get_running_loop()
    fd = await _opened(loop.run_in_executor(None, _open, path))
    try:
        await _send(loop, connection, exchange, fd)
    finally:
        os.close(fd)


async def _opened(opening: asyncio.Future[int]) -> int:
    """Return the descriptor, which is closed where nobody waits for it any more."""
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unused)
        raise


def _close_unused(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())


def _open(path: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError(f"pathsend needs a regular file: {path!r}")
    return fd


async def _send(
    loop: asyncio.AbstractEventLoop, connection: Connection, exchange: Exchange, fd: int
) -> None:
    if exchange.is_over:
        raise ClientDisconnected("the client has gone")
    head, count = exchange.file(os.fstat(fd).st_size)
    offset = 0
    while offset < count:
        size = min(_PIECE, count - offset)
        data = await loop.run_in_executor(None, os.pread, fd, size, offset)
        if exchange.is_over:
            raise ClientDisconnected("the client has gone")
        if not data:
            connection.cut(exchange)  # it has become shorter than it said
            return
        connection.write(head + data)
        exchange.count(len(data))
        head = b""
        offset += len(data)
        if connection.is_paused:
            await connection.wait_for_room(exchange)
    connection.write(head + exchange.end_file(count))
    if exchange.complete:
        connection.end(exchange)
    elif not exchange.awaits_trailers:
        connection.cut(exchange)
