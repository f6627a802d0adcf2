"""Compression of WebSocket messages: permessage-deflate (RFC 7692).

``websockets`` negotiates. A stream of zlib is made when the first message needs it, so that a
connection without any costs no more than one without compression.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from monoceros.asgi.frames import INVALID_DATA, TOO_BIG, FrameError

if TYPE_CHECKING:
    from zlib import _Compress, _Decompress

# Windows of 4 KiB, and as little memory besides: a stream that compresses takes 32 KiB, one that
# decompresses 11 KiB. Larger ones compress messages of this kind by little more.
_WINDOW_BITS = 12
_MEMORY_LEVEL = 5
_END = b"\x00\x00\xff\xff"  # RFC 7692 7.2.1: of a flush, which does not go over the wire
_MOST_STREAMS = 1024  # in a message
_FACTORY = ServerPerMessageDeflateFactory(
    server_max_window_bits=_WINDOW_BITS, client_max_window_bits=_WINDOW_BITS
)


class Agreement(NamedTuple):
    """What was negotiated; ``field`` is the value of Sec-WebSocket-Extensions that says so."""

    field: str
    client_bits: int
    client_forgets: bool
    server_bits: int
    server_forgets: bool


@lru_cache(maxsize=64)
def negotiate(offers: str) -> Agreement | None:
    """Take the first offer that can be met; raises what websockets does for invalid syntax."""
    for name, parameters in parse_extension(offers):
        if name != _FACTORY.name:
            continue
        try:
            answer, extension = _FACTORY.process_request_params(parameters, [])
        except (NegotiationError, ValueError):
            # Before version 17 zlib is asked for a window of 8 bits, and has none.
            continue
        return Agreement(
            build_extension([(name, answer)]),
            extension.remote_max_window_bits,
            extension.remote_no_context_takeover,
            extension.local_max_window_bits,
            extension.local_no_context_takeover,
        )
    return None


class Inflater:
    """Decompresses what the client sends."""

    __slots__ = ("_bits", "_forgets", "_stream", "_streams")

    def __init__(self, agreement: Agreement) -> None:
        self._bits = agreement.client_bits
        self._forgets = agreement.client_forgets
        self._stream: _Decompress | None = None
        self._streams = 0  # of the message at hand that have come to an end

    def inflate(self, data: bytes, is_last: bool, room: int) -> bytes:
        """Return the content of a fragment, of which there may be ``room`` octets.

        Raises ``FrameError``, with no more than that decompressed.
        """
        if is_last:
            data += _END
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.decompressobj(-self._bits)
        try:
            content = stream.decompress(data, room + 1)
            while stream.eof and len(content) <= room:
                data = stream.unused_data
                stream = self._stream = self._follow(content)
                if not data or (is_last and data == _END):
                    break
                content += stream.decompress(data, room + 1 - len(content))
        except zlib.error:
            raise FrameError(INVALID_DATA, "a message cannot be decompressed") from None
        if len(content) > room:
            raise FrameError(TOO_BIG, "the message is too big once decompressed")
        if is_last:
            self._streams = 0
            if self._forgets:
                self._stream = None
        return content

    def _follow(self, content: bytes) -> _Decompress:
        """Begin the stream behind one that has ended by itself (RFC 7692 7.2.3.4)."""
        self._streams += 1
        if self._streams > _MOST_STREAMS:
            raise FrameError(INVALID_DATA, "a message ends its compression too often")
        return zlib.decompressobj(-self._bits, zdict=content[-(1 << self._bits) :])


class Deflater:
    """Compresses what goes to the client."""

    __slots__ = ("_bits", "_forgets", "_stream")

    def __init__(self, agreement: Agreement) -> None:
        self._bits = agreement.server_bits
        self._forgets = agreement.server_forgets
        self._stream: _Compress | None = None

    def deflate(self, data: bytes) -> bytes:
        """Return a message's payload; the message must not be empty."""
        stream = self._stream
        if stream is None:
            stream = zlib.compressobj(wbits=-self._bits, memLevel=_MEMORY_LEVEL)
            if not self._forgets:
                self._stream = stream
        return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(_END)]
