"""Request heads in pure Python (RFC 9112 sections 2, 3, 5 and 6).

A head is accepted or refused as a whole. It is *decided* once its empty line has come, or a
line that can never be part of a valid head: one that is too long, one that ends in a bare LF,
or one field line too many. Until then it is incomplete, whatever its lines say, so that the
verdict does not depend on how the octets were split on their way. Decided heads are judged
line by line; the first fault is the answer.

The fast way through is two regular expressions over the whole head; whatever they do not
accept is walked line by line to find out why.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, NoReturn

from monoceros.http.errors import BadRequest
from monoceros.http.grammar import (
    TOKEN,
    check_codings,
    check_expectation,
    is_host,
    split_list,
    split_target,
)
from monoceros.http.lenient import is_ended, normalise
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.types import Field, Head, Limits, Rules

_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n" % TOKEN)
_FIELD_LINE = re.compile(rb"^(%b):([\t\x20-\x7e\x80-\xff]*)\r\n" % TOKEN, re.MULTILINE)
_TOKEN = re.compile(TOKEN)
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_UNCONVENTIONAL = re.compile(r"[a-z#]")
_DIGITS = re.compile(r"[0-9]+")

_TOKEN_OCTETS = frozenset(octet for octet in range(256) if _TOKEN.fullmatch(bytes((octet,))))
_LARGEST_LENGTH = 18  # digits that fit a signed 64-bit integer
_DECIDED = re.compile(rb"\n\r\n|(?<!\r)\n")


class _Lines(NamedTuple):
    method: str
    target: str
    major: int
    minor: int
    fields: list[tuple[bytes, bytes]]
    length: int


class HeadScan:
    """Watches an incomplete head grow, looking at each octet once."""

    __slots__ = ("_line_start", "_lines", "_offset")

    def __init__(self) -> None:
        self._offset = 0
        self._line_start = 0
        self._lines = 0

    def is_decided(self, data: bytes | bytearray, limits: Limits) -> bool:
        """Tell whether ``data``, grown since the last call, may be worth parsing again."""
        start = self._offset
        decided = _DECIDED.search(data, max(0, start - 3)) is not None
        self._offset = len(data)
        newline = data.find(b"\n", start)
        while newline >= 0:
            decided = decided or self._is_too_long(newline, limits)
            self._lines += 1
            self._line_start = newline + 1
            newline = data.find(b"\n", newline + 1)
        return (
            decided
            or self._is_too_long(len(data), limits)
            or len(data) >= limits.head
            or self._lines > limits.fields + 1
        )

    def _is_too_long(self, end: int, limits: Limits) -> bool:
        # The second line may be the request line still, behind an empty one.
        longest = limits.field if self._lines >= 2 else min(limits.line, limits.field)
        return end - self._line_start >= longest


def parse_head(data: bytes, limits: Limits, rules: Rules, /) -> Head | None:
    """Return the head at the start of ``data``, or None while it is incomplete.

    Raises ``BadRequest`` with the status that RFC 9110 and RFC 9112 ask for.
    """
    try:
        lines = _match(data, limits) or _walk(data, limits)
    except BadRequest:
        lenient = normalise(data, rules)
        if lenient is None or not is_ended(data, limits):
            raise
        return _parse_lenient(data, lenient, limits, rules)
    return None if lines is None else _judge(lines, limits, rules)


def _parse_lenient(data: bytes, lenient: bytes, limits: Limits, rules: Rules) -> Head:
    lines = _match(lenient, limits) or _walk(lenient, limits)
    if lines is None:
        raise refusal(Refusal.FIELD_NAME)
    # What normalising took away still has to be skipped in the input.
    length = lines.length + len(data) - len(lenient)
    return _judge(lines._replace(length=length), limits, rules)


def _match(data: bytes, limits: Limits) -> _Lines | None:
    """Return the lines of a valid head, or None where it has to be walked."""
    start = 2 if data.startswith(b"\r\n") else 0
    end = data.find(b"\r\n\r\n", start) + 2
    line = _REQUEST_LINE.match(data, start)
    if end < 2 or line is None:
        return None
    block = line.end()
    if block - start - 2 > limits.line or end + 2 - start > limits.head:
        return None
    fields = _FIELD_LINE.findall(data, block, end)
    count = len(fields)
    if count != data.count(b"\n", block, end) or count > limits.fields:
        return None
    if end - block > limits.field and _longest(fields) > limits.field:
        return None
    method, target, major, minor = line.groups()
    return _Lines(
        method.decode("ascii"), target.decode("ascii"), int(major), int(minor), fields, end + 2
    )


def _longest(fields: list[tuple[bytes, bytes]]) -> int:
    return max(len(name) + len(value) for name, value in fields) + len(b":\r\n")


def _walk(data: bytes, limits: Limits) -> _Lines | None:
    """Go through the lines of a head that is incomplete or faulty."""
    start = begin = 2 if data.startswith(b"\r\n") else 0
    # Not HTTP at all, a TLS client for instance: its lines may never end. A CR may be half of
    # an empty line, and is left to the line it ends.
    if data and data[0] not in _TOKEN_OCTETS and data[0] != 0x0D:
        raise refusal(Refusal.METHOD)
    head_end = begin + limits.head
    request: tuple[str, str, int, int] | None = None
    fields: list[tuple[bytes, bytes]] = []
    fault: BadRequest | None = None
    count = -1
    while True:
        line_end = start + (limits.line + 2 if count < 0 else limits.field)
        newline = data.find(b"\n", start)
        reached = len(data) if newline < 0 else newline
        if reached >= min(line_end, head_end):
            _stop(fault, _too_long(count, head_end <= line_end and count >= 0))
        if newline < 0:
            return None
        if newline == start or data[newline - 1] != 0x0D:
            _stop(fault, Refusal.BARE_LF)
        line = data[start : newline - 1]
        start = newline + 1
        if not line and count >= 0:
            break
        if count == limits.fields:
            _stop(fault, Refusal.TOO_MANY_FIELDS)
        if fault is None:
            try:
                if count < 0:
                    request = _split_request_line(line)
                else:
                    fields.append(_split_field_line(line))
            except BadRequest as error:
                fault = error
        if not line:
            _stop(fault, Refusal.EMPTY_LINE)
        count += 1
    if fault is not None or request is None:
        _stop(fault, Refusal.REQUEST_LINE)
    return _Lines(*request, fields, start)


def _too_long(count: int, whole_head: bool) -> Refusal:
    if count < 0:
        return Refusal.LINE_TOO_LONG
    return Refusal.HEAD_TOO_LARGE if whole_head else Refusal.FIELD_TOO_LONG


def _stop(fault: BadRequest | None, code: Refusal) -> NoReturn:
    raise fault or refusal(code)


def _split_request_line(line: bytes) -> tuple[str, str, int, int]:
    if not line:
        raise refusal(Refusal.EMPTY_LINE)
    parts = line.split(b" ")
    if len(parts) != 3:
        raise refusal(Refusal.REQUEST_LINE)
    method, target, version = parts
    if not _TOKEN.fullmatch(method):
        raise refusal(Refusal.METHOD)
    if not _TARGET.fullmatch(target):
        raise refusal(Refusal.TARGET)
    match = _VERSION.fullmatch(version)
    if not match:
        raise refusal(Refusal.VERSION)
    return method.decode("ascii"), target.decode("ascii"), int(match[1]), int(match[2])


def _split_field_line(line: bytes) -> tuple[bytes, bytes]:
    if line[0] in b" \t":
        raise refusal(Refusal.FOLDED_FIELD)
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        blank = bool(colon) and _TOKEN.fullmatch(name.rstrip(b" \t")) is not None
        raise refusal(Refusal.SPACE_BEFORE_COLON if blank else Refusal.FIELD_NAME)
    if not _VALUE.fullmatch(value):
        raise refusal(Refusal.FIELD_VALUE)
    return name, value


def _judge(lines: _Lines, limits: Limits, rules: Rules) -> Head:
    """Apply what the lines mean together: version, target, Host, framing, expectation."""
    method = lines.method.upper() if rules.casefold_http_method else lines.method
    if not rules.permit_unconventional_http_method and not _is_conventional(method):
        raise refusal(Refusal.UNCONVENTIONAL_METHOD)
    if lines.major != 1 and not rules.permit_unconventional_http_version:
        raise refusal(Refusal.UNSUPPORTED_VERSION)
    minor = min(lines.minor, 1) if lines.major == 1 else int(lines.major > 1)
    authority = None
    if method == "CONNECT" or not lines.target.startswith("/"):
        authority = split_target(method, lines.target)[2]
    fields: list[Field] = []
    special: dict[str, list[str]] = {}
    for raw_name, raw_value in lines.fields:
        name = raw_name.decode("ascii")
        value = raw_value.strip(b" \t").decode("latin-1")
        fields.append((name, value))
        lower = name.lower()
        if lower in _SPECIAL:
            special.setdefault(lower, []).append(value)
    _check_host(special.get("host"), minor, rules)
    if len(special) > 1:
        return _finish(lines, limits, method, minor, authority, fields, special)
    # Nothing but Host among the fields that bear on framing and connection.
    if special and "host" not in special:
        return _finish(lines, limits, method, minor, authority, fields, special)
    return Head(
        method,
        lines.target,
        "HTTP/1.1" if minor else "HTTP/1.0",
        tuple(fields),
        lines.length,
        minor == 1,
        0,
        False,
        method == "CONNECT",
        authority,
    )


def _finish(
    lines: _Lines,
    limits: Limits,
    method: str,
    minor: int,
    authority: str | None,
    fields: list[Field],
    special: dict[str, list[str]],
) -> Head:
    """Judge framing, expectation and connection."""
    if len(special.get("content-type", ())) > 1:
        raise refusal(Refusal.REPEATED_CONTENT_TYPE)
    content_length = _frame(special, minor, limits)
    expectation = special.get("expect")
    if expectation and minor:
        check_expectation(expectation)
    connection = split_list(special["connection"]) if "connection" in special else []
    return Head(
        method,
        lines.target,
        "HTTP/1.1" if minor else "HTTP/1.0",
        tuple(fields),
        lines.length,
        "close" not in connection and (minor == 1 or "keep-alive" in connection),
        content_length,
        bool(expectation and minor),
        method == "CONNECT" or (minor == 1 and "upgrade" in special and "upgrade" in connection),
        authority,
    )


_SPECIAL = frozenset(
    (
        "host",
        "content-type",
        "content-length",
        "transfer-encoding",
        "connection",
        "expect",
        "upgrade",
    )
)


@lru_cache(maxsize=64)
def _is_conventional(method: str) -> bool:
    return 3 <= len(method) <= 20 and not _UNCONVENTIONAL.search(method)


def _check_host(hosts: list[str] | None, minor: int, rules: Rules) -> None:
    """RFC 9112 section 3.2."""
    if not hosts:
        if minor and not rules.permit_missing_host:
            raise refusal(Refusal.MISSING_HOST)
    elif len(hosts) > 1:
        raise refusal(Refusal.REPEATED_HOST)
    elif not is_host(hosts[0]):
        raise refusal(Refusal.INVALID_HOST)


def _frame(special: dict[str, list[str]], minor: int, limits: Limits) -> int | None:
    """Return the content's length, None for chunked (RFC 9112 section 6.3)."""
    lengths = special.get("content-length")
    codings = special.get("transfer-encoding")
    if codings is not None:
        check_codings(codings, minor, lengths is not None)
        return None
    if lengths is None:
        return 0
    if len(lengths) > 1:
        raise refusal(Refusal.REPEATED_LENGTH)
    if not _DIGITS.fullmatch(lengths[0]):
        raise refusal(Refusal.CONTENT_LENGTH)
    if len(lengths[0]) > _LARGEST_LENGTH or (limits.body and int(lengths[0]) > limits.body):
        raise refusal(Refusal.CONTENT_TOO_LARGE)
    return int(lengths[0])
