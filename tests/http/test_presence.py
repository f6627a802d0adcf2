"""Whether the client is still there, asked by the application and by the server."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.http.types import AGAIN, CLOSE, LINGER, UPGRADE
from tests.http.link import DEADLINE_S, Link
from tests.http.support import GET, make_conn, make_core

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.types import Environ, StartResponse, Twin, WsgiApp

KEY = "monoceros.client_disconnected"
RESET = b"\1\0\0\0\0\0\0\0"
KINDS = pytest.mark.parametrize("kind", ["tcp", "unix"])

pytestmark = pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="needs POLLRDHUP")


def close(link: Link) -> None:
    link.client.close()
    await_event(link, select.POLLRDHUP)


def half_close(link: Link) -> None:
    link.half_close()
    await_event(link, select.POLLRDHUP)


def reset(link: Link) -> None:
    link.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    link.client.close()
    await_event(link, select.POLLHUP)


def await_event(link: Link, event: int) -> None:
    poller = select.poll()
    poller.register(link.fd, event)
    assert poller.poll(DEADLINE_S * 1000)


def asking(seen: list[bool], act: Callable[[], object] = lambda: None) -> WsgiApp:
    """An application that asks before and after something happens."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(environ[KEY]())
        act()
        seen.append(environ[KEY]())
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    return app


@KINDS
@pytest.mark.parametrize("leave", [close, half_close, reset])
def test_the_application_is_told(twin: Twin, kind: str, leave: Callable[[Link], None]) -> None:
    seen: list[bool] = []
    with Link(twin, asking(seen, lambda: leave(link)), kind) as link:
        link.ask(GET)
        assert seen == [False, True]
        assert link.log.failures == []


@KINDS
def test_what_the_client_has_sent_stays(twin: Twin, kind: str) -> None:
    """Another request is no farewell, and one with a farewell behind it is answered."""
    seen: list[bool] = []

    def act() -> None:
        link.send(GET.replace(b"/", b"/next", 1))
        await_event(link, select.POLLIN)
        seen.append(environs[-1][KEY]())
        half_close(link)

    environs: list[Environ] = []
    asked = asking(seen, lambda: act() if len(environs) == 1 else None)

    def app(environ: Environ, start_response: StartResponse) -> Any:
        environs.append(environ)
        return asked(environ, start_response)

    with Link(twin, app, kind) as link:
        assert link.ask(GET) == AGAIN
        assert seen == [False, False, True]
        assert link.step() == AGAIN
        assert link.step() == CLOSE
        assert [response.body for response in link.responses()] == [b"/", b"/next"]


def test_it_costs_nothing_per_request(twin: Twin) -> None:
    """All requests of a connection have the same object."""
    kept = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        kept.append(environ[KEY])
        start_response("200 OK", [])
        return []

    with Link(twin, app) as link:
        link.ask(GET)
        link.ask(GET)
    assert kept[0] is kept[1]


def test_nobody_elses_descriptor_is_looked_at(twin: Twin) -> None:
    """Once the connection is closed, its number belongs to whoever gets it next."""
    kept = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        kept.append(environ[KEY])
        start_response("200 OK", [])
        return []

    with Link(twin, app) as link:
        assert link.ask(GET) == AGAIN
        assert kept[0]() is False
        here, there = socket.socketpair()
        with here, there:
            link.conn.close()
            os.dup2(here.fileno(), link.fd)
            try:
                assert kept[0]() is True
            finally:
                os.close(link.fd)


def test_many_askers_while_connections_come_and_go(twin: Twin) -> None:
    """A thread that asks on after its request never hears of another connection."""
    answers: list[bool] = []
    done = threading.Event()
    kept: list[Callable[[], bool]] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        kept.append(environ[KEY])
        start_response("200 OK", [])
        return []

    def ask() -> None:
        while not done.is_set():
            answers.append(kept[0]())

    link = Link(twin, app)
    link.ask(GET)
    link.conn.close()
    asker = threading.Thread(target=ask)
    asker.start()
    for _ in range(200):
        with Link(twin, app) as other:
            other.ask(GET)
    done.set()
    asker.join(DEADLINE_S)
    link.client.close()
    assert all(answers)


def test_a_socket_that_was_taken(twin: Twin) -> None:
    seen: list[object] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["gunicorn.socket"].sendall(b"hello")
        seen.append(environ[KEY]())
        half_close(link)
        seen.append(environ[KEY]())
        environ["gunicorn.socket"].close()
        seen.append(environ[KEY]())
        return []

    with Link(twin, app) as link:
        assert link.ask(GET) == UPGRADE
    assert seen == [False, True, True]


def test_a_transport_that_is_not_ours(twin: Twin) -> None:
    seen: list[bool] = []
    core = make_core(twin, asking(seen))
    conn = make_conn(twin, core)
    conn.feed(GET)
    request = conn.take()
    assert request is not None
    request.run(core)
    assert seen == [False, False]
    assert conn.is_gone() is False


# -- before the application is called ----------------------------------------------------------


@KINDS
@pytest.mark.parametrize("trusted", [False, True])
def test_a_reset_is_gone_for_everybody(twin: Twin, kind: str, trusted: bool) -> None:
    with Link(twin, asking([]), kind, trusted=trusted) as link:
        link.send(GET)
        assert link.conn.is_gone() is False
        reset(link)
        assert link.conn.is_gone() is True


@KINDS
@pytest.mark.parametrize("trusted", [False, True])
def test_a_half_close_is_a_farewell_of_proxies(twin: Twin, kind: str, trusted: bool) -> None:
    """Other clients may still want their answer."""
    with Link(twin, asking([]), kind, trusted=trusted) as link:
        link.send(GET)
        half_close(link)
        assert link.conn.is_gone() is trusted
        assert link.conn.ready() in (AGAIN, LINGER)
        assert link.responses()[0].status == 200


def test_a_unix_client_that_has_closed_is_gone(twin: Twin) -> None:
    with Link(twin, asking([]), "unix") as link:
        link.send(GET)
        close(link)
        assert link.conn.is_gone() is True
