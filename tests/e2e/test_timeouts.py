"""Clients that take too long, and clients that only seem to."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from typing import TYPE_CHECKING

import pytest

from monoceros.workers.timeouts import GRACE_S
from tests.e2e.clients import TIMEOUT_S, ask, at_end, begin_answer, head, read_answer
from tests.e2e.processes import needs_proc, spooled

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from tests.e2e.conftest import Serve

pytestmark = [pytest.mark.process, pytest.mark.settled]

_PLAIN = "tests.e2e.apps.plain:app"
_NONE: Mapping[socket.socket, bytes] = {}
_SLACK_S = 2.5  # connections are looked at once a second, on a machine that does other things


def _took(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _arrivals(*clients: socket.socket, drips: Mapping[socket.socket, bytes] = _NONE) -> list[float]:
    """Wait until there is something to read for each; returns when that was.

    Drips are sent ten times a second until then.
    """
    found: dict[socket.socket, float] = {}
    deadline = time.monotonic() + TIMEOUT_S
    while len(found) < len(clients):
        assert time.monotonic() < deadline
        waiting = [client for client in clients if client not in found]
        for client in select.select(waiting, [], [], 0.1)[0]:
            found[client] = time.monotonic()
        for client in drips.keys() - found:
            client.sendall(drips[client])
    return [found[client] for client in clients]


def test_slow_heads_are_answered_408(serve: Serve) -> None:
    srv = serve("--header-timeout", "1", "--forwarded-allow-ips", "", _PLAIN)
    with srv.connect() as silent, srv.connect() as stalling, srv.connect() as dripping:
        began = time.monotonic()
        for client in (stalling, dripping):
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        ends = _arrivals(silent, stalling, dripping, drips={dripping: b"x"})
        assert began + 0.9 <= min(ends)
        assert max(ends) < began + 1 + _SLACK_S
        for client in (stalling, dripping):
            answer = read_answer(client)
            assert (answer.status, answer.fields["Connection"]) == (408, "close")
            assert at_end(client)
        assert at_end(silent)


def test_stalled_bodies_are_answered_408(serve: Serve) -> None:
    srv = serve("--body-timeout", "1", _PLAIN)
    with srv.connect() as nothing, srv.connect() as few, srv.connect() as many:
        for client, size in ((many, 5_000_000), (nothing, 0), (few, 10)):
            client.sendall(head("POST", "/upload", "Content-Length: 6000000") + b"x" * size)
        began = time.monotonic()
        ends = _arrivals(nothing, few, many)
        assert began + 0.8 <= min(ends)
        assert max(ends) < began + 1 + _SLACK_S
        for client in (nothing, few, many):
            assert read_answer(client, "POST").status == 408
            assert at_end(client)


def test_body_below_the_minimum_rate_is_answered_408(serve: Serve) -> None:
    srv = serve("--body-timeout", "1", "--body-min-rate", "1000", _PLAIN)
    with srv.connect() as slow, srv.connect() as fast:
        began = time.monotonic()
        slow.sendall(head("POST", "/upload", "Content-Length: 6000000"))
        fast.sendall(head("POST", "/upload", "Content-Length: 6000000"))
        (end,) = _arrivals(slow, drips={slow: b"x" * 50, fast: b"x" * 400})
        assert began + 1.5 <= end < began + 2 + _SLACK_S
        assert read_answer(slow, "POST").status == 408
        assert not select.select([fast], [], [], 0)[0]  # it is let go on


def test_idle_connection_is_closed_after_keepalive(serve: Serve) -> None:
    srv = serve("--keep-alive", "1", _PLAIN)
    with srv.connect() as client:
        for _ in range(3):  # each request begins the time anew
            assert ask(client).status == 200
            time.sleep(0.6)
        assert ask(client).status == 200
        assert 1 + GRACE_S <= _took(lambda: at_end(client)) < 1 + GRACE_S + _SLACK_S


def test_clients_may_use_the_time_they_are_told_to_the_last(serve: Serve) -> None:
    srv = serve("--keep-alive", "1", "--forwarded-allow-ips", "", _PLAIN)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(20)]
        for client in clients:
            fields = ask(client).fields
            assert (fields["Connection"], fields["Keep-Alive"]) == ("keep-alive", "timeout=1")
        told = time.monotonic() + 1
        for number, client in enumerate(clients):
            time.sleep(max(0.0, told + (number - 10) / 200 - time.monotonic()))
            assert ask(client).status == 200


def test_trusted_proxies_are_told_no_time(serve: Serve) -> None:
    for options in ((), ("--keep-alive", "5")):
        srv = serve("--compat", "monoceros", *options, _PLAIN)
        with srv.connect() as client:
            assert not ask(client).fields.keys() & {"Connection", "Keep-Alive"}


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


def test_time_that_the_application_takes_is_not_the_clients(serve: Serve) -> None:
    srv = serve("--keep-alive", "1", "--header-timeout", "1", "--body-timeout", "1", _PLAIN)
    parts = (
        (b"", head("GET", "/")),
        (b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n\r\n"),
        (head("POST", "/upload", "Content-Length: 2") + b"x", b"x"),
    )
    with contextlib.ExitStack() as stack:
        other, *clients = (stack.enter_context(srv.connect()) for _ in range(1 + len(parts)))
        for client in clients:
            assert ask(client).status == 200
        for client, (first, _) in zip(clients, parts, strict=True):
            client.sendall(first)
        other.sendall(head("GET", "/sleep/2.5"))
        time.sleep(0.5)
        for client, (_, second) in zip(clients, parts, strict=True):
            client.sendall(second)  # well in time, while the application is busy
        for client in (*clients, other):
            assert read_answer(client).status == 200


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
        for _ in range(12):
            assert len(answer.read(100_000)) == 100_000
            time.sleep(0.2)
        assert len(answer.read()) == size - 1_200_000


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
