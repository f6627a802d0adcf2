"""``wsgi.input`` of a body that is read from the socket as the application asks for it."""

from __future__ import annotations

import io
import select
import time
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from monoceros.http.body import LARGE, RECEIVE_SIZE, SCRATCH_SIZE
from monoceros.http.errors import BadRequest, BodyError
from monoceros.unpatched import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.body import Body
    from monoceros.http.types import Policy

_T = TypeVar("_T")

_STALLED = "request content stalled longer than body_timeout"
_TOO_SLOW = "request content came slower than body_min_rate"


def open_stream(
    body: Body, fd: int, policy: Policy, invite: Callable[[], None]
) -> io.BufferedReader:
    """Return ``wsgi.input`` for a body that has not come whole.

    ``invite`` is called before anything is asked of the client; it sends 100 Continue.
    """
    patience = Patience(fd, policy.body_timeout, policy.body_min_rate, policy.wait)
    stream = BodyStream(body, fd, patience, invite, policy.turn)
    return io.BufferedReader(stream, RECEIVE_SIZE)


class Patience:
    """How long the application waits for a client in all.

    Only time in which nothing is there to be read counts, so that an application may take as
    long as it likes. ``min_rate`` is in octets per second. A client gets into debt by the time
    it lets the application wait, and pays by what it sends; what it sent before it was ever
    waited for is no credit, or it could hold a thread for hours with what took it seconds.
    """

    __slots__ = ("_debt_s", "_fd", "_min_rate", "_timeout_s", "_wait")

    def __init__(
        self, fd: int, timeout_s: float, min_rate: float, wait: Callable[[int, int, float], bool]
    ) -> None:
        self._fd = fd
        self._wait = wait
        self._timeout_s = timeout_s
        self._min_rate = min_rate
        self._debt_s = 0.0

    def wait(self) -> None:
        """Wait for input; raises ``BodyError`` where the client is late."""
        began = time.monotonic()
        if not self._wait(self._fd, select.POLLIN, self._timeout_s - self._debt_s):
            raise BodyError(_TOO_SLOW if self._debt_s else _STALLED, 408)
        if self._min_rate:
            # Nothing is the client's fault that goes on after it has sent something.
            self._debt_s = min(self._debt_s + time.monotonic() - began, self._timeout_s)

    def count(self, octets: int) -> None:
        """Take note of what the client has sent."""
        if self._debt_s:
            self._debt_s = max(0.0, self._debt_s - octets / self._min_rate)


class BodyStream(io.RawIOBase):
    """Content that was kept, and then what comes from the socket.

    Octets go straight into the caller's buffer wherever no framing can be among them.
    """

    def __init__(
        self,
        body: Body,
        fd: int,
        patience: Patience,
        invite: Callable[[], None],
        turn: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        self._turn = turn
        self._body = body
        self._fd = fd
        self._patience = patience
        self._invite = invite
        self._stored: BinaryIO | None = body.stored()
        self._data = memoryview(b"")  # decoded, and not yet asked for
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
        while not self._data and not self._body.complete:
            count = self._fetch(buffer)
            if count:
                return count
        piece = self._data[: len(buffer)]
        buffer[: len(piece)] = piece
        self._data = self._data[len(piece) :]
        return len(piece)

    def readall(self) -> bytes:
        """Return all that is left."""
        # In larger steps than the default's, and in memory that grows as the content comes: an
        # announced length is only a client's word.
        step = memoryview(bytearray(SCRATCH_SIZE))
        content = io.BytesIO()
        while count := self.readinto(step):
            content.write(step[:count])
        return content.getvalue()

    def _fetch(self, buffer: memoryview) -> int:
        """Receive into ``buffer`` and return how much, or receive, decode, and return 0."""
        if self._error is not None:
            raise self._error
        if self._body.closed:
            # The descriptor may be another connection's by now.
            raise BodyError("request content was read after its request had ended")
        self._invite()
        if self._turn is not None:
            self._turn()
        try:
            if min(len(buffer), self._body.ahead) >= LARGE:
                return self._receive(self._body.receive_into, buffer)
            self._receive(self._decode, None)
        except BadRequest as error:
            self._error = BodyError(error.reason, error.status)
            raise self._error from error
        except BodyError as error:
            self._error = error
            raise
        return 0

    def _decode(self, fd: int, _: None) -> int:
        data = read(fd, RECEIVE_SIZE)
        if data:
            pieces = self._body.decode(data)
            self._data = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return len(data)

    def _receive(self, step: Callable[[int, _T], int], buffer: _T) -> int:
        """Take a step of receiving, once something is there; raises ``BodyError``."""
        while True:
            try:
                count = step(self._fd, buffer)
            except BlockingIOError:
                self._patience.wait()
                continue
            except OSError as error:
                raise BodyError("connection lost while reading the request content") from error
            if not count:
                raise BodyError("client closed the connection inside the request content")
            self._patience.count(count)
            return count
