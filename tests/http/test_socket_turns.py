"""Connections between threads and processes: read by one, answered or looked at by another."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import pytest

from monoceros.http.types import AGAIN, HANDOFF, IDLE, LINGER, Policy
from monoceros.scoreboard import Scoreboard
from tests.http.link import DEADLINE_S, Link
from tests.http.support import make_core, read_responses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, StartResponse, Twin


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode() + environ["wsgi.input"].read()]


def arrive(link: Link, data: bytes) -> None:
    """Send, and wait until the server's kernel has it."""
    link.client.sendall(data)
    assert select.select([link.fd], [], [], DEADLINE_S)[0]


def bodies(link: Link, count: int) -> list[bytes]:
    received = b""
    while len(read_responses(received)) < count:
        received += link.client.recv(65536)
    return [response.body for response in read_responses(received)]


def test_read_by_one_core_and_answered_by_another(twin: Twin) -> None:
    board = Scoreboard(1)
    with Link(twin, echo, slot=board.slot(0)) as link:
        other = make_core(twin, echo, policy=Policy())
        arrive(link, get("/first") + get("/second") + get("/third")[:10])
        assert link.conn.read(other) == HANDOFF
        assert link.conn.has_request
        assert link.conn.read(other) == HANDOFF
        # What the other Core parses meanwhile is not what this request is.
        with Link(twin, echo) as neighbour:
            neighbour.conn.unread(get("/neighbour"))
            assert neighbour.conn.read(other) == HANDOFF
        assert link.conn.ready(link.core) == AGAIN
        assert not link.conn.has_request
        assert bodies(link, 2) == [b"/first", b"/second"]
        assert (link.core.requests, other.requests) == (2, 0)
        arrive(link, get("/third")[10:])
        assert link.conn.ready() == AGAIN
        assert bodies(link, 1) == [b"/third"]
        record = board.read(0)
        assert record is not None
        assert record.request == "GET /third"


def test_the_record_names_a_request_that_waited(twin: Twin) -> None:
    board = Scoreboard(1)
    with Link(twin, echo, slot=board.slot(0)) as link:
        other = make_core(twin, echo, policy=Policy())
        arrive(link, get("/waited"))
        assert link.conn.read(other) == HANDOFF
        assert link.conn.ready(link.core) == AGAIN
        record = board.read(0)
        assert record is not None
        assert record.request == "GET /waited"


def test_content_that_came_in_parts_waits_too(twin: Twin) -> None:
    with Link(twin, echo) as link:
        other = make_core(twin, echo, policy=link.policy)
        arrive(link, b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        assert link.conn.read(other) == AGAIN
        assert not link.conn.has_request
        arrive(link, b"cd" + get("/next"))
        assert link.conn.read(other) == HANDOFF
        assert link.conn.has_request
        assert link.conn.ready(link.core) == AGAIN
        assert bodies(link, 2) == [b"/pabcd", b"/next"]


def test_a_request_that_waits_can_be_rejected(twin: Twin) -> None:
    with Link(twin, echo) as link:
        arrive(link, get("/"))
        assert link.conn.read() == HANDOFF
        assert link.conn.reject(503) == LINGER
        assert not link.conn.has_request
        assert link.client.recv(12) == b"HTTP/1.1 503"


def test_peek_leaves_everything_where_it_is(twin: Twin) -> None:
    with Link(twin, echo) as link:
        assert link.conn.peek() == b""
        arrive(link, get("/a")[:9])
        assert link.conn.peek() == link.conn.peek() == get("/a")[:9]
        assert link.conn.pending == 0
        assert link.conn.read() == AGAIN
        arrive(link, get("/a")[9:])
        assert link.conn.peek() == get("/a")
        assert link.conn.pending == 9
        assert link.conn.ready() == AGAIN
        assert bodies(link, 1) == [b"/a"]
        assert link.conn.state == IDLE
        link.client.close()
        assert select.select([link.fd], [], [], DEADLINE_S)[0]
        assert link.conn.peek() is None


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_a_connection_goes_on_elsewhere(twin: Twin, cut: int) -> None:
    with Link(twin, echo) as link:
        data = get("/moved") + get("/on")
        if cut:
            arrive(link, data[:cut])
            link.conn.read()
        fd, unused = link.conn.detach()
        other = make_core(twin, echo, policy=Policy())
        conn = twin.Conn(other, fd, ("::1", 1, 0, 0), ("::1", 2, 0, 0), "http", True)  # type: ignore[call-arg]
        assert (conn.remote, conn.local) == (("::1", 1, 0, 0), ("::1", 2, 0, 0))
        assert (conn.scheme, conn.trusted) == ("http", True)
        conn.unread(unused)
        link.client.sendall(data[cut:])
        while other.requests < 2:
            assert conn.pending or select.select([fd], [], [], DEADLINE_S)[0]
            assert conn.ready() == AGAIN
        assert bodies(link, 2) == [b"/moved", b"/on"]
        conn.close()
