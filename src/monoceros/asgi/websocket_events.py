"""What an application may send on a WebSocket; ``RuntimeError`` says what it got wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monoceros.asgi import frames

if TYPE_CHECKING:
    from monoceros.asgi.types import Event, Scope
    from monoceros.http.types import OctetField

_SCHEMES = {"http": "ws", "https": "wss"}


def turn_scope(scope: Scope, subprotocols: list[str]) -> None:
    """Make that of a WebSocket of the scope of the request which asks for it.

    It is not copied, because it lasts for as long as the WebSocket does.
    """
    del scope["method"]
    scope["type"] = "websocket"
    scope["scheme"] = _SCHEMES.get(scope["scheme"], scope["scheme"])
    scope["subprotocols"] = subprotocols
    scope["extensions"] = {"websocket.http.response": {}}


def unexpected(kind: object, wanted: str) -> RuntimeError:
    """Return the error for an event that may not come in this state."""
    return RuntimeError(f"the application sent {kind!r} where {wanted} was expected")


def read_message(event: Event) -> tuple[int, bytes]:
    """Return the first octet of the frame, and the content, of a ``websocket.send``."""
    text = event.get("text")
    if text is not None:
        return frames.FIN | frames.TEXT, _want(event, "text", str).encode()
    if event.get("bytes") is None:
        raise RuntimeError("websocket.send: one of text and bytes is needed")
    return frames.FIN | frames.BINARY, bytes(_want(event, "bytes", bytes, bytearray, memoryview))


def read_close(event: Event) -> tuple[int, str]:
    """Return code and reason of a ``websocket.close``."""
    code, reason = event.get("code"), event.get("reason")
    if code is None:
        code = frames.NORMAL
    if not isinstance(code, int) or not frames.is_sendable(code):
        raise RuntimeError(f"websocket.close: {code!r} is no code of a Close frame")
    return int(code), "" if reason is None else _want(event, "reason", str)


def read_subprotocol(event: Event) -> str | None:
    """Return the subprotocol of a ``websocket.accept``."""
    if event.get("subprotocol") is None:
        return None
    name: str = _want(event, "subprotocol", str)
    if not name.isascii():
        raise RuntimeError("websocket.accept: the subprotocol is not a token")
    return name


def read_fields(event: Event) -> list[OctetField]:
    """Return the headers of an event, whose values are judged by who encodes them."""
    try:
        return [(bytes(name), bytes(value)) for name, value in event.get("headers") or ()]
    except (TypeError, ValueError):
        raise RuntimeError(f"{event['type']}: headers are not pairs of bytes") from None


def read_part(event: Event) -> tuple[bytes, bool]:
    """Return the content of a ``websocket.http.response.body``, and whether there is more."""
    body = _want(event, "body", bytes, bytearray, memoryview) if "body" in event else b""
    return bytes(body), bool(event.get("more_body", False))


def _want(event: Event, key: str, *types: type) -> Any:
    value = event[key]
    if not isinstance(value, types):
        raise RuntimeError(
            f"{event['type']}: {key} is {type(value).__name__}, not {types[0].__name__}"
        )
    return value
