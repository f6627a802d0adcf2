"""What a worker needs to know of WebSockets before there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from monoceros.asgi.websocket import WebSocket


class WebSocketSettings(NamedTuple):
    """Times are in seconds, and 0 is for never."""

    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    max_message_size: int = 16 << 20  # octets
    per_message_deflate: bool = True


def preload() -> type[WebSocket]:
    """Import all that WebSockets take, and return their class.

    Raises ``ImportError`` where the library is not installed.
    """
    from monoceros.asgi.websocket import WebSocket

    return WebSocket
