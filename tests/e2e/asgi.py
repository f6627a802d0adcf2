"""Servers with the application ``tests.e2e.apps.awaits``, and WebSockets to them by hand."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from tests.e2e.clients import head
from tests.e2e.conftest import ROOT
from tests.process.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Serve

APP = "tests.e2e.apps.awaits:app"


def start(serve: Serve, *args: str, workers: int = 1, **options: Any) -> Server:
    """Start a server, and wait for its workers."""
    srv = serve("-k", "asgi", "--workers", str(workers), *args, APP, **options)
    srv.wait_workers(workers)
    return srv


@contextlib.contextmanager
def running(home: Path, impl: str) -> Iterator[Server]:
    """Have a server with default settings on one twin while the block runs."""
    where = ("--bind", "127.0.0.1:0", "--pythonpath", str(ROOT), "--log-level", "debug")
    srv = Server([*where, "-k", "asgi", APP], home, {"MONOCEROS_IMPL": impl})
    try:
        srv.wait_workers(1)
        yield srv
    finally:
        srv.stop()


def upgrade(client: socket.socket, *fields: str) -> str:
    """Open a WebSocket; returns the head of the answer."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    asked = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key)
    client.sendall(head("GET", "/", *asked, *fields))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 ")
    return answer.decode()


def read_close(client: socket.socket) -> int:
    """Read a WebSocket to its end; returns the code of the close frame, which has to come last."""
    frame = client.recv(4, socket.MSG_WAITALL)
    assert frame[:2] == b"\x88\x02", frame
    client.sendall(b"\x88\x82\0\0\0\0" + frame[2:])  # RFC 6455 5.5.1: answered in kind
    assert client.recv(1) == b""
    return int.from_bytes(frame[2:], "big")
