"""The application's status and fields, judged and put into octets (RFC 9110 section 5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from monoceros.http.errors import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(r"([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_DIGITS = re.compile(r"[0-9]{1,18}")

# RFC 9110 7.6.1: the connection is the server's business. Server and Date are its own.
_SERVERS_OWN = frozenset(
    (
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "server",
        "date",
    )
)


class ResponseFields(NamedTuple):
    """What an application's status and fields come to."""

    code: int
    status: bytes  # code and reason phrase
    lines: bytes  # the fields that go out, each line with its CRLF
    content_length: int | None
    close: bool  # the application asked for the end of the connection


def check_field(name: object, value: object) -> None:
    """Raise ``InvalidResponse`` for a field that is not a pair of valid native strings."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise InvalidResponse("response field is not a pair of str")
    if not _NAME.fullmatch(name):
        raise InvalidResponse("response field name is not a token")
    if not _VALUE.fullmatch(value):
        raise InvalidResponse("response field value has a character that is not allowed")


def encode_fields(status: object, headers: Iterable[tuple[str, str]]) -> ResponseFields:
    """Check and encode; raises ``InvalidResponse``, whose message quotes nothing of the input."""
    match = _STATUS.fullmatch(status) if isinstance(status, str) else None
    if match is None:
        raise InvalidResponse("response status is not three digits and a reason phrase")
    code = int(match[1])
    if code < 200 and code != 101:
        raise InvalidResponse("response status is not a final one")
    lines: list[str] = []
    length: int | None = None
    close = False
    for name, value in _pairs(headers):
        check_field(name, value)
        lower = name.lower()
        if lower == "content-length":
            if length is not None:
                raise InvalidResponse("response has more than one Content-Length")
            length = _parse_length(value)
            if code < 200 or code == 204:
                continue
        elif lower == "connection":
            close = close or "close" in (token.strip().lower() for token in value.split(","))
            continue
        elif lower in _SERVERS_OWN or (lower == "upgrade" and code != 101):
            continue
        lines.append(f"{name}: {value}\r\n")
    if code < 200 or code == 204:
        length = None
    text = match[0] if " " in match[0] else match[0] + " "
    return ResponseFields(
        code, text.encode("latin-1"), "".join(lines).encode("latin-1"), length, close
    )


def _pairs(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    try:
        return [(name, value) for name, value in headers]
    except (TypeError, ValueError) as error:
        raise InvalidResponse("response fields are not a list of pairs") from error


def _parse_length(value: str) -> int:
    digits = value.strip(" \t")
    if not _DIGITS.fullmatch(digits):
        raise InvalidResponse("response Content-Length is not a number")
    return int(digits)
