"""``gunicorn.socket``: an application that leaves HTTP behind."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from monoceros.http.types import AGAIN, CLOSE, LINGER, UPGRADE, Limits, Policy
from tests.http.link import Link, open_descriptors
from tests.http.support import GET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monoceros.http.types import Environ, StartResponse, Twin, WsgiApp

UPGRADING = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


def using(act: Callable[[socket.socket], object]) -> WsgiApp:
    """An application that does something with the client's socket."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        act(environ["gunicorn.socket"])
        return []

    return app


def test_it_is_nothing_until_it_is_used(twin: Twin) -> None:
    released: list[int] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        taken = environ["gunicorn.socket"]
        start_response("200 OK", [])
        return [b"%d" % bool(taken)]

    with Link(twin, app, policy=Policy(release=released.append)) as link:
        assert link.ask(UPGRADING.replace(b"pgrade", b"nused")) == AGAIN
        assert link.ask(GET) == AGAIN
        assert [response.body for response in link.responses()] == [b"1", b"1"]
    assert released == []


def test_it_is_a_blocking_socket(twin: Twin) -> None:
    released: list[int] = []
    seen: list[object] = []

    def act(taken: socket.socket) -> None:
        seen.extend((taken.fileno(), taken.getblocking(), taken.getpeername()))
        taken.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello")
        link.send(b"ping")
        seen.append(taken.recv(100))
        taken.sendall(b"pong")

    with Link(twin, using(act), policy=Policy(release=released.append)) as link:
        assert link.ask(UPGRADING) == UPGRADE
        assert seen == [link.fd, True, link.client.getsockname(), b"ping"]
        assert released == [link.fd]
        assert link.receive_to_end() == b"HTTP/1.1 101 Switching Protocols\r\n\r\nhellopong"
        assert link.conn.fd == -1
    assert link.log.failures == []


def test_what_was_received_already_is_read_first(twin: Twin) -> None:
    seen: list[bytes] = []

    def act(taken: socket.socket) -> None:
        seen.append(taken.recv(3))
        seen.append(taken.recv(2, socket.MSG_PEEK))
        buffer = bytearray(4)
        seen.append(bytes(buffer[: taken.recv_into(buffer)]))
        link.send(b"later")
        seen.append(taken.recv(100))

    with Link(twin, using(act)) as link:
        assert link.ask(UPGRADING + b"frames") == UPGRADE
        assert seen == [b"fra", b"me", b"mes", b"later"]


def test_answers_before_it_go_out_first(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/ws":
            environ["gunicorn.socket"].sendall(b"raw")
        start_response("200 OK", [])
        return [b"x" * 100]

    with Link(twin, app) as link:
        assert link.ask(GET + UPGRADING) == UPGRADE
        data = link.receive_to_end()
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")
        assert data.endswith(b"x" * 100 + b"raw")


def test_output_that_waits_goes_out_first(twin: Twin) -> None:
    """The socket is handed over once the client has taken what was written before."""
    content = b"x" * (1 << 20)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(len(content)))])(content)
        environ["gunicorn.socket"].sendall(b"raw")
        return []

    with Link(twin, app, buffer=1 << 14) as link:
        link.send(UPGRADING)
        link.start()
        data = link.receive_to_end()
        assert data.endswith(b"\r\n\r\n" + content + b"raw")
        assert link.join() == UPGRADE


@pytest.mark.parametrize("error", [StopIteration(), ValueError(), SystemExit()], ids=repr)
def test_errors_close_the_connection(twin: Twin, error: BaseException) -> None:
    """StopIteration is how eventlet's and Gunicorn's users end such a call: quietly."""

    def act(taken: socket.socket) -> None:
        taken.sendall(b"raw")
        raise error

    with Link(twin, using(act)) as link:
        assert link.ask(UPGRADING) == UPGRADE
        assert link.receive_to_end() == b"raw"
        failures = [failure for _, failure in link.log.failures]
        assert failures == ([] if isinstance(error, StopIteration) else [error])


def test_nothing_of_ours_is_sent_any_more(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        environ["gunicorn.socket"].sendall(b"raw")
        start_response("200 OK", [])
        yield b"ignored"

    with Link(twin, app) as link:
        assert link.ask(UPGRADING) == UPGRADE
        assert link.receive_to_end() == b"raw"


def test_the_client_sees_the_end_although_it_was_shared(twin: Twin) -> None:
    """A child of the application may hold the same descriptor."""
    kept: list[int] = []
    with Link(twin, using(lambda taken: kept.append(os.dup(taken.fileno())))) as link:
        assert link.ask(UPGRADING) == UPGRADE
        assert link.receive_to_end() == b""
    os.close(kept[0])


def test_a_copy_goes_on_until_it_is_closed(twin: Twin) -> None:
    """Threads of simple-websocket say farewell on one after the call."""
    kept: list[socket.socket] = []
    with Link(twin, using(lambda taken: kept.append(taken.dup()))) as link:
        assert link.ask(UPGRADING) == UPGRADE
        kept[0].sendall(b"farewell")
        kept[0].close()
        assert link.receive_to_end() == b"farewell"


@pytest.mark.parametrize("end", ["close", "detach", "shutdown"])
def test_the_application_may_end_it_itself(twin: Twin, end: str) -> None:
    kept: list[int] = []

    def act(taken: socket.socket) -> None:
        taken.sendall(b"raw")
        if end == "close":
            taken.close()
        elif end == "detach":
            kept.append(taken.detach())
        else:
            taken.shutdown(socket.SHUT_RDWR)

    descriptors = open_descriptors()
    with Link(twin, using(act)) as link:
        assert link.ask(UPGRADING) == UPGRADE
        assert link.client.recv(100) == b"raw"
        for fd in kept:
            os.write(fd, b"kept")
            assert link.client.recv(100) == b"kept"
            os.close(fd)
        assert link.receive_to_end() == b""
    assert link.log.failures == []
    assert open_descriptors() == descriptors


def test_any_request_may_take_it(twin: Twin) -> None:
    with Link(twin, using(lambda taken: taken.sendall(b"raw"))) as link:
        assert link.ask(GET) == UPGRADE
        assert link.receive_to_end() == b"raw"


def test_a_tunnel(twin: Twin) -> None:
    def act(taken: socket.socket) -> None:
        taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + taken.recv(100).upper())

    with Link(twin, using(act)) as link:
        assert link.ask(b"CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\nhello") == UPGRADE
        assert link.receive_to_end() == b"HTTP/1.1 200 OK\r\n\r\nHELLO"


def test_an_upgrade_does_not_wait_for_content(twin: Twin) -> None:
    """It goes to the application at once, which reads what it wants."""
    seen: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(environ["wsgi.input"].read(2))
        start_response("200 OK", [])
        return []

    request = UPGRADING[:-2] + b"Content-Length: 10\r\n\r\nhe"
    with Link(twin, app) as link:
        assert link.ask(request) == LINGER
        assert seen == [b"he"]


def test_an_ignored_upgrade_ends_the_connection(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [b"plain"]

    with Link(twin, app) as link:
        assert link.ask(UPGRADING + GET) == LINGER
        (response,) = link.responses()
        assert response.body == b"plain"
        assert response.get("Connection") == "close"


def test_no_descriptor_is_left(twin: Twin) -> None:
    descriptors = open_descriptors()
    for request in (GET, UPGRADING, UPGRADING + b"x" * 10):
        with Link(twin, using(lambda taken: taken.fileno()), limits=Limits()) as link:
            assert link.ask(request) == UPGRADE
            assert link.conn.ready() in (AGAIN, CLOSE)
    assert open_descriptors() == descriptors
