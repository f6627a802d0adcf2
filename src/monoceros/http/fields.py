"""The application's status and fields, judged and put into octets (RFC 9110 section 5)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from monoceros.http.errors import InvalidResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(r"([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_DIGITS = re.compile(r"[0-9]{1,18}")

_BAD_STATUS = "response status is not three digits and a reason phrase"
_PLAIN = ""
_UPGRADES = (101, 426)  # RFC 9110 7.8 and 15.5.22

# RFC 9110 7.6.1: the connection is the server's business. Server and Date are its own.
_MEANINGFUL = frozenset(
    (
        "connection",
        "content-length",
        "upgrade",
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
    if not _is_token(name):
        raise InvalidResponse("response field name is not a token")
    if not _VALUE.fullmatch(value):
        raise InvalidResponse("response field value has a character that is not allowed")


def is_servers_own(name: str) -> bool:
    """Tell whether a field is about connection or framing, or added by the server."""
    return _find_meaning(name) is not _PLAIN


@lru_cache(maxsize=1024)
def _is_token(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def encode_fields(status: object, headers: Iterable[tuple[str, str]]) -> ResponseFields:
    """Check and encode; raises ``InvalidResponse``, whose message quotes nothing of the input."""
    if not isinstance(status, str):
        raise InvalidResponse(_BAD_STATUS)
    code, text = _encode_status(status)
    lines: list[str] = []
    length: int | None = None
    close = False
    for name, value in _pairs(headers):
        check_field(name, value)
        meaning = _find_meaning(name)
        if meaning is not _PLAIN:
            if meaning == "content-length":
                if length is not None:
                    raise InvalidResponse("response has more than one Content-Length")
                length = _parse_length(value)
                if code < 200 or code == 204:
                    continue
            elif meaning == "connection":
                close = close or "close" in map(str.strip, value.lower().split(","))
                continue
            elif meaning != "upgrade" or code not in _UPGRADES:
                continue
        lines.append(f"{name}: {value}\r\n")
    if code < 200 or code == 204:
        length = None
    return ResponseFields(code, text, "".join(lines).encode("latin-1"), length, close)


@lru_cache(maxsize=256)
def _encode_status(status: str) -> tuple[int, bytes]:
    match = _STATUS.fullmatch(status)
    if match is None:
        raise InvalidResponse(_BAD_STATUS)
    code = int(match[1])
    if code < 200 and code != 101:
        raise InvalidResponse("response status is not a final one")
    return code, (status if " " in status else status + " ").encode("latin-1")


@lru_cache(maxsize=1024)
def _find_meaning(name: str) -> str:
    """Return the lower-case name where a field means something to the server."""
    lower = name.lower()
    return lower if lower in _MEANINGFUL else _PLAIN


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


def without_length(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return valid fields without Content-Length."""
    return [(name, value) for name, value in headers if name.lower() != "content-length"]
