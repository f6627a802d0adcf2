"""A client's side of a WebSocket without a network: its octets, and a transport that keeps ours."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from monoceros.asgi.websocket import WebSocket
from monoceros.asgi.websocket_support import WebSocketSettings
from monoceros.http.errors import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from monoceros.asgi.types import AsgiApp, Event, Receive, Scope, Send

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
KEY = b"\x37\xfa\x21\x3d"  # that of RFC 6455 5.7
NONCE = b"dGhlIHNhbXBsZSBub25jZQ=="  # that of RFC 6455 1.3
OFFER = b"permessage-deflate; client_max_window_bits"
TIMEOUT_S = 20.0


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    key: bytes | None = KEY,
    size: int | None = None,
) -> bytes:
    """Return a frame of a client; ``size`` is how many octets its length takes: 0, 2 or 8."""
    length = len(payload)
    if size is None:
        size = 0 if length < 126 else 2 if length < 1 << 16 else 8
    short = length if not size else 126 if size == 2 else 127
    head = bytes(((FIN if fin else 0) | reserved | opcode, short | (0x80 if key else 0)))
    head += length.to_bytes(size, "big") if size else b""
    return head + payload if key is None else head + key + mask(payload, key)


def mask(payload: bytes, key: bytes) -> bytes:
    """Apply a mask as RFC 6455 5.3 words it."""
    return bytes(octet ^ key[index % 4] for index, octet in enumerate(payload))


def close_frame(code: int | None = None, reason: bytes = b"") -> bytes:
    """Return a client's Close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def split_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Return first octet and payload of each frame of a server."""
    found = []
    while data:
        length, begin = data[1], 2
        assert length < 128, "a server does not mask (RFC 6455 5.1)"
        if length > 125:
            begin = 4 if length == 126 else 10
            length = int.from_bytes(data[2:begin], "big")
        assert len(data) >= begin + length
        found.append((data[0], data[begin : begin + length]))
        data = data[begin + length :]
    return found


class FakeTransport(asyncio.Transport):
    """Keeps what is written, and how it is used."""

    def __init__(self, *, half_closes: bool = True) -> None:
        super().__init__()
        self.sent = b""
        self.reads = True
        self.is_closed = self.is_aborted = self.is_ended = False
        self.waiting = 0  # octets that the client has not taken
        self.taken = 0  # octets that had to wait for it before
        self._half_closes = half_closes

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep octets."""
        assert not self.is_ended, "written after write_eof()"
        assert isinstance(data, bytes)
        self.sent += data

    def get_write_buffer_size(self) -> int:
        """Return what waits."""
        return self.waiting

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the worker's transports know."""
        return self.taken if name == "taken" else default

    def pause_reading(self) -> None:
        """Take note."""
        assert self.reads
        self.reads = False

    def resume_reading(self) -> None:
        """Take note."""
        assert not self.reads
        self.reads = True

    def is_reading(self) -> bool:
        """Whether it is not paused."""
        return self.reads

    def is_closing(self) -> bool:
        """Whether it is closed, however that came."""
        return self.is_closed or self.is_aborted

    def close(self) -> None:
        """Take note."""
        self.is_closed = True

    def abort(self) -> None:
        """Take note."""
        self.is_aborted = True

    def can_write_eof(self) -> bool:
        """Whether it does; a transport of TLS does not."""
        return self._half_closes

    def write_eof(self) -> None:
        """Take note."""
        assert self._half_closes
        self.is_ended = True


class FakeExchange:
    """The response of a request, in the fewest octets that tell what happened."""

    line = b"GET /chat"

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.code = self.sent = 0
        self.complete = self.started = False
        self.is_delimited = True
        self.fields: list[tuple[bytes, bytes]] = []

    def start(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], _trailers: bool = False
    ) -> None:
        """Begin."""
        fields = list(headers)
        if any(b"\n" in value for _, value in fields):
            raise InvalidResponse("response field value has a character that is not allowed")
        self.code, self.fields = status, fields

    def body(self, data: bytes, more: bool) -> bytes:
        """Return a piece."""
        head = b"" if self.started else b"HTTP/1.1 %d\r\n\r\n" % self.code
        self.started = True
        self.complete = not more
        return head + data

    def error(self, status: int) -> bytes:
        """Return a whole response."""
        self.code = status
        self.complete = self.started = True
        return b"HTTP/1.1 %d\r\n\r\n" % status


class FakeLog:
    """Keeps what is logged as errors, and the exceptions that came with it."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, object]] = []

    def error(self, message: str, *args: object, exc_info: object = None) -> None:
        """Keep a line."""
        self.errors.append((message % args, exc_info))


class FakeWatcher:
    """Keeps what it is told, and raises ``fault`` at the beginning."""

    def __init__(self, fault: BaseException | None = None) -> None:
        self.told: list[str] = []
        self.sent = 0
        self.leaving = 0
        self._fault = fault

    def begun(self, _socket: WebSocket) -> None:
        """Take note."""
        self.told.append("begun")
        if self._fault is not None:
            raise self._fault

    def closed(self, socket: WebSocket) -> None:
        """Take note."""
        self.told.append("closed")
        self.sent = socket.sent

    def ended(self, _socket: WebSocket) -> None:
        """Take note."""
        self.told.append("ended")


def request_scope(**changes: bytes | None) -> Scope:
    """Return the scope of a good handshake, with fields added, replaced, or left out."""
    fields: dict[str, bytes | None] = {
        "host": b"server.example.com",
        "upgrade": b"websocket",
        "connection": b"Upgrade",
        "sec_websocket_key": NONCE,
        "sec_websocket_version": b"13",
        **changes,
    }
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": "/chat",
        "raw_path": b"/chat",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (name.replace("_", "-").encode(), value)
            for name, value in fields.items()
            if value is not None
        ],
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "extensions": {"http.response.trailers": {}},
    }


class Peer:
    """A WebSocket with its application, and the client at its other end."""

    def __init__(
        self,
        app: AsgiApp,
        settings: WebSocketSettings | None = None,
        scope: Scope | None = None,
        *,
        rest: bytes = b"",
        half_closes: bool = True,
        watcher: FakeWatcher | None = None,
    ) -> None:
        self.transport = FakeTransport(half_closes=half_closes)
        self.exchange = FakeExchange(request_scope() if scope is None else scope)
        self.log = FakeLog()
        self.watcher = watcher or FakeWatcher()
        self._seen = 0
        self.socket = WebSocket(
            app,
            self.exchange,  # type: ignore[arg-type]
            self.transport,
            settings or WebSocketSettings(),
            self.log,
            loop=asyncio.get_running_loop(),
            watcher=self.watcher,
        )
        self.socket.begin(rest)

    @property
    def ends(self) -> int:
        """How often its end was told."""
        return self.watcher.told.count("ended")

    def take(self) -> bytes:
        """Return what was sent since the last call."""
        new = self.transport.sent[self._seen :]
        self._seen += len(new)
        return new

    def take_frames(self) -> list[tuple[int, bytes]]:
        """Return the frames that were sent since the last call."""
        return split_frames(self.take())

    async def accepted(self) -> Peer:
        """Wait until the application has accepted."""
        await settle()
        assert self.exchange.code == 101
        self.take()
        return self

    def leave(self, how: str) -> None:
        """End it in one of the ways in which its application does not."""
        now = asyncio.get_running_loop().time()
        socket = self.socket
        ways: dict[str, Callable[[], object]] = {
            "close": lambda: socket.feed(close_frame(1000)),
            "eof": socket.eof,
            "lost": lambda: socket.connection_lost(None),
            "fault": lambda: socket.feed(b"\xff\xff"),
            "silence": lambda: list(map(socket.tick, (now + 21, now + 42))),
            "shut_down": lambda: socket.shut_down(1001),
        }
        ways[how]()

    async def ended(self) -> None:
        """Wait until the application has returned."""
        if self.socket.task is not None:
            await asyncio.wait_for(asyncio.shield(self.socket.task), TIMEOUT_S)
        assert self.ends == 1


async def settle() -> None:
    """Let everybody run who can."""
    for _ in range(20):
        await asyncio.sleep(0)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), TIMEOUT_S))

    return run


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    """Accept, and send back what comes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


class Recorder:
    """An application that accepts, and keeps what it receives; it reads on while ``goes_on``."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        self.events.append(await receive())
        await send({"type": "websocket.accept"})
        while self.events[-1]["type"] != "websocket.disconnect":
            await self.goes_on.wait()
            self.events.append(await receive())

    @property
    def messages(self) -> list[str | bytes]:
        """What the messages carried."""
        return [
            event.get("text", event.get("bytes"))  # type: ignore[misc]
            for event in self.events
            if event["type"] == "websocket.receive"
        ]
