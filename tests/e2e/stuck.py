"""Calls of the application that go on until the test has seen enough.

For servers of ``tests.e2e.apps.numbered``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.e2e.clients import head, read_answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.process.conftest import Server


@contextlib.contextmanager
def in_a_call(srv: Server, client: socket.socket, name: str = "gate") -> Iterator[None]:
    """Have a call for a connection go on to the end of the block, and be answered then."""
    client.sendall(head("GET", f"/stuck/{name}/0"))
    srv.wait_for(rf"GET /stuck/{name}/0")
    yield
    (srv.cwd / name).touch()
    assert read_answer(client).status == 200


def let_tend(client: socket.socket) -> None:
    """Wait until whoever leads while calls go on has seen what came before; ends a connection."""
    client.sendall(b"nonsense\r\n\r\n")
    assert read_answer(client).status == 400
