"""What an ASGI application's calls may be, and how they may end, on both twins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, begin_answer, head, read_answer, read_to_end

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

APP = "tests.e2e.apps.awaitables:app"


def start(serve: Serve, *args: str) -> Server:
    srv = serve("-k", "asgi", "--workers", "1", *args, APP)
    srv.wait_workers(1)
    return srv


def test_awaitables_of_all_kinds(serve: Serve) -> None:
    srv = start(serve)
    with srv.connect() as client:
        assert ask(client, "/object").body == b"awaited"
        assert ask(client, "/generator").body == b"generated"
        assert ask(client, "/nothing").status == 500
    srv.wait_for("TypeError: object NoneType can't be used in 'await' expression")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["exit", "interrupt", "cancel"])
def test_what_ends_one_call_ends_no_other(serve: Serve, how: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    srv = start(serve, "--asgi-loop", loop)
    workers = srv.workers()
    with srv.connect() as waiting, srv.connect() as client, srv.connect() as other:
        waiting.sendall(head("GET", "/wait"))
        srv.wait_for("waits")
        assert ask(client, f"/{how}").status == 500
        srv.wait_for(f"Error handling request GET /{how}")
        assert ask(other, "/free").body == b"freed"
        assert read_answer(waiting).body == b"went on"
    assert srv.workers() == workers
    if how != "cancel":
        srv.wait_for("an application's own")


@pytest.mark.parametrize(
    ("method", "path", "version"),
    [
        ("GET", "/trailers", "1.0"),
        ("HEAD", "/trailers", "1.1"),
        ("GET", "/trailers/204", "1.1"),
    ],
)
def test_trailers_that_cannot_be_sent(serve: Serve, method: str, path: str, version: str) -> None:
    srv = start(serve)
    with srv.connect() as client:
        request = head(method, path, "Connection: keep-alive")
        client.sendall(request.replace(b"HTTP/1.1", b"HTTP/" + version.encode()))
        answer = begin_answer(client, method)
        assert b"x-sum" not in answer.read()
        srv.wait_for("then 'http.response.trailers' was sent after the response had ended")
    assert "Error handling request" not in srv.log


def test_what_has_no_length_is_cut_by_a_reset(serve: Serve) -> None:
    """By an end of the connection it would seem whole (RFC 9112 8)."""
    srv = start(serve)
    with srv.connect() as client:
        client.sendall(head("GET", "/broken").replace(b"HTTP/1.1", b"HTTP/1.0"))
        srv.wait_for("Error handling request GET /broken")
        with pytest.raises(ConnectionResetError):
            read_to_end(client)


@pytest.mark.parametrize("chosen", [("-k", "asgi"), ()])
def test_where_calls_wait_while_the_loop_is_blocked(serve: Serve, chosen: tuple[str, ...]) -> None:
    srv = serve("--workers", "1", "--timeout", "1", *chosen, "tests.e2e.apps.awaits:app")
    (worker,) = srv.wait_workers(1)
    with srv.connect() as waiting, srv.connect() as client:
        waiting.sendall(head("GET", "/wait"))
        srv.wait_for("waits")
        client.sendall(head("GET", "/block/60"))
        srv.wait_for(rf"WORKER TIMEOUT \(pid:{worker}\)")
        srv.wait_for(rf"Calls of worker \(pid:{worker}\)")
        srv.wait_for(r"GET /wait from 127\.0\.0\.1 for \d\.\ds")
        srv.wait_for(r'awaits\.py", line \d+ in wait')
        srv.wait_for(r'awaits\.py", line \d+ in block')
