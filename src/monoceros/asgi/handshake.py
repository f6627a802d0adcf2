"""The opening handshake of a WebSocket, as a server judges and answers it (RFC 6455 4.2)."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from websockets.exceptions import InvalidHeader

from monoceros.asgi.websocket_deflate import Agreement, negotiate

if TYPE_CHECKING:
    from monoceros.asgi.types import Scope
    from monoceros.http.types import OctetField

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_VERSION = b"13"
_UPGRADE = (b"upgrade", b"websocket")
# The server's own, in the response that accepts.
_RESERVED = frozenset(
    (
        b"connection",
        b"content-length",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
        b"transfer-encoding",
        b"upgrade",
    )
)


class HandshakeError(Exception):
    """A handshake is refused with this status and these fields; the reason quotes nothing raw."""

    def __init__(self, status: int, reason: str, *fields: OctetField) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.fields = fields


class Handshake(NamedTuple):
    """What a client asked for."""

    key: bytes
    subprotocols: list[str]
    agreement: Agreement | None  # about compression

    def answer(
        self, subprotocol: str | None, headers: list[tuple[bytes, bytes]]
    ) -> list[OctetField]:
        """Return the fields of the response that accepts, but for Connection.

        Raises ``RuntimeError`` for fields that an application may not give.
        """
        for name, _ in headers:
            if bytes(name).lower() in _RESERVED:
                raise RuntimeError(
                    f"websocket.accept: {bytes(name).decode('latin-1')!r} is not for the "
                    f"application to give"
                )
        digest = base64.b64encode(hashlib.sha1(self.key + _GUID, usedforsecurity=False).digest())
        fields = [_UPGRADE, (b"sec-websocket-accept", digest)]
        if subprotocol is not None:
            fields.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
        if self.agreement is not None:
            fields.append((b"sec-websocket-extensions", self.agreement.field.encode()))
        return fields + headers


def judge(scope: Scope, *, compress: bool) -> Handshake:
    """Read a handshake from the scope of its request; raises ``HandshakeError``."""
    fields = _collect(scope["headers"])
    if scope["method"] != "GET":
        raise HandshakeError(405, "the method is not GET", (b"allow", b"GET"))
    if scope["http_version"] == "1.0":
        raise HandshakeError(426, "the version of HTTP is not 1.1", _UPGRADE)
    if b"websocket" not in _split(fields.get(b"upgrade")):
        raise HandshakeError(426, "Upgrade does not name websocket", _UPGRADE)
    if b"upgrade" not in _split(fields.get(b"connection")):
        raise HandshakeError(400, "Connection does not name upgrade")
    if fields.get(b"sec-websocket-version") != [_VERSION]:
        raise HandshakeError(
            426,
            "Sec-WebSocket-Version is not 13",
            _UPGRADE,
            (b"sec-websocket-version", _VERSION),
        )
    keys = fields.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise HandshakeError(400, "Sec-WebSocket-Key is not one of 16 octets in Base64")
    return Handshake(
        keys[0],
        _read_subprotocols(fields),
        _negotiate(fields.get(b"sec-websocket-extensions")) if compress else None,
    )


def _collect(headers: list[OctetField]) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        fields.setdefault(name, []).append(value.strip(b" \t"))
    return fields


def _split(values: list[bytes] | None) -> list[bytes]:
    """Return the members of a list, in lower case."""
    return [member.strip(b" \t") for member in b",".join(values or ()).lower().split(b",")]


def _read_subprotocols(fields: dict[bytes, list[bytes]]) -> list[str]:
    """Return what was offered, as it was; an application takes the names it knows."""
    offered = b",".join(fields.get(b"sec-websocket-protocol", ())).decode("latin-1")
    return [name for name in (part.strip(" \t") for part in offered.split(",")) if name]


def _negotiate(values: list[bytes] | None) -> Agreement | None:
    if not values:
        return None
    try:
        return negotiate(b", ".join(values).decode("latin-1"))
    except InvalidHeader:
        raise HandshakeError(400, "Sec-WebSocket-Extensions is malformed") from None
