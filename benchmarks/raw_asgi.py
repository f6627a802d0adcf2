"""The ceiling of ASGI servers on uvloop: ``APP PORT``.

It parses nothing, checks nothing, and takes every piece of input for one request. What it does is
what any server has to: a scope, a task, ``receive`` and ``send``, and one write of the response.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.inside import SCOPE, receive
from benchmarks.peers import asgi_target

if TYPE_CHECKING:
    from benchmarks.inside import AsgiApp


class Protocol(asyncio.Protocol):
    """Calls the application for whatever comes."""

    def __init__(self, app: AsgiApp, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop
        self._head = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        """Call the application."""
        call: Any = self._app(SCOPE.copy(), receive, self._send)
        self._task = self._loop.create_task(call)

    async def _send(self, event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start":
            fields = b"".join([b"%b: %b\r\n" % field for field in event["headers"]])
            self._head = b"HTTP/1.1 %d OK\r\n%b\r\n" % (event["status"], fields)
        else:
            self._write(self._head + event["body"])


async def serve(app: AsgiApp, port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(app, loop), "127.0.0.1", port)
    await server.serve_forever()


def main(app: str, port: int) -> None:
    """Serve an application of ``benchmarks.asgi_apps`` or beside it."""
    import uvloop

    module, _, name = asgi_target(app).partition(":")
    uvloop.run(serve(getattr(importlib.import_module(module), name), port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
