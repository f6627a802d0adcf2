"""The transports of an ASGI worker keep to the contract of asyncio's, on both twins."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

import monoceros.http
from tests.http.support import make_core

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from monoceros.http.types import Twin

MIB = 1 << 20
_MODULES = ("monoceros.workers.asgi.transport", "monoceros.workers.asgi.sockets")


class Told(asyncio.Protocol):
    """Keeps what a protocol is told; ``react`` is called with each."""

    def __init__(self, *, stays: bool = False) -> None:
        self.told: list[Any] = []
        self.react: Callable[[Any], object] = lambda what: None
        self._stays = stays
        self._news = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.told and isinstance(self.told[-1], bytes):
            data = self.told.pop() + data
        self._tell(data)

    def eof_received(self) -> bool:
        self._tell("eof")
        return self._stays

    def pause_writing(self) -> None:
        self._tell("pause")

    def resume_writing(self) -> None:
        self._tell("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self._tell(type(error) if error else "lost")

    def _tell(self, what: Any) -> None:
        self.told.append(what)
        self._news.set()
        self.react(what)

    async def hear(self, *expected: Any) -> None:
        """Wait until it has been told all this, and nothing else."""
        async with _deadline():
            while self.told != list(expected):
                self._news.clear()
                await self._news.wait()


@contextlib.asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(10, task.cancel)
    try:
        yield
    finally:
        timer.cancel()


class Pair:
    """A protocol of a server's, and its client's socket."""

    def __init__(self, sockets: Any, protocol: Told) -> None:
        self.ours, self.client = socket.socketpair()
        self.ours.setblocking(False)
        self.client.setblocking(False)
        self.protocol = protocol
        sockets.open(self.ours, protocol, ("peer", 1), ("here", 2))
        self.transport = protocol.transport

    async def read(self, size: int = -1) -> bytes:
        """Return so much of what the client is sent, or all up to the end."""
        loop = asyncio.get_running_loop()
        data = b""
        async with _deadline():
            while size < 0 or len(data) < size:
                part = await loop.sock_recv(self.client, 1 << 16)
                if not part:
                    break
                data += part
        return data

    def fill(self) -> bytes:
        """Write more than the socket takes; returns what was written."""
        data = bytes(range(256)) * 4096
        written = b""
        while not (self.transport.get_write_buffer_size() or self.transport.is_closing()):
            self.transport.write_last(data)
            written += data
        return written


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a coroutine function with what makes pairs of the twin's, in a loop of each kind."""
    if request.param == "uvloop":
        make_loop = pytest.importorskip("uvloop").new_event_loop
    else:
        make_loop = asyncio.SelectorEventLoop
    monkeypatch.setattr(monoceros.http, "Wire", twin.Wire)
    monkeypatch.setattr(monoceros.http, "look", twin.look)
    for name in _MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(_MODULES[1])

    async def serve(case: Any) -> None:
        sockets = module.Sockets(asyncio.get_running_loop(), make_core(twin, None))  # type: ignore[arg-type]
        with contextlib.ExitStack() as stack:

            def make(protocol: Told | None = None) -> Pair:
                pair = Pair(sockets, protocol or Told())
                stack.callback(pair.client.close)
                stack.callback(pair.ours.close)
                return pair

            await case(make)
        sockets.close()

    def run_case(case: Any) -> None:
        loop = make_loop()
        try:
            loop.run_until_complete(serve(case))
        finally:
            loop.close()

    yield run_case
    for name in _MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_octets_both_ways(run: Any) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make()
        assert pair.transport.get_extra_info("peername") == ("peer", 1)
        assert pair.transport.get_extra_info("sockname") == ("here", 2)
        assert pair.transport.get_extra_info("socket") is pair.ours
        assert pair.transport.get_extra_info("other", 3) == 3
        pair.client.send(b"abc")
        await pair.protocol.hear(b"abc")
        pair.transport.write(b"1")
        assert await pair.read(1) == b"1"
        pair.client.close()
        await pair.protocol.hear(b"abc", "eof", "lost")
        assert pair.ours.fileno() == -1

    run(case)


def test_what_is_written_in_one_turn_goes_out_in_order(run: Any) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make()
        for _ in range(3):
            pair.transport.write(b"a")
            pair.transport.write(b"b" * 100)
            pair.transport.write(bytearray(b"c"))
            pair.transport.write_last(b"d")
            pair.transport.write(b"e")
            assert await pair.read(104) == b"a" + b"b" * 100 + b"cde"

    run(case)


def test_pieces_are_not_held_for_long(run: Any) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make()
        for _ in range(17):
            pair.transport.write(b"x" * 4096)
        # All but the last one, without a turn of the loop.
        assert pair.transport.get_write_buffer_size() < 4096
        assert await pair.read(17 * 4096) == b"x" * 17 * 4096

    run(case)


def test_a_client_that_does_not_read(run: Any) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make()
        written = pair.fill()
        assert pair.protocol.told == ["pause"]
        pair.transport.write(b"more")
        assert pair.protocol.told == ["pause"]
        assert await pair.read(len(written) + 4) == written + b"more"
        await pair.protocol.hear("pause", "resume")
        assert pair.transport.get_write_buffer_size() == 0
        pair.transport.write(b"again")
        assert await pair.read(5) == b"again"

    run(case)


@pytest.mark.parametrize("waits", [False, True])
def test_all_is_sent_before_the_end(run: Any, waits: bool) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make()
        written = pair.fill() if waits else b""
        pair.transport.write(b"1")
        pair.transport.write(b"2")
        pair.transport.close()
        assert pair.transport.is_closing()
        pair.transport.write(b"too late")
        pair.transport.write_last(b"too late")
        assert await pair.read() == written + b"12"
        await pair.protocol.hear(*(["pause", "resume"] if waits else []), "lost")

    run(case)


@pytest.mark.parametrize("waits", [False, True])
def test_the_sending_half_ends_first(run: Any, waits: bool) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make(Told(stays=True))
        written = pair.fill() if waits else b""
        pair.transport.write(b"1")
        pair.transport.write(b"2")
        assert pair.transport.can_write_eof()
        pair.transport.write_eof()
        pair.transport.write(b"too late")
        assert await pair.read() == written + b"12"
        told = ["pause", "resume"] if waits else []
        await pair.protocol.hear(*told)
        pair.client.send(b"abc")
        await pair.protocol.hear(*told, b"abc")
        pair.client.close()
        await pair.protocol.hear(*told, b"abc", "eof", "lost")

    run(case)


def test_abort_drops_what_waits(run: Any) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make()
        written = pair.fill()
        pair.transport.abort()
        assert pair.transport.get_write_buffer_size() == 0
        await pair.protocol.hear("pause", "lost")
        assert len(await pair.read()) < len(written)
        pair.transport.abort()
        pair.transport.close()
        pair.transport.write(b"too late")
        pair.transport.pause_reading()
        pair.transport.resume_reading()
        await asyncio.sleep(0)
        assert pair.protocol.told == ["pause", "lost"]
        assert pair.transport.get_protocol() is None

    run(case)


def test_a_client_that_has_asked_for_all_it_wants_is_answered(run: Any) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make(Told(stays=True))
        pair.client.send(b"abc")
        pair.client.shutdown(socket.SHUT_WR)
        await pair.protocol.hear(b"abc", "eof")
        pair.transport.resume_reading()  # there is nothing more
        pair.transport.write(b"answer")
        assert await pair.read(6) == b"answer"
        pair.transport.close()
        assert await pair.read() == b""
        await pair.protocol.hear(b"abc", "eof", "lost")

    run(case)


def test_reading_pauses(run: Any) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make()
        for number in range(20):
            pair.transport.pause_reading()
            pair.transport.pause_reading()
            assert not pair.transport.is_reading()
            pair.client.send(b"%d" % number)
            await asyncio.sleep(0.001)
            assert not pair.protocol.told
            pair.transport.resume_reading()
            assert pair.transport.is_reading()
            await pair.protocol.hear(b"%d" % number)
            pair.protocol.told.clear()

    run(case)


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_a_client_that_resets_is_noticed(run: Any, reads: bool, waits: bool) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        pair = make(Told(stays=True))
        if waits:
            pair.fill()
        else:
            pair.transport.write(b"not read")
        if not reads:
            pair.transport.pause_reading()
        pair.client.close()  # with input that was not read: a reset
        told = ["pause"] if waits else []
        await pair.protocol.hear(*told, ConnectionResetError)

    run(case)


@pytest.mark.parametrize(
    ("when", "how"),
    [
        *itertools.product([b"abc", "eof", "pause", "resume"], ["close", "abort"]),
        *itertools.product([b"abc", "eof", "resume"], ["raise"]),
    ],
)
def test_the_end_may_come_from_inside(run: Any, when: Any, how: str) -> None:
    """Whatever a protocol is just told, it may be done with the connection, or fail."""

    async def case(make: Callable[..., Pair]) -> None:
        loop = asyncio.get_running_loop()
        failures: list[Any] = []
        loop.set_exception_handler(lambda loop, context: failures.append(context["exception"]))
        pair = make(Told(stays=True))

        def react(what: Any) -> None:
            if what == when:
                if how == "raise":
                    raise ValueError("a protocol's own")
                getattr(pair.transport, how)()

        pair.protocol.react = react
        if when in ("pause", "resume"):
            pair.fill()
        else:
            pair.client.send(b"abc")
            pair.client.shutdown(socket.SHUT_WR)
        await pair.read()
        async with _deadline():
            while pair.protocol.told[-1:] != ["lost"]:
                await asyncio.sleep(0)
        assert pair.protocol.told.count("lost") == 1
        assert [type(failure) for failure in failures] == [ValueError] * (how == "raise")

    run(case)


def test_one_connection_s_failure_is_not_another_s(run: Any) -> None:
    async def case(make: Callable[..., Pair]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        pairs = [make() for _ in range(3)]
        pairs[0].protocol.react = lambda what: pairs[1].transport.abort()
        pairs[2].protocol.react = lambda what: 1 / 0 if isinstance(what, bytes) else None
        other = make()
        for pair in (*pairs, other):
            pair.client.send(b"abc")
        await other.protocol.hear(b"abc")
        await pairs[2].protocol.hear(b"abc", "lost")
        await pairs[0].protocol.hear(b"abc")

    run(case)
