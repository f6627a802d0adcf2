"""Clients that vanish in the midst of what they do, and what is left of them: nothing."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.asgi import APP
from tests.e2e.clients import ask, begin_answer, head
from tests.e2e.processes import needs_proc, resident
from tests.e2e.sockets import upgrade
from tests.process.conftest import skip_without
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled, needs_proc]

MIB = 1 << 20
_RESET = b"\1\0\0\0\0\0\0\0"  # struct linger: at once

# How a client gets to where it vanishes, and what its call hears then.


def in_the_head(client: socket.socket) -> None:
    client.sendall(b"GET /linger HTTP/1.1\r\nHost: a\r\nX-")


def in_the_content(client: socket.socket) -> None:
    client.sendall(head("POST", "/linger", "Content-Length: 1000") + b"x" * 10)


def in_chunks(client: socket.socket) -> None:
    client.sendall(head("POST", "/linger", "Transfer-Encoding: chunked") + b"5\r\nab")


def while_it_waits(client: socket.socket) -> None:
    client.sendall(head("GET", "/linger"))


def in_a_response(client: socket.socket) -> None:
    client.sendall(head("GET", "/drip"))
    begin_answer(client)


def in_a_flood(client: socket.socket) -> None:
    client.sendall(head("GET", "/flood"))
    begin_answer(client)


def in_a_websocket(client: socket.socket) -> None:
    upgrade(client)
    client.sendall(b"\x81\x85\0\0\0\0he")


PLACES: dict[Callable[[socket.socket], None], str] = {
    in_the_head: "",
    in_the_content: "http.disconnect",
    in_chunks: "http.disconnect",
    while_it_waits: "http.disconnect",
    in_a_response: "send",
    in_a_flood: "send",
    in_a_websocket: "websocket.disconnect",
}


def vanish(srv: Server, get_there: Callable[[socket.socket], None], *, resets: bool) -> None:
    """Be a client that vanishes, by a reset or by the end of what it sends."""
    with srv.connect() as client:
        get_there(client)
        if resets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class Census:
    """What a worker has, by its own count and by the kernel's."""

    def __init__(self, srv: Server) -> None:
        self._srv = srv
        # One connection for all questions, so that none is asked in the count of another.
        self._client = srv.connect()
        self._worker = int(ask(self._client, "/pid").body)

    def close(self) -> None:
        self._client.close()

    def tell(self) -> dict[str, int]:
        told: dict[str, int] = json.loads(ask(self._client, "/census").body)
        return {**told, "descriptors": len(descriptors(self._worker))}

    def wait_for(self, **wanted: int) -> None:
        """Wait until there is as much as that."""
        told: dict[str, int] = {}

        def is_so() -> bool:
            told.update(self.tell())
            return {name: told.get(name, 0) for name in wanted} == wanted

        self._srv.wait_until(is_so, f"{wanted}, and not {told}")

    def memory(self) -> int:
        return resident(self._worker)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nothing_is_left_of_clients_that_vanish(serve: Serve, loop: str) -> None:
    """A thousand of them, after others that show how much a worker takes that has seen all this.

    A call whose client has gone is kept for its grace period, in which it might be cancelled.
    """
    if loop == "uvloop":
        skip_without("uvloop")
    srv = quiet(serve, "--asgi-loop", loop, "--asgi-disconnect-grace-period", "1")
    with contextlib.closing(Census(srv)) as census:
        before = census.tell()
        expected = dict.fromkeys(filter(None, PLACES.values()), 0)
        memory = []
        for _ in range(3):
            for _ in range(84):
                for get_there, heard in PLACES.items():
                    vanish(srv, get_there, resets=True)
                    vanish(srv, get_there, resets=False)
                    if heard:
                        expected[heard] += 2
            census.wait_for(**expected, **before)
            assert srv.get("/nap/1.1").status == 200
            memory.append(census.memory())
        assert memory[2] - memory[1] < MIB, memory


@pytest.mark.slow
def test_connections_that_come_and_go_leave_no_memory(serve: Serve) -> None:
    come_and_go(quiet(serve), 15000)


def test_requests_that_hooks_were_told_of_leave_no_memory(serve: Serve) -> None:
    config = "def pre_request(worker, req): pass\n"
    come_and_go(quiet(serve, files={"gunicorn.conf.py": config}), 3000)


def come_and_go(srv: Server, count: int) -> None:
    """Have so many connections with a request each, after others that show what they take."""
    worker = int(srv.get("/pid").body)
    address = srv.address
    memory = 0
    for connections in (3000, count):
        memory = resident(worker)
        for _ in range(connections):
            with socket.create_connection(address) as client:
                client.sendall(head("GET", "/pid", "Connection: close"))
                while client.recv(1 << 12):
                    pass
    assert resident(worker) - memory < MIB


def quiet(serve: Serve, *args: str, **options: Any) -> Server:
    """Start a server that logs nothing of each request."""
    return serve("--log-level", "info", "-k", "asgi", *args, APP, **options)
