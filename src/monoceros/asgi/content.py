"""A request's content on its way to ``receive``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.http.body import SizedDecoder
from monoceros.http.chunked import ChunkedDecoder

if TYPE_CHECKING:
    from monoceros.http.types import Limits

HIGH_WATER = 1 << 18  # octets that wait for the application before nothing more is read
LOW_WATER = 1 << 16


class Content:
    """Content that has come and was not given to the application.

    ``received`` counts what has come, ``waited_s`` for how long the application has waited for it.
    """

    __slots__ = (
        "_decoder",
        "_left",
        "_pieces",
        "_size",
        "is_awaited",
        "is_complete",
        "moved",
        "received",
        "rest",
        "waited_s",
    )

    def __init__(self, length: int, limits: Limits, now: float) -> None:
        self._decoder = ChunkedDecoder(limits) if length < 0 else SizedDecoder(length)
        self._pieces: list[bytes | memoryview] = []
        self._size = 0
        self.received = 0
        self.is_complete = False
        self.is_awaited = False
        self.moved = now  # when the client last sent some of it, without what nobody waited for
        self._left = now  # when the application last did not wait any more
        self.waited_s = 0.0
        self.rest = b""  # what came behind it

    def feed(self, data: bytes) -> None:
        """Decode; raises ``BadRequest``."""
        pieces, self.rest = self._decoder.feed(data)
        self.is_complete = self._decoder.complete
        self._pieces += pieces
        size = sum(map(len, pieces))
        self._size += size
        self.received += size

    def await_more(self, now: float) -> None:
        """The application waits for more; the client is not to blame for what was before."""
        self.is_awaited = True
        self.moved = now - max(0.0, self._left - self.moved)

    def leave_it(self, now: float) -> None:
        """The application waits no more."""
        self.is_awaited = False
        self._left = now

    def has_news(self) -> bool:
        """Whether there is anything to tell the application."""
        return self._size > 0 or self.is_complete

    def take(self) -> bytes:
        """Return and forget what has come."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._size = 0
        return bytes(data)

    @property
    def is_high(self) -> bool:
        """Whether so much waits that nothing more is to be read."""
        return self._size > HIGH_WATER

    @property
    def is_low(self) -> bool:
        """Whether there is room for more."""
        return self._size <= LOW_WATER
