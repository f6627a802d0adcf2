"""WebSocket clients over plain sockets, which see each octet and when it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.asgi.websocket_peer import CLOSE, FIN, TEXT, frame
from tests.e2e.clients import head, read_answer

if TYPE_CHECKING:
    import socket

    from tests.e2e.clients import Answer

_ASKED = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def ask_upgrade(client: socket.socket, path: str = "/", *fields: str) -> None:
    """Send a handshake."""
    client.sendall(head("GET", path, *_ASKED, *fields))


def upgrade(client: socket.socket, path: str = "/", *fields: str) -> str:
    """Open a WebSocket; returns the head of the answer."""
    ask_upgrade(client, path, *fields)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += read_exactly(client, 1)
    assert answer.startswith(b"HTTP/1.1 101 ")
    return answer.decode()


def be_denied(client: socket.socket, path: str, *fields: str) -> Answer:
    """Ask for a WebSocket that there is none of; returns the answer."""
    ask_upgrade(client, path, *fields)
    return read_answer(client)


def send_text(client: socket.socket, text: str) -> None:
    """Send a message."""
    client.sendall(frame(TEXT, text.encode()))


def read_frame(client: socket.socket) -> tuple[int, bytes]:
    """Return first octet and payload of the next frame."""
    first, length = read_exactly(client, 2)
    if length > 125:
        length = int.from_bytes(read_exactly(client, 2 if length == 126 else 8), "big")
    return first, read_exactly(client, length)


def read_text(client: socket.socket) -> str:
    """Return the next message."""
    first, payload = read_frame(client)
    assert first == FIN | TEXT, (first, payload)
    return payload.decode()


def talk(client: socket.socket, text: str) -> str:
    """Send a message, and return the next one that comes."""
    send_text(client, text)
    return read_text(client)


def read_close(client: socket.socket) -> int:
    """Return the code of a Close frame, which has to be next."""
    first, payload = read_frame(client)
    assert first == FIN | CLOSE, (first, payload)
    return int.from_bytes(payload[:2], "big")


def close(client: socket.socket, code: int = 1000) -> int:
    """Close; returns the code of the answer."""
    client.sendall(frame(CLOSE, code.to_bytes(2, "big")))
    return read_close(client)


def be_closed(client: socket.socket) -> int:
    """Answer the Close frame that has to be next, and last; returns its code."""
    code = read_close(client)
    client.sendall(frame(CLOSE, code.to_bytes(2, "big")))
    assert client.recv(1) == b""
    return code


def read_exactly(client: socket.socket, count: int) -> bytes:
    """Return so many octets."""
    data = b""
    while len(data) < count:
        part = client.recv(count - len(data))
        assert part, "the connection has ended"
        data += part
    return data
