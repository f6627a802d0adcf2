"""What a worker decides about waiting inside of a call: ``Policy.wait`` and ``Policy.turn``."""

from __future__ import annotations

import select
import threading
from typing import TYPE_CHECKING

from monoceros.http.types import AGAIN, CLOSE, LINGER, Policy
from tests.http.link import DEADLINE_S, Link
from tests.http.support import GET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, StartResponse, Twin

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


def three_pieces(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "3")])
    yield from (b"a", b"b", b"c")


def endless(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    while True:
        yield b"x" * 65536


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def test_others_get_their_turn_between_pieces(twin: Twin) -> None:
    turns: list[int] = []
    with Link(twin, three_pieces, policy=Policy(turn=lambda: turns.append(1))) as link:
        assert link.ask(GET) == AGAIN
        assert link.receive().endswith(b"abc")
    assert len(turns) == 3


def test_others_get_their_turn_while_content_comes(twin: Twin) -> None:
    turns: list[int] = []
    is_called = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        is_called.set()
        return echo(environ, start_response)

    policy = Policy(turn=lambda: turns.append(1), request_buffering=False)
    with Link(twin, app, policy=policy) as link:
        link.send(POST)
        link.start()
        assert is_called.wait(DEADLINE_S)
        link.send(b"more")
        link.half_close()
        assert link.receive_to_end().endswith(b"more")
    assert turns


def test_the_worker_waits_for_a_client_that_takes_nothing(twin: Twin) -> None:
    asked: list[tuple[int, int, float]] = []

    def wait(fd: int, events: int, timeout_s: float) -> bool:
        asked.append((fd, events, timeout_s))
        return False

    policy = Policy(wait=wait, write_timeout=0.0, output_memory=1, output_spool=1)
    with Link(twin, endless, policy=policy, buffer=4096) as link:
        assert link.ask(GET) == CLOSE
    assert asked[0][:2] == (link.fd, select.POLLOUT)


def test_the_worker_waits_for_content(twin: Twin) -> None:
    asked: list[tuple[int, int, float]] = []

    def wait(fd: int, events: int, timeout_s: float) -> bool:
        asked.append((fd, events, timeout_s))
        return False

    policy = Policy(wait=wait, body_timeout=7.0, request_buffering=False)
    with Link(twin, echo, policy=policy) as link:
        assert link.ask(POST) == LINGER
        assert link.receive().startswith(b"HTTP/1.1 408 ")
    assert asked == [(link.fd, select.POLLIN, 7.0)]
