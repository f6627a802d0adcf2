"""Messages that the server itself sends: errors, 100 Continue, 103 Early Hints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.http.fields import check_field, is_servers_own

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# RFC 9110 section 15; only what a server without an application can have to say.
PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}


def end_of_kept_head(timeout_s: int) -> bytes:
    """Return the last fields of a response after which the connection is kept for some seconds.

    RFC 9110 7.6.1: Keep-Alive is about this connection only, so Connection has to name it.
    HAProxy (2.6) passes it on all the same, and its client takes the time for HAProxy's: one more
    reason to tell trusted proxies nothing. Nothing is returned for 0.
    """
    if not timeout_s:
        return b""
    return b"Connection: keep-alive\r\nKeep-Alive: timeout=%d\r\n\r\n" % timeout_s


def full_status(status: str) -> str:
    """Return a status with its phrase, also where it is one of the server's own errors."""
    phrase = PHRASES.get(int(status)) if len(status) == 3 else None
    return f"{status} {phrase}" if phrase else status


def error_response(status: int, server_fields: bytes, with_body: bool = True) -> bytes:
    """Return a whole response that also announces the end of the connection.

    ``server_fields`` are the Server and Date lines. ``with_body`` is False in answer to HEAD.
    """
    line = f"{status} {PHRASES[status]}"
    body = f"{line}\n"
    retry = "Retry-After: 1\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {line}\r\n"
        "Connection: close\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n{retry}"
    )
    return head.encode("ascii") + server_fields + b"\r\n" + (body.encode() if with_body else b"")


def early_hints(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return a 103 response (RFC 8297); raises ``InvalidResponse``.

    Fields about the connection or the framing have no business there (RFC 9110 sections 7.6.1
    and 8.6), and are dropped as in a final response.
    """
    lines = []
    for name, value in fields:
        check_field(name, value)
        if not is_servers_own(name):
            lines.append(f"{name}: {value}\r\n")
    return f"HTTP/1.1 103 Early Hints\r\n{''.join(lines)}\r\n".encode("latin-1")
