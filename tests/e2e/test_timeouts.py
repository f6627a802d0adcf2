"""Clients that take too long, and clients that only seem to."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, at_end, begin_answer, head, read_answer
from tests.e2e.processes import needs_proc, spooled

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.process

_PLAIN = "tests.e2e.apps.plain:app"
_SLACK_S = 2.5  # connections are looked at once a second, on a machine that does other things


def _took(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _drip(client: socket.socket, part: bytes, pause_s: float) -> None:
    """Send ``part`` again and again until there is an answer."""
    client.settimeout(pause_s)
    while True:
        client.sendall(part)
        try:
            client.recv(1, 2)  # MSG_PEEK
        except TimeoutError:
            continue
        break
    client.settimeout(20)


@pytest.mark.parametrize("pace", ["stalls", "drips"])
def test_slow_head_is_answered_408(serve: Serve, pace: str) -> None:
    srv = serve("--header-timeout", "1", _PLAIN)
    with srv.connect() as client:
        began = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        if pace == "drips":
            _drip(client, b"x", 0.1)
        answer = read_answer(client)
        assert 1 <= time.monotonic() - began < 1 + _SLACK_S
        assert (answer.status, answer.fields["Connection"]) == (408, "close")
        assert at_end(client)


def test_silent_connection_is_closed_without_an_answer(serve: Serve) -> None:
    srv = serve("--header-timeout", "1", _PLAIN)
    with srv.connect() as client:
        assert 1 <= _took(lambda: at_end(client)) < 1 + _SLACK_S


@pytest.mark.parametrize("size", [0, 10, 5_000_000])
def test_stalled_body_is_answered_408(serve: Serve, size: int) -> None:
    srv = serve("--body-timeout", "1", _PLAIN)
    with srv.connect() as client:
        client.sendall(head("POST", "/upload", "Content-Length: 6000000"))
        client.sendall(b"x" * size)
        began = time.monotonic()
        assert read_answer(client, "POST").status == 408
        assert 0.8 <= time.monotonic() - began < 1 + _SLACK_S
        assert at_end(client)


def test_dripping_body_is_answered_408(serve: Serve) -> None:
    srv = serve("--body-timeout", "1", "--body-min-rate", "1000", _PLAIN)
    with srv.connect() as client:
        began = time.monotonic()
        client.sendall(head("POST", "/upload", "Content-Length: 6000000"))
        _drip(client, b"x" * 50, 0.1)
        assert read_answer(client, "POST").status == 408
        assert 1.5 <= time.monotonic() - began < 2 + _SLACK_S


def test_body_at_more_than_the_minimum_rate_is_taken(serve: Serve) -> None:
    srv = serve("--body-timeout", "1", "--body-min-rate", "1000", _PLAIN)
    with srv.connect() as client:
        client.sendall(head("POST", "/upload", "Content-Length: 6000"))
        for _ in range(15):
            client.sendall(b"x" * 400)
            time.sleep(0.2)
        assert read_answer(client, "POST").status == 200


def test_idle_connection_is_closed_after_keepalive(serve: Serve) -> None:
    srv = serve("--keep-alive", "1", _PLAIN)
    with srv.connect() as client:
        for _ in range(3):  # each request begins the time anew
            assert ask(client).status == 200
            time.sleep(0.6)
        assert ask(client).status == 200
        assert 1 <= _took(lambda: at_end(client)) < 1 + _SLACK_S


def test_keepalive_0_closes_after_each_answer(serve: Serve) -> None:
    srv = serve("--keep-alive", "0", _PLAIN)
    with srv.connect() as client:
        assert ask(client).fields["Connection"] == "close"
        assert at_end(client)


def test_keepalive_begins_at_the_end_of_the_answer(serve: Serve) -> None:
    srv = serve("--keep-alive", "1", _PLAIN)
    with srv.connect() as client:
        assert ask(client, "/sleep/2").status == 200
        assert _took(lambda: at_end(client)) >= 0.9


@pytest.mark.parametrize("part", ["idle", "head", "body"])
def test_time_that_the_application_takes_is_not_the_clients(serve: Serve, part: str) -> None:
    srv = serve("--keep-alive", "1", "--header-timeout", "1", "--body-timeout", "1", _PLAIN)
    first, second = {
        "idle": (b"", head("GET", "/")),
        "head": (b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n\r\n"),
        "body": (head("POST", "/upload", "Content-Length: 2") + b"x", b"x"),
    }[part]
    with srv.connect() as client, srv.connect() as other:
        assert ask(client).status == 200
        client.sendall(first)
        other.sendall(head("GET", "/sleep/2.5"))
        time.sleep(0.5)
        client.sendall(second)  # well in time, while the application is busy
        assert read_answer(client).status == 200
        assert read_answer(other).status == 200


@needs_proc
def test_reader_that_takes_nothing_is_cut(serve: Serve) -> None:
    srv = serve("--write-timeout", "1", _PLAIN)
    (worker,) = srv.wait_workers(1)
    with srv.connect() as client:
        client.sendall(head("GET", "/stream/20000000"))
        answer = begin_answer(client)
        srv.wait_until(lambda: spooled(worker), "the output that nobody takes")
        began = time.monotonic()
        srv.wait_until(lambda: not spooled(worker), "its end")
        assert time.monotonic() - began < 1 + _SLACK_S
        with pytest.raises(Exception, match=r"reset|IncompleteRead"):
            answer.read()


def test_slow_reader_that_goes_on_taking_is_served(serve: Serve) -> None:
    srv = serve("--write-timeout", "1", _PLAIN)
    size = 8_000_000
    with srv.connect() as client:
        client.sendall(head("GET", f"/whole/{size}"))
        answer = begin_answer(client)
        for _ in range(16):
            assert len(answer.read(100_000)) == 100_000
            time.sleep(0.2)
        assert len(answer.read()) == size - 1_600_000


def test_answer_during_a_long_call_is_not_cut(serve: Serve) -> None:
    srv = serve("--write-timeout", "1", _PLAIN)
    size = 20_000_000
    with srv.connect() as client, srv.connect() as other:
        client.sendall(head("GET", f"/whole/{size}"))
        answer = begin_answer(client)
        other.sendall(head("GET", "/sleep/2.5"))
        reader = threading.Thread(target=read_answer, args=(other,))
        reader.start()
        assert len(answer.read()) == size
        reader.join()
