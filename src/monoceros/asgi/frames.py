"""WebSocket frames as a server reads and writes them (RFC 6455 5).

The masks are undone by ``websockets``, which does it in C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

try:
    from websockets.speedups import apply_mask
except ImportError:  # where it was not compiled
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from monoceros.asgi.websocket_deflate import Inflater

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1 = 0x80, 0x40

# RFC 6455 7.4.1, and 1012 to 1014 of its registry.
NORMAL = 1000
PROTOCOL_ERROR = 1002
NO_STATUS = 1005  # stands for a Close frame without a code
ABNORMAL = 1006  # stands for the end of a connection without a Close frame
INVALID_DATA = 1007
TOO_BIG = 1009
INTERNAL_ERROR = 1011
_SENDABLE = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))

_CONTROL = 0x8
_MASKED = 0x80
_MOST_SHORT = 125  # octets whose number fits into the second octet
_MOST_MEDIUM = 0xFFFF
_SHORT_HEADS = {
    first: tuple(bytes((first, length)) for length in range(_MOST_SHORT + 1))
    for first in (FIN | TEXT, FIN | BINARY)
}


class FrameError(Exception):
    """What the client sent fails the connection, with this code (RFC 6455 7.1.7)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Control(NamedTuple):
    """A control frame."""

    opcode: int
    payload: bytes


class FrameReader:
    """Takes octets of a client, and returns its messages: ``str`` for text, ``bytes`` for binary.

    Control frames are returned as they come, also from between the fragments of a message.
    ``buffer`` is empty where nothing of the next frame has come.
    """

    __slots__ = (
        "_first",
        "_max_size",
        "_message",
        "_needed",
        "_position",
        "_received",
        "buffer",
        "inflater",
    )

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size  # octets of a message
        self.inflater: Inflater | None = None  # set once compression is agreed on
        self.buffer: bytes | bytearray = b""
        self._position = 0  # where the next frame begins there
        self._needed = 2  # octets that it takes from there, as far as known
        self._first = 0  # octet of the message of which fragments are awaited
        self._message: bytearray | None = None  # its content so far
        self._received = 0  # octets that this took on the wire

    def keep(self, data: bytes) -> None:
        """Take octets that are not to be looked at yet."""
        if self._position or not isinstance(self.buffer, bytearray):
            self.buffer = bytearray(memoryview(self.buffer)[self._position :])
            self._position = 0
        self.buffer += data

    def read(self, data: bytes = b"") -> str | bytes | Control | None:
        """Return the next message or control frame, or None while there is none that is complete.

        Raises ``FrameError``.
        """
        if self.buffer:
            if data:
                self.keep(data)
            if len(self.buffer) - self._position < self._needed:
                return None
        elif data:
            self.buffer = data
        while len(self.buffer) - self._position >= 2:
            first = self.buffer[self._position]
            payload = self._take_payload(first)
            if payload is None:
                return None
            if first & _CONTROL:
                return Control(first & 0xF, payload)
            if first & FIN and not self._first:
                if first & RSV1 and payload and self.inflater is not None:
                    payload = self.inflater.inflate(payload, True, self._max_size)
                return _decode(payload) if first & TEXT else payload
            self._add(first, payload)
            if first & FIN:
                return self._finish()
        self._needed = 2
        return None

    def _take_payload(self, first: int) -> bytes | None:
        """Return what the frame at hand carries, or None while it is not complete."""
        buffer, position = self.buffer, self._position
        length = buffer[position + 1] - _MASKED
        if length < 0:
            raise FrameError(PROTOCOL_ERROR, "a frame is not masked")
        begin = position + 6
        if length > _MOST_SHORT:
            size = 2 if length == 126 else 8
            begin += size
            if len(buffer) < begin - 4:
                self._check(first, length)
                self._needed = begin - 4 - position
                return None
            length = _read_length(bytes(buffer[position + 2 : position + 2 + size]))
        if self._first or length > self._max_size or first not in _SHORT_HEADS:
            self._check(first, length)
        end = begin + length
        if len(buffer) < end:
            self._needed = end - position
            return None
        masked: bytes | bytearray | memoryview = buffer
        if length > _MOST_MEDIUM:
            masked = memoryview(buffer)
        payload = apply_mask(masked[begin:end], buffer[begin - 4 : begin])
        self._needed = 2
        if len(buffer) == end:
            self.buffer = b""
            self._position = 0
        else:
            self._position = end
        return payload

    def _check(self, first: int, length: int) -> None:
        """Judge the head of a frame, before its payload has come."""
        opcode = first & 0xF
        if first & 0x30:
            raise FrameError(PROTOCOL_ERROR, "a reserved bit is set")
        if first & RSV1 and (self.inflater is None or opcode not in (TEXT, BINARY)):
            raise FrameError(PROTOCOL_ERROR, "RSV1 is set where nothing is compressed")
        if opcode & _CONTROL:
            _check_control(first, length)
            return
        if opcode > BINARY:
            raise FrameError(PROTOCOL_ERROR, "an opcode is reserved")
        if (opcode == CONTINUATION) != (self._first != 0):
            raise FrameError(PROTOCOL_ERROR, "a fragment is out of order")
        limit = self._max_size
        if (self._first or first) & RSV1:
            limit += (limit >> 4) + 64  # what cannot be compressed becomes a little longer
        if self._received + length > limit:
            raise FrameError(TOO_BIG, "the message is too big")

    def _add(self, first: int, payload: bytes) -> None:
        """Put a fragment to its message."""
        if not self._first:
            self._first = first
            self._message = bytearray()
        message = self._message
        if message is None:
            raise RuntimeError("there is no message to go on with")
        self._received += len(payload)
        if self._first & RSV1 and self.inflater is not None:
            payload = self.inflater.inflate(
                payload, bool(first & FIN), self._max_size - len(message)
            )
        message += payload

    def _finish(self) -> str | bytes:
        """Return the message whose last fragment has come."""
        first, message = self._first, bytes(self._message or b"")
        self._first = self._received = 0
        self._message = None
        return _decode(message) if first & TEXT else message


def _read_length(octets: bytes) -> int:
    """Return a length that follows the second octet (RFC 6455 5.2: in as few as will do)."""
    length = int.from_bytes(octets, "big")
    if length >> 63:
        raise FrameError(PROTOCOL_ERROR, "a length has its highest bit set")
    if length <= (_MOST_SHORT if len(octets) == 2 else _MOST_MEDIUM):
        raise FrameError(PROTOCOL_ERROR, "a length is longer than it has to be")
    return length


def _check_control(first: int, length: int) -> None:
    if first & 0xF > PONG:
        raise FrameError(PROTOCOL_ERROR, "an opcode is reserved")
    if not first & FIN:
        raise FrameError(PROTOCOL_ERROR, "a control frame is fragmented")
    if length > _MOST_SHORT:
        raise FrameError(PROTOCOL_ERROR, "a control frame is too long")


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_DATA, "a text is not UTF-8") from None


def make_frame(first: int, payload: bytes) -> bytes:
    """Return a frame of a server, which is not masked."""
    length = len(payload)
    if length <= _MOST_SHORT:
        heads = _SHORT_HEADS.get(first)
        return (bytes((first, length)) if heads is None else heads[length]) + payload
    if length <= _MOST_MEDIUM:
        return b"%c\x7e%b%b" % (first, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first, length.to_bytes(8, "big"), payload)


def is_sendable(code: int) -> bool:
    """Whether a Close frame may have this code (RFC 6455 7.4)."""
    return code in _SENDABLE


def make_close(code: int, reason: str) -> bytes:
    """Return a Close frame; ``NO_STATUS`` makes one without a code, and long reasons are cut."""
    if code == NO_STATUS:
        return b"\x88\x00"
    text = reason.encode("utf-8", "replace")[: _MOST_SHORT - 2].decode("utf-8", "ignore")
    return make_frame(FIN | CLOSE, code.to_bytes(2, "big") + text.encode())


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a Close frame; raises ``FrameError``."""
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in _SENDABLE:
        raise FrameError(PROTOCOL_ERROR, "a Close frame has no valid code")
    return code, _decode(payload[2:])
