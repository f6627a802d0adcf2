"""Clients over plain sockets, which may do what HTTP libraries would not."""

from __future__ import annotations

import http.client
import re
import socket
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TIMEOUT_S = 20.0
_NUMBERED = re.compile(rb"HTTP/1\.1 200 OK\r\n(?:[^\r\n]+\r\n)+\r\n(\d+) \d+")


class Answer(NamedTuple):
    """A response that has been read to its end."""

    status: int
    fields: dict[str, str]
    body: bytes


def connect_unix(path: Path) -> socket.socket:
    """Connect to a unix socket."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(TIMEOUT_S)
    client.connect(str(path))
    return client


def head(method: str, path: str, *fields: str) -> bytes:
    """Return a request's head."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def begin_answer(client: socket.socket, method: str = "GET") -> http.client.HTTPResponse:
    """Read a response's head."""
    answer = http.client.HTTPResponse(client, method=method)
    try:
        answer.begin()
    except BaseException:
        answer.close()
        raise
    return answer


def read_answer(client: socket.socket, method: str = "GET") -> Answer:
    """Read a response; raises ``http.client.HTTPException`` or ``OSError``."""
    with begin_answer(client, method) as answer:
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def read_to_end(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def ask(client: socket.socket, path: str = "/", *fields: str) -> Answer:
    """Send a GET and read its response."""
    client.sendall(head("GET", path, *fields))
    return read_answer(client)


def pipeline(client: socket.socket, path: str, count: int) -> None:
    """Send so many requests in one go, each for its number below a path; the last one says so."""
    text = "".join(f"GET {path}/{number} HTTP/1.1\r\nHost: a\r\n\r\n" for number in range(count))
    client.sendall(text.removesuffix("\r\n").encode() + b"Connection: close\r\n\r\n")


def read_numbers(client: socket.socket) -> list[int]:
    """Read the answers of ``tests.e2e.apps.numbered`` until the end; returns their numbers."""
    return [int(number) for number in _NUMBERED.findall(read_to_end(client))]


def send_all(client: socket.socket, parts: Iterable[bytes]) -> int:
    """Send until the end or until the connection breaks; returns how many octets went out."""
    sent = 0
    try:
        for part in parts:
            client.sendall(part)
            sent += len(part)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


def at_end(client: socket.socket) -> bool:
    """Wait for the next input and tell whether it is the end of the connection."""
    try:
        return not client.recv(1)
    except ConnectionResetError:
        return True
