"""The arbiter's part in ``connection_handoff``: it makes the queue, and empties it at the end.

The queue is made at the first fork that needs it and kept from then on, through every reload, so
that workers of one generation can give connections to those of the next. The arbiter has both
ends open all the time and takes nothing, so that what is in the queue outlives each single worker.
When there is no worker left that could take it, what is still there is ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.net import overflow
from monoceros.net.overflow import Overflow

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter
    from monoceros.workers.base import Worker


class Handoff:
    """The queue as long as the server runs."""

    def __init__(self, server: Arbiter) -> None:
        self._server = server
        self._queue: Overflow | None = None

    def equip(self) -> Overflow | None:
        """Return what a worker that is about to be forked gives connections away by."""
        if not self._server.cfg.connection_handoff or not overflow.is_supported():
            return None
        if self._queue is None:
            try:
                self._queue = Overflow(self._server.log.warning)
            except OSError as error:
                self._server.log.warning("Workers keep their connections: no queue: %s", error)
        return self._queue

    def release(self, worker: Worker) -> None:
        """In a worker, close what it was not given."""
        if self._queue is not None and worker.overflow is None:
            self._queue.close()

    def advance(self) -> None:
        """End the queue once it is switched off and the last worker that used it has gone.

        Until then nothing is given away, since the workers of now would not take it; nor beside
        workers for ASGI.
        """
        is_on = self._server.cfg.connection_handoff
        workers = self._server.WORKERS.values()
        has_takers = is_on and not any(worker.serves_asgi for worker in workers)
        self._server.scoreboard.keeps_connections = not has_takers
        if self._queue is None or is_on:
            return
        if all(worker.overflow is None for worker in workers):
            self.end()

    def end(self) -> None:
        """Close the queue, and the connections in it that no worker is left to take."""
        if self._queue is None:
            return
        count = self._queue.discard()
        self._queue.close()
        self._queue = None
        if count:
            self._server.log.warning(
                "Connections that were given away and that no worker was left to take: %s", count
            )
