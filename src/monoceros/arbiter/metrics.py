"""What the arbiter measures, handed to the logger: it sends what has a metric's name in it.

The names and kinds are Gunicorn's; without statsd they are lines of the debug level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.net.backlog import count_waiting

if TYPE_CHECKING:
    import socket

    from monoceros.log.logger import Logger

PERIOD_S = 1.0


class Metrics:
    """The number of workers when it changes, and the backlog once a second where it is wanted."""

    def __init__(self) -> None:
        self._workers = -1
        self._due: float | None = None

    def report_workers(self, log: Logger, count: int) -> None:
        """Report how many workers there are, if that is news."""
        if count == self._workers:
            return
        self._workers = count
        extra = {"metric": "gunicorn.workers", "value": count, "mtype": "gauge"}
        log.debug("%s workers", count, extra=extra)

    def report_backlog(self, log: Logger, listeners: list[socket.socket], now: float) -> None:
        """Report how many connections wait to be accepted, once per period."""
        if self._due is not None and now < self._due:
            return
        self._due = now + PERIOD_S
        waiting = count_waiting(listeners)
        if waiting is not None:
            extra = {"metric": "gunicorn.backlog", "value": waiting, "mtype": "histogram"}
            log.debug("socket backlog: %s", waiting, extra=extra)

    def next_due(self, enabled: bool) -> float | None:
        """Return when the backlog is to be reported next, None for never."""
        if not enabled:
            self._due = None
        elif self._due is None:
            self._due = 0.0
        return self._due
