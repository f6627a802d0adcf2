"""Request content on its way to ``wsgi.input``: memory first, then a file, then the socket.

A request reaches the application when its content is complete, so that a slow upload holds no
worker. Content is kept in memory up to ``Limits.body_memory`` and in an unlinked temporary
file up to ``Limits.body_spool``; whatever is longer starts the application there and is read
from the socket as the application asks for it. A ``Budget`` bounds what all the connections
of a worker keep together.
"""

from __future__ import annotations

import io
import os
import select
from typing import TYPE_CHECKING, BinaryIO

from monoceros.http.chunked import ChunkedDecoder
from monoceros.http.errors import BadRequest, BodyError
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.spool import open_spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.types import Limits

RECEIVE_SIZE = 1 << 16
_DISK_RESERVE = 256 << 20  # octets of the file system that spooled bodies leave alone


class Budget:
    """What the connections of one worker may keep in memory and in files, in octets."""

    __slots__ = ("memory", "output", "spool")

    def __init__(
        self, memory: int = 256 << 20, spool: int = 4 << 30, output: int = 64 << 20
    ) -> None:
        self.memory = memory
        self.spool = spool
        self.output = output


class SizedDecoder:
    """A body whose length was announced (RFC 9112 section 6.2)."""

    __slots__ = ("_remaining", "complete")

    def __init__(self, length: int) -> None:
        self._remaining = length
        self.complete = length == 0

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return pieces of content, and what lies behind the end of the body."""
        remaining = self._remaining
        if len(data) < remaining:
            self._remaining -= len(data)
            return [data], b""
        self._remaining = 0
        self.complete = True
        return [data[:remaining]], data[remaining:]


class Body:
    """The content of one request, kept until the application may have it."""

    __slots__ = (
        "_budget",
        "_decoder",
        "_file",
        "_held",
        "_limits",
        "_reader",
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
        self.size = 0  # octets of content so far
        self.closed = False  # the request has ended
        self.full = False  # no more is kept: the application has to start
        self.rest = b""  # what came behind the body: the next request

    @property
    def complete(self) -> bool:
        """Whether the whole body has come."""
        return self._decoder.complete

    def feed(self, data: bytes) -> None:
        """Decode and keep; raises ``BadRequest`` where framing, limits or room forbid it."""
        for piece in self.decode(data):
            self._keep(piece)

    def decode(self, data: bytes) -> list[bytes]:
        """Decode without keeping, for content that goes straight to the application."""
        pieces, self.rest = self._decoder.feed(data)
        self.size += sum(map(len, pieces))
        return pieces

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
            self._budget.memory += self._held
        else:
            self._budget.spool += self._held
            self._file.close()
        self._reader = None
        self._held = 0
        self._file = io.BytesIO()

    def _keep(self, piece: bytes) -> None:
        file = self._file
        if isinstance(file, io.BytesIO) and self._fits_memory(len(piece)):
            self._remember(file, piece)
            return
        if isinstance(file, io.BytesIO) and not self._move_to_file(file.getvalue()):
            if self.full or len(piece) > self._budget.memory:
                raise refusal(Refusal.NO_ROOM)
            # The application can start, and read what follows by itself.
            self._remember(file, piece)
            self.full = True
            return
        self._spool(piece)
        if self._held >= self._limits.body_spool or self._budget.spool <= 0:
            self.full = True

    def _remember(self, file: io.BytesIO, piece: bytes) -> None:
        file.write(piece)
        self._budget.memory -= len(piece)
        self._held += len(piece)

    def _fits_memory(self, more: int) -> bool:
        return self._held + more <= self._limits.body_memory and more <= self._budget.memory

    def _move_to_file(self, content: bytes) -> bool:
        """Go on in a temporary file; False where there is no directory for one."""
        if len(content) + RECEIVE_SIZE > self._budget.spool:
            raise refusal(Refusal.NO_ROOM)
        try:
            file = open_spool(self._tmp_dir)
            self.full = _free_space(file.fileno()) < _DISK_RESERVE
        except OSError:
            return False
        self._budget.memory += self._held
        self._held = 0
        self._file = file
        self._spool(content)
        return True

    def _spool(self, data: bytes) -> None:
        """Write to the file, which takes all or is no use any more."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise refusal(Refusal.NO_ROOM) from error
        self._budget.spool -= len(data)
        self._held += len(data)


def _free_space(fd: int) -> int:
    status = os.fstatvfs(fd)
    return status.f_bavail * status.f_frsize


def receive(fd: int, timeout_s: float) -> bytes:
    """Wait for and return input of a socket, empty at its end; raises ``BodyError``."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while True:
        try:
            return os.read(fd, RECEIVE_SIZE)
        except BlockingIOError:
            if not poller.poll(timeout_s * 1000):
                raise BodyError("request content stalled longer than body_timeout", 408) from None
        except OSError as error:
            raise BodyError("connection lost while reading the request content") from error


class BodyStream(io.RawIOBase):
    """``wsgi.input`` of a body that is too long to be kept, or must not be waited for."""

    def __init__(self, body: Body, fd: int, timeout_s: float, invite: Callable[[], None]) -> None:
        super().__init__()
        self._body = body
        self._fd = fd
        self._timeout_s = timeout_s
        self._invite = invite  # sends 100 Continue before the first octet is asked of the client
        self._stored: BinaryIO | None = body.stored()
        self._data = b""  # decoded, and used up to the position
        self._position = 0
        self._error: BodyError | None = None

    def readable(self) -> bool:
        """Return True: this is an input."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` as far as something is there, waiting for at least one octet."""
        if self._stored is not None:
            count = self._stored.readinto(buffer)  # type: ignore[attr-defined]
            if count:
                return int(count)
            self._stored = None
        while self._position == len(self._data) and not self._body.complete:
            self._fetch()
        piece = self._data[self._position : self._position + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self) -> None:
        if self._error is not None:
            raise self._error
        if self._body.closed:
            # The descriptor may be another connection's by now.
            raise BodyError("request content was read after its request had ended")
        self._invite()
        try:
            data = receive(self._fd, self._timeout_s)
            if not data:
                raise BodyError("client closed the connection inside the request content")
            self._data = b"".join(self._body.decode(data))
            self._position = 0
        except BadRequest as error:
            self._error = BodyError(error.reason, error.status)
            raise self._error from error
        except BodyError as error:
            self._error = error
            raise
