"""Output that the client has not taken yet.

The application's own ``bytes`` objects wait in memory as long as the worker's budget has room
for them; what comes after goes to unlinked temporary files, from where sendfile(2) takes it.
Each file is given up once it is sent, so that a long response to a slow client takes no more
room on the disk, and no more descriptors, than what waits.

Where neither has room, because of the budget or because the disk is full, memory holds what is
there already, and ``wait`` makes the application stop until the client has taken what is over.
No connection waits for another's client: each gets on as soon as its own one takes something.
"""

from __future__ import annotations

import errno
import select
import time
from collections import deque
from typing import TYPE_CHECKING

from monoceros.http.errors import ClientGone
from monoceros.http.files import FileRange
from monoceros.http.spool import is_disk_short, open_spool
from monoceros.unpatched import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.budget import Budget

_SEGMENT = 8 << 20  # octets after which a spool file is not continued
_TURN = 1 << 20  # octets after which other connections get their turn
_LOOK_S = 0.5  # how often one that waits looks whether others have given room back


class Outbox:
    """A queue of octets and file ranges for one connection."""

    __slots__ = (
        "_budget",
        "_has_disk",
        "_is_over",
        "_memory",
        "_memory_limit",
        "_queue",
        "_spooled",
        "_tmp_dir",
        "size",
    )

    def __init__(self, budget: Budget, memory_limit: int, tmp_dir: str | None = None) -> None:
        self._queue: deque[memoryview | FileRange] = deque()
        self._budget = budget
        self._memory_limit = memory_limit
        self._memory = 0
        self._spooled: FileRange | None = None  # the last spool file, while some of it waits
        self._tmp_dir = tmp_dir
        self._is_over = False  # something is held for which there was no room
        self._has_disk = True
        self.size = 0  # octets that wait

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, data: bytes | memoryview) -> None:
        """Append octets."""
        self.size += len(data)
        data = _compact(memoryview(data))
        held = _held(data)
        fits = self._memory + held <= self._memory_limit or not self._queue
        has_room = self._spooled is None and fits and held <= self._budget.output.left
        if has_room or not self._spool(data):
            self._hold(data)
            self._is_over = self._is_over or not has_room

    def add_file(self, file: FileRange) -> None:
        """Append a range of a file; the outbox closes it."""
        self.size += file.count
        self._queue.append(file)

    def send(self, fd: int) -> bool:
        """Send until all is gone (True) or it is others' turn (False); raises ``OSError``.

        That is when the socket takes no more, or when a client that reads as fast as this
        sends has had its share.
        """
        enough = self.size - _TURN
        try:
            while self._queue and self.size > enough:
                self._send_first(fd, self._queue[0])
        except BlockingIOError:
            return False
        return not self._queue

    def wait(
        self, fd: int, limit: int, timeout_s: float, wait: Callable[[int, int, float], bool]
    ) -> None:
        """Send what the socket takes, until at most ``limit`` octets wait, less without room.

        ``wait`` is the ``Policy``'s. Raises ``ClientGone``.
        """
        # Nobody else sends meanwhile, and nothing else tells that the client has gone.
        self._try_to_send(fd)
        if not self._has_to_wait(limit):
            return
        moved = time.monotonic()
        while self._has_to_wait(limit):
            if wait(fd, select.POLLOUT, min(timeout_s, _LOOK_S)):
                self._try_to_send(fd)
                moved = time.monotonic()
            elif time.monotonic() - moved >= timeout_s:
                raise ClientGone("client takes nothing")

    def _try_to_send(self, fd: int) -> None:
        try:
            self.send(fd)
        except OSError as error:
            raise ClientGone from error

    def _has_to_wait(self, limit: int) -> bool:
        if not self._queue:
            self._is_over = False
        elif self.size > limit:
            return True
        elif self._is_over and self._is_eased():
            self._is_over = False
        return self._is_over

    def _is_eased(self) -> bool:
        """Whether there is room again, here or because others have given some back."""
        if self._has_disk and self._budget.output_spool.left > 0:
            return True
        return self.size <= self._memory_limit and self._budget.output.left > 0

    def take(self) -> bytes:
        """Return and forget everything, where the transport is not a socket."""
        parts = [
            bytes(part) if isinstance(part, memoryview) else part.read() for part in self._queue
        ]
        self.close()
        return b"".join(parts)

    def close(self) -> None:
        """Forget everything and give the room back."""
        while self._queue:
            self._drop_first(self._queue[0])
        self.size = 0

    def _hold(self, data: memoryview) -> None:
        held = _held(data)
        self._memory += held
        self._budget.output.take(held)
        self._queue.append(data)

    def _spool(self, data: memoryview) -> bool:
        """Put octets into a file; False where there is no room for them."""
        if self._budget.output_spool.left <= 0:
            return False
        try:
            self._last_spooled().append(data)
        except OSError:
            self._has_disk = False
            self._drop_unused()
            return False
        self._has_disk = True
        self._budget.output_spool.take(len(data))
        return True

    def _last_spooled(self) -> FileRange:
        """Return the spool file at the end of the queue, a new one if need be; raises OSError."""
        spooled = self._spooled
        if spooled is None or spooled is not self._queue[-1] or spooled.end >= _SEGMENT:
            with open_spool(self._tmp_dir) as file:
                if is_disk_short(file.fileno()):
                    raise OSError(errno.ENOSPC, "too little is left of the disk")
                spooled = self._spooled = FileRange(file.fileno(), 0, 0)
            self._queue.append(spooled)
        return spooled

    def _drop_unused(self) -> None:
        """Give up a spool file that nothing could be written to."""
        spooled = self._spooled
        if spooled is not None and not spooled.end:
            self._queue.pop()
            self._spooled = None
            spooled.close()

    def _send_first(self, fd: int, first: memoryview | FileRange) -> None:
        if isinstance(first, FileRange):
            sent = first.send(fd, _TURN)
            self.size -= sent
            if sent == 0 and first.count:
                raise OSError("file became shorter while it was being sent")
            if not first.count:
                self._drop_first(first)
            return
        sent = write(fd, first)
        self.size -= sent
        if sent == len(first):
            self._drop_first(first)
        else:
            self._queue[0] = rest = _compact(first[sent:])
            self._release(_held(first) - _held(rest))

    def _drop_first(self, first: memoryview | FileRange) -> None:
        self._queue.popleft()
        if isinstance(first, FileRange):
            if first is self._spooled:
                self._spooled = None
            self._budget.output_spool.give(first.appended)
            first.close()
        else:
            self._release(_held(first))

    def _release(self, octets: int) -> None:
        self._memory -= octets
        self._budget.output.give(octets)


def _held(view: memoryview) -> int:
    """Return how many octets of memory a view keeps from being used otherwise."""
    return memoryview(view.obj).nbytes


def _compact(view: memoryview) -> memoryview:
    """Return a view of the same octets that keeps at most twice their number."""
    return view if 2 * len(view) > _held(view) else memoryview(bytes(view))
