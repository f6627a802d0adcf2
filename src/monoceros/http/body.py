"""Request content on its way to ``wsgi.input``: memory first, then a file, then the socket.

A request reaches the application when its content is complete, so that a slow upload holds no
worker. Content is kept in memory up to ``Limits.body_memory`` and in an unlinked temporary
file up to ``Limits.body_spool``; whatever is longer starts the application there and is read
from the socket as the application asks for it (``stream.py``). A ``Budget`` bounds what all the
connections of a worker keep together.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO

from monoceros.http.chunked import ChunkedDecoder
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.spool import is_disk_short, open_spool
from monoceros.unpatched import read

if TYPE_CHECKING:
    from monoceros.http.budget import Budget
    from monoceros.http.types import Limits

RECEIVE_SIZE = 1 << 16
LARGE = 1 << 14  # octets without framing among them that are worth a receive of their own
SCRATCH_SIZE = 1 << 18  # what one large receive takes at most
_FINE = 256  # octets below which a chunk's framing is most of the work
_TURN = 1 << 20  # octets after which other connections get their turn


class SizedDecoder:
    """A body whose length was announced (RFC 9112 section 6.2)."""

    __slots__ = ("ahead", "complete")

    def __init__(self, length: int) -> None:
        self.ahead = length
        self.complete = length == 0

    def feed(self, data: bytes) -> tuple[list[bytes | memoryview], bytes]:
        """Return pieces of content, and what lies behind the end of the body."""
        ahead = self.ahead
        if len(data) < ahead:
            self.ahead -= len(data)
            return [data], b""
        self.ahead = 0
        self.complete = True
        return [data[:ahead]], data[ahead:]

    def skip(self, octets: int) -> None:
        """Count content that the caller has received by itself, at most ``ahead`` octets."""
        self.ahead -= octets
        self.complete = self.ahead == 0


class Body:
    """The content of one request, kept until the application may have it."""

    __slots__ = (
        "_budget",
        "_decoder",
        "_direct",
        "_file",
        "_held",
        "_is_fine",
        "_limits",
        "_reader",
        "_step",
        "_tmp_dir",
        "closed",
        "full",
        "rest",
        "size",
    )

    def __init__(
        self, length: int | None, limits: Limits, budget: Budget, tmp_dir: str | None
    ) -> None:
        self._decoder: ChunkedDecoder | SizedDecoder = (
            ChunkedDecoder(limits) if length is None else SizedDecoder(length)
        )
        self._limits = limits
        self._budget = budget
        self._tmp_dir = tmp_dir
        self._file: io.BytesIO | io.FileIO = io.BytesIO()
        self._reader: BinaryIO | None = None
        self._held = 0  # octets that are kept
        self._step = RECEIVE_SIZE
        # Chunks that are not much longer are better taken many at a time.
        self._direct = RECEIVE_SIZE if length is None else LARGE
        self._is_fine = False  # what came last was in very small chunks, which take long to decode
        self.size = 0  # octets of content so far
        self.closed = False  # the request has ended
        self.full = False  # no more is kept: the application has to start
        self.rest = b""  # what came behind the body: the next request

    @property
    def complete(self) -> bool:
        """Whether the whole body has come."""
        return self._decoder.complete

    @property
    def ahead(self) -> int:
        """How many octets of content come next, without any framing among them."""
        return self._decoder.ahead

    def feed(self, data: bytes) -> None:
        """Decode and keep; raises ``BadRequest`` where framing, limits or room forbid it."""
        pieces = self.decode(data)
        if pieces:
            # One write for all: there may be thousands of pieces, or two halves of a page.
            self._keep(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def decode(self, data: bytes) -> list[bytes | memoryview]:
        """Decode without keeping, for content that goes straight to the application."""
        pieces, self.rest = self._decoder.feed(data)
        self.size += sum(map(len, pieces))
        self._is_fine = len(pieces) * _FINE > len(data)
        return pieces

    def receive(self, fd: int, scratch: memoryview) -> int | None:
        """Receive and keep content, as long as more is there and it is not others' turn.

        Returns how many octets came, 0 at the end of the input, and None where nothing has come.
        Raises ``OSError``, and ``BadRequest`` where framing, limits or room forbid it.
        """
        total = 0
        while total < _TURN and not self.full and not self.complete:
            try:
                count = self._receive_some(fd, scratch)
            except BlockingIOError:
                return total or None
            total += count
            if count < LARGE or self._is_fine:
                break
        return total

    def _receive_some(self, fd: int, scratch: memoryview) -> int:
        if self.ahead < self._direct:
            data = read(fd, self._step)
            if data:
                self.feed(data)
            # Large steps only where they are filled: memory for them is not had for nothing.
            is_filled = len(data) == self._step
            self._step = LARGE if self._is_fine else len(scratch) if is_filled else RECEIVE_SIZE
            return len(data)
        room = max(LARGE, self._limits.body_spool - self._held)
        count = self.receive_into(fd, scratch[:room])
        if count:
            self._keep(scratch[:count])
        return count

    def receive_into(self, fd: int, buffer: memoryview) -> int:
        """Receive what is ``ahead`` without keeping it; raises ``OSError``."""
        # readv(2) because read(2) into a buffer is only there since Python 3.14.
        count = os.readv(fd, (buffer[: self.ahead],))
        self._decoder.skip(count)
        self.size += count
        return count

    def stored(self) -> BinaryIO:
        """Return what was kept, from its start; it is valid until ``close``."""
        if self._reader is None:
            file = self._file
            file.seek(0)
            memory = isinstance(file, io.BytesIO)
            self._reader = file if memory else io.BufferedReader(file, RECEIVE_SIZE)
        return self._reader

    def close(self) -> None:
        """Give the room back."""
        self.closed = True
        # Counted, not asked of the file: applications close or empty their input.
        if isinstance(self._file, io.BytesIO):
            self._budget.memory.give(self._held)
        else:
            self._budget.spool.give(self._held)
            self._file.close()
        self._reader = None
        self._held = 0
        self._file = io.BytesIO()

    def _keep(self, piece: bytes | memoryview) -> None:
        file = self._file
        if isinstance(file, io.BytesIO) and self._fits_memory(len(piece)):
            self._remember(file, piece)
            return
        if isinstance(file, io.BytesIO) and not self._move_to_file(file.getvalue()):
            if self.full or len(piece) > self._budget.memory.left:
                raise refusal(Refusal.NO_ROOM)
            # The application can start, and read what follows by itself.
            self._remember(file, piece)
            self.full = True
            return
        self._spool(piece)
        if self._held >= self._limits.body_spool or self._budget.spool.left <= 0:
            self.full = True

    def _remember(self, file: io.BytesIO, piece: bytes | memoryview) -> None:
        file.write(piece)
        self._budget.memory.take(len(piece))
        self._held += len(piece)

    def _fits_memory(self, more: int) -> bool:
        return self._held + more <= self._limits.body_memory and more <= self._budget.memory.left

    def _move_to_file(self, content: bytes) -> bool:
        """Go on in a temporary file; False where there is no directory for one."""
        if len(content) + RECEIVE_SIZE > self._budget.spool.left:
            raise refusal(Refusal.NO_ROOM)
        try:
            file = open_spool(self._tmp_dir)
            self.full = is_disk_short(file.fileno())
        except OSError:
            return False
        self._budget.memory.give(self._held)
        self._held = 0
        self._file = file
        self._spool(content)
        return True

    def _spool(self, data: bytes | memoryview) -> None:
        """Write to the file, which takes all or is no use any more."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise refusal(Refusal.NO_ROOM) from error
        self._budget.spool.take(len(data))
        self._held += len(data)
