"""What a worker needs to know of WebSockets before there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from monoceros.asgi.websocket import WebSocket


class WebSocketSettings(NamedTuple):
    """Times are in seconds, and 0 is for never; of ``disconnect_grace`` it is for at once."""

    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    disconnect_grace: float = 3.0
    write_timeout: float = 60.0
    max_message_size: int = 16 << 20  # octets
    per_message_deflate: bool = True


class Watcher(Protocol):
    """Who wants to know how WebSockets fare; hears of each once in each of these ways."""

    @property
    def leaving(self) -> int:
        """The code to close with where calls are cancelled because the worker ends; else 0."""

    def begun(self, socket: WebSocket) -> None:
        """Hear that one is asked for, before anybody looks at it; what this raises ends it."""

    def closed(self, socket: WebSocket) -> None:
        """Hear that nothing more will be sent on it, though its call may go on."""

    def ended(self, socket: WebSocket) -> None:
        """Hear that its call is over."""


def preload() -> type[WebSocket]:
    """Import all that WebSockets take, and return their class.

    Raises ``ImportError`` where the library is not installed.
    """
    from monoceros.asgi.websocket import WebSocket

    return WebSocket
