"""The chunked transfer coding, decoded as it comes (RFC 9112 section 7.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from monoceros.http.grammar import TOKEN
from monoceros.http.refusals import Refusal, refusal

if TYPE_CHECKING:
    from monoceros.http.types import Limits

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_EXTENSIONS = re.compile(
    rb"(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*" % (TOKEN, TOKEN, _QUOTED)
)
_TRAILER = re.compile(rb"(%b):[\t\x20-\x7e\x80-\xff]*" % TOKEN)

_LARGE = 4096

# RFC 9110 6.5.1: framing, routing, authentication and request modifiers have no business here.
_FORBIDDEN = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"te", b"trailer", b"authorization")
)


class ChunkedDecoder:
    """Turns chunks into content; ``complete`` once the trailer section has ended."""

    __slots__ = (
        "_content",
        "_fields",
        "_in_trailers",
        "_limits",
        "_pending",
        "_remaining",
        "_size",
        "complete",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pending = b""  # the start of a line whose end has not come
        self._remaining = -1  # octets of the present chunk with its CRLF; -1 before a size line
        self._in_trailers = False
        self._content = 0
        self._fields = 0
        self._size = 0
        self.complete = False

    @property
    def ahead(self) -> int:
        """How many octets of the present chunk's content have not come."""
        return max(0, self._remaining - 2)

    def skip(self, octets: int) -> None:
        """Count content that the caller has received by itself, at most ``ahead`` octets."""
        self._remaining -= octets

    def feed(self, data: bytes) -> tuple[list[bytes | memoryview], bytes]:
        """Return pieces of content, and what lies behind their end; raises ``BadRequest``."""
        pieces: list[bytes | memoryview] = []
        if self._pending:
            data = self._pending + data
        position = 0
        while not self.complete:
            if self._remaining >= 0:
                position, stuck = self._read_chunk(data, position, pieces)
            else:
                position, stuck = self._read_line(data, position)
            if stuck:
                self._pending = data[position:]
                return pieces, b""
        self._pending = b""
        return pieces, data[position:]

    def _read_chunk(
        self, data: bytes, position: int, pieces: list[bytes | memoryview]
    ) -> tuple[int, bool]:
        content = self._remaining - 2
        if content > 0:
            size = min(content, len(data) - position)
            if size:
                pieces.append(_slice(data, position, size))
                self._remaining -= size
                position += size
            if size < content:
                return position, True
        end = data[position : position + 2]
        if end != b"\r\n"[: len(end)]:
            raise refusal(Refusal.CHUNK_END)
        if len(end) < 2:
            return position, True
        self._remaining = -1
        return position + 2, False

    def _read_line(self, data: bytes, position: int) -> tuple[int, bool]:
        newline = data.find(b"\n", position)
        length = (len(data) if newline < 0 else newline) - position
        if length >= self._limits.field:
            raise refusal(
                Refusal.TRAILERS_TOO_LARGE if self._in_trailers else Refusal.CHUNK_EXTENSION
            )
        if newline < 0:
            return position, True
        if newline == position or data[newline - 1] != 0x0D:
            raise refusal(Refusal.BARE_LF)
        line = data[position : newline - 1]
        if self._in_trailers:
            self._take_trailer(line)
        else:
            self._take_size(line)
        return newline + 1, False

    def _take_size(self, line: bytes) -> None:
        size = _SIZE.match(line)
        if not size:
            raise refusal(Refusal.CHUNK_SIZE)
        if not _EXTENSIONS.fullmatch(line, size.end()):
            raise refusal(Refusal.CHUNK_EXTENSION if b";" in line else Refusal.CHUNK_SIZE)
        octets = int(size[0], 16)
        self._content += octets
        if self._limits.body and self._content > self._limits.body:
            raise refusal(Refusal.CONTENT_TOO_LARGE)
        if octets:
            self._remaining = octets + 2
        else:
            self._in_trailers = True

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.complete = True
            return
        match = _TRAILER.fullmatch(line)
        if not match:
            raise refusal(Refusal.TRAILER)
        if match[1].lower() in _FORBIDDEN:
            raise refusal(Refusal.FORBIDDEN_TRAILER)
        self._fields += 1
        self._size += len(line) + 2
        if self._fields > self._limits.fields or self._size > self._limits.head:
            raise refusal(Refusal.TRAILERS_TOO_LARGE)


def _slice(data: bytes, position: int, size: int) -> bytes | memoryview:
    """Return octets of ``data``, copied only where a view would cost more."""
    end = position + size
    return memoryview(data)[position:end] if size >= _LARGE else data[position:end]
