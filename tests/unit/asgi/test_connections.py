"""Connections of an ASGI worker over real sockets, where time and order are the test's."""

from __future__ import annotations

import asyncio
import copy
import os
import socket
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import monoceros.http as twin
from monoceros.asgi import pathsend
from monoceros.asgi.connection import Connection
from monoceros.asgi.content import Content
from monoceros.asgi.service import Service, comes_of_absence
from monoceros.http.errors import ClientDisconnected
from monoceros.http.types import Limits
from monoceros.workers.asgi.observers import Observers
from monoceros.workers.asgi.sockets import Sockets
from monoceros.workers.asgi.sweep import Sweep
from monoceros.workers.timeouts import Timeouts
from tests.http.support import GET, Recorder, make_core

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monoceros.asgi.types import Receive, Scope, Send

START = {"type": "http.response.start", "status": 200, "headers": []}
DEADLINE_S = 10


class Silence:
    """A log that nobody reads."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


class World:
    """A connection, and its client's socket."""

    def __init__(self, app: Any, access: str | None = None, grace_s: float = 30.0) -> None:
        loop = asyncio.get_running_loop()
        core: Any = make_core(twin, no_wsgi, log=Recorder(access))  # type: ignore[arg-type]
        inner: Any = SimpleNamespace(wants_requests=False, request=None)
        worker: Any = SimpleNamespace(nr=0)
        observers = Observers(worker, inner)
        self.core = core
        observers.attach(core, lambda: None)
        trusted: Any = ()
        self.service = Service(
            app,
            core,
            loop,
            Silence(),  # type: ignore[arg-type]
            observers,
            trusted=trusted,
            root_path="",
            grace_s=grace_s,
            records=[twin.Record(None)],
            extras={},
            has_room=lambda: None,
        )
        self._sockets = Sockets(loop, core)
        ours, self.client = socket.socketpair()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
        self.client.setblocking(False)
        self.connection = Connection(self.service)
        self._sockets.open(ours, self.connection, ("192.0.2.1", 5), ("192.0.2.2", 80))

    async def close(self) -> None:
        self.client.close()
        self.connection.transport.abort()
        await until(lambda: not self.service.connections)
        self._sockets.close()

    async def read_all(self) -> bytes:
        """Return what the client is sent up to the end; raises where that is a reset."""
        loop = asyncio.get_running_loop()
        data = b""
        while piece := await asyncio.wait_for(loop.sock_recv(self.client, 9999), DEADLINE_S):
            data += piece
        return data

    async def read(self, size: int) -> bytes:
        """Return so much of what the client is sent."""
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < size:
            data += await asyncio.wait_for(loop.sock_recv(self.client, size), DEADLINE_S)
        return data


def no_wsgi(environ: object, start_response: object) -> list[bytes]:
    raise AssertionError("no WSGI application is called")


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until it is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def run(case: Callable[..., Awaitable[None]], app: Any = None, **options: Any) -> None:
    """Run a case in a world of its own."""

    async def call() -> None:
        world = World(app, **options)
        try:
            await case(world)
        finally:
            await world.close()

    asyncio.run(call())


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"x"})


def test_a_response_is_ended_once() -> None:
    """Its client goes between the call of ``send`` and what that returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        trailers = send({"type": "http.response.trailers", "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await until(lambda: not worlds[0].service.connections)
        await trailers

    worlds: list[World] = []

    async def case(world: World) -> None:
        worlds.append(world)
        world.client.send(GET)
        await world.read(1)
        world.client.close()
        await until(lambda: world.core.requests and not world.service.calls)
        assert (world.core.requests, world.core.responses) == (1, 1)
        assert world.connection.unfinished == 0

    run(case, app)


def test_a_client_that_reads_all_is_never_late() -> None:
    """Each minute as much waits as did the minute before, and is taken within a second."""
    gates: list[asyncio.Event] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await gates[0].wait()
            gates[0].clear()
            await send({"type": "http.response.body", "body": b"x" * 62_000, "more_body": True})

    async def case(world: World) -> None:
        gates.append(asyncio.Event())
        sweep = Sweep(world.service, Timeouts(0, 0, 0, 0, 30.0), 0.0)
        world.client.send(GET)
        await until(lambda: world.service.calls)
        start = time.monotonic()
        for minute in range(4):
            gates[0].set()
            await until(world.connection.unsent_octets)
            sweep.look(start + 60 * minute)
            await world.read(62_000)
            await until(lambda: not world.connection.unsent_octets())
            for second in range(1, 60):
                sweep.look(start + 60 * minute + second)
                assert not world.connection.transport.is_closing(), (minute, second)

    run(case, app)


def test_an_answer_on_its_way_is_not_idle() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"content-length", b"62000")]})
        await send({"type": "http.response.body", "body": b"x" * 62_000})

    async def case(world: World) -> None:
        world.client.send(GET)
        await until(lambda: world.core.responses)
        assert world.connection.unsent_octets()
        assert not world.connection.is_idle
        await world.read(62_000)
        await until(lambda: world.connection.is_idle)

    run(case, app)


def test_a_call_that_is_cut_in_its_first_step_is_cancelled() -> None:
    """The task may have begun before the call is known to have one (Python 3.12)."""
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({**START, "headers": [(b"content-length", b"9")]})
            await send({"type": "http.response.body", "body": b"x"})
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def case(world: World) -> None:
        world.client.send(GET)
        await until(lambda: ended)

    run(case, app, grace_s=0.1)


def test_a_file_that_is_opened_for_nobody_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def slow(*args: Any) -> int:
        time.sleep(0.2)
        made.append(os.open(*args))
        return made[0]

    def is_closed() -> bool:
        try:
            os.fstat(made[0])
        except (IndexError, OSError):
            return bool(made)
        return False

    async def case(world: World) -> None:
        monkeypatch.setattr(pathsend, "os", SimpleNamespace(**{**vars(os), "open": slow}))
        exchange: Any = SimpleNamespace(is_over=False)
        task = asyncio.ensure_future(pathsend.send_path(world.connection, exchange, __file__))
        await asyncio.sleep(0.05)
        task.cancel()
        await until(is_closed)

    run(case)


def test_a_pipe_is_no_file_to_send(tmp_path: Any) -> None:
    os.mkfifo(tmp_path / "pipe")

    async def case(world: World) -> None:
        exchange: Any = SimpleNamespace(is_over=False)
        with pytest.raises(ValueError, match="regular file"):
            await pathsend.send_path(world.connection, exchange, str(tmp_path / "pipe"))

    run(case)


# -- what begins when the client has ended -----------------------------------------------------


async def report_events(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the first request in time, and tell later ones what they hear."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.1)
        body = b"slow"
    else:
        body = b""
        while not body.endswith(b"disconnect"):
            body += (await receive())["type"].encode()
    await send({**START, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (GET, b"http.requesthttp.disconnect"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"slow"),
    ],
)
def test_a_request_that_begins_after_the_end(request_: bytes, wanted: bytes) -> None:
    async def case(world: World) -> None:
        world.client.send(SLOW + request_)
        await until(lambda: world.service.calls)
        world.client.shutdown(socket.SHUT_WR)
        await until(lambda: not world.service.connections)
        assert wanted in await world.read_all()

    run(case, report_events)


# -- streams that are ended ----------------------------------------------------------------------

EVENTS = {**START, "headers": [(b"content-type", b"text/event-stream")]}
PIECE = {"type": "http.response.body", "body": b"x", "more_body": True}
LAST = {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(
    ("events", "version", "end"),
    [
        ([EVENTS], 1, b"Content-Length: 0\r\nConnection: close\r\n\r\n"),
        ([EVENTS, PIECE], 1, b"1\r\nx\r\n0\r\n\r\n"),
        ([EVENTS, PIECE], 0, b"\r\n\r\nx"),
        ([{**EVENTS, "trailers": True}], 1, b"\r\n\r\n0\r\n\r\n"),
        ([{**EVENTS, "trailers": True}, PIECE], 1, b"1\r\nx\r\n0\r\n\r\n"),
        ([{**EVENTS, "trailers": True}, LAST], 1, b"1\r\nx\r\n0\r\n\r\n"),
    ],
)
def test_a_stream_is_ended_as_its_application_would(
    events: list[Any], version: int, end: bytes
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)
        is_sent.append(True)
        await asyncio.sleep(60)

    is_sent: list[bool] = []

    async def case(world: World) -> None:
        world.client.send(GET.replace(b"1.1", b"1.%d" % version))
        await until(lambda: is_sent)
        exchange: Any = world.connection.exchange
        world.connection.end_stream(exchange)
        await until(lambda: not world.service.calls)
        assert exchange.complete
        if exchange.keep_alive:
            world.connection.transport.close()
        assert (await world.read_all()).endswith(end)

    run(case, app)


# -- calls that go on behind their responses ----------------------------------------------------


def test_calls_in_the_background_hold_up_nobody() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)
        await gates[0].wait()

    gates: list[asyncio.Event] = []

    async def case(world: World) -> None:
        gates.append(asyncio.Event())
        for count in range(1, 41):
            world.client.send(GET)
            await until(lambda: world.core.responses == count)  # noqa: B023
        assert len(world.service.calls) == 40
        gates[0].set()
        await until(lambda: not world.service.calls)
        assert world.connection.unfinished == 0

    run(case, app)


@pytest.mark.parametrize("debug", [False, True])
def test_events_that_are_sent_on_another_thread(debug: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(debug)

        def work() -> None:
            for event in (START, PIECE, LAST):
                sending: Any = send(event)
                asyncio.run_coroutine_threadsafe(sending, loop).result(DEADLINE_S)

        await loop.run_in_executor(None, work)

    async def case(world: World) -> None:
        world.client.send(GET)
        await until(lambda: world.core.responses)
        await until(lambda: not world.service.calls)
        world.connection.transport.close()
        assert (await world.read_all()).endswith(b"\r\n\r\n1\r\nx\r\n1\r\nx\r\n0\r\n\r\n")

    run(case, app)


# -- what applications raise ---------------------------------------------------------------------


def test_what_comes_of_absence() -> None:
    gone = ClientDisconnected("the client has gone")
    wrapped, cyclic, other = ValueError(), KeyError(), OSError()
    wrapped.__cause__ = gone
    cyclic.__cause__ = other
    other.__context__ = cyclic
    group: Any = type("Group", (Exception,), {"exceptions": (wrapped, gone)})()
    mixed: Any = type("Group", (Exception,), {"exceptions": (group, other)})()
    odd: Any = type("Odd", (Exception,), {"exceptions": 5})()
    found = [comes_of_absence(one) for one in (gone, wrapped, cyclic, other, group, mixed, odd)]
    assert found == [True, True, False, False, True, False, False]


def test_a_generator_exit_of_the_application_is_its_failure() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise GeneratorExit

    async def case(world: World) -> None:
        world.client.send(GET)
        assert (await world.read(12)).endswith(b" 500")
        assert not world.service.calls

    run(case, app)


def test_a_call_whose_failure_cannot_be_told_is_let_go() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    def cannot(*args: object) -> None:
        raise OSError("no room for a log")

    async def case(world: World) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        world.service.report = cannot  # type: ignore[assignment, method-assign]
        world.client.send(GET)
        await until(lambda: world.core.requests and not world.service.calls)

    run(case, app)


def test_content_that_is_refused_with_its_head_is_no_request() -> None:
    async def case(world: World) -> None:
        world.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
        assert (await world.read(12)).endswith(b" 400")
        assert world.core.drain_log() == b""
        assert (world.core.requests, world.service.records[0].started_ns > 0) == (0, True)

    run(case, answer, access="%(s)s")


def test_a_scope_can_be_copied() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        copies.append(copy.deepcopy(scope))
        await answer(scope, receive, send)

    copies: list[Scope] = []

    async def case(world: World) -> None:
        world.client.send(GET)
        await until(lambda: world.core.responses)
        assert copies[0]["path"] == "/"

    run(case, app)


def test_time_in_which_nobody_waits_for_content_is_not_the_clients() -> None:
    content = Content(9, Limits(), 100.0)
    content.await_more(107.0)
    assert content.moved == 107.0
    content.leave_it(109.0)
    content.await_more(120.0)
    assert content.moved == 118.0
    content.moved = 121.0
    content.leave_it(122.0)
    content.moved = 125.0
    content.await_more(130.0)
    assert content.moved == 130.0


def test_a_key_that_only_looks_like_that_of_a_field() -> None:
    async def case(world: World) -> None:
        fields = b"Content-Type: ct\r\nFoo: f\r\nA-B: ab\r\n"
        world.client.send(GET[:-2] + fields + b"\r\n")
        await until(lambda: world.core.responses)
        assert world.core.drain_log() == b"-|-|-|ab\n"

    form = "%({HTTP_CONTENT_TYPE}e)s|%({HTTP_foo}e)s|%({HTTP_A-B}e)s|%({HTTP_A_B}e)s"
    run(case, answer, access=form)


def test_what_is_written_does_not_change_any_more() -> None:
    async def case(world: World) -> None:
        data = bytearray(b"one")
        world.connection.transport.write(b"-")
        world.connection.transport.write(data)
        data[:] = b"two"
        assert await world.read(4) == b"-one"

    run(case)
