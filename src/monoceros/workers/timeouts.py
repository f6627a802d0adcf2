"""How long a connection may stay in each of its states."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from monoceros.http.types import BODY, HEAD, IDLE, LINGERING, WRITE

if TYPE_CHECKING:
    from monoceros.config import Config
    from monoceros.http.types import Conn

# How much longer an idle connection is kept than its client is told: the client's clock starts
# when the answer has arrived, and a request that it sends at the last moment takes its time too.
GRACE_S = 2.0
LINGER_S = 2.0  # how long a client is given to read an answer and to close its side


class Timeouts(NamedTuple):
    """Seconds, and octets per second for ``min_rate``; 0 means no limit."""

    keepalive: float
    header: float
    body: float
    min_rate: float
    write: float

    @classmethod
    def from_config(cls, cfg: Config) -> Timeouts:
        """Take over the settings."""
        return cls(
            keepalive=cfg.keepalive,
            header=cfg.header_timeout,
            body=cfg.body_timeout,
            min_rate=cfg.body_min_rate,
            write=cfg.write_timeout,
        )

    def is_over(self, conn: Conn, now: float, moved: float) -> bool:
        """Tell whether a connection has been in its state for too long.

        ``moved`` is when the client last did something for a body or took something. A peer that
        may keep its idle connection may as well open one before it has a request.
        """
        state = conn.state
        waited = now - conn.since
        if state == IDLE:
            return conn.expires and waited > self.keepalive + GRACE_S
        if state == HEAD:
            return 0 < self.header < waited and (conn.expires or conn.pending > 0)
        if state == BODY:
            return 0 < self.body < max(now - moved, self._behind(waited, conn.received))
        if state == WRITE:
            return 0 < self.write < now - moved
        return state == LINGERING and waited > LINGER_S

    def _behind(self, waited: float, received: int) -> float:
        """Return by how many seconds a body is later than it would be at the minimum rate."""
        return waited - received / self.min_rate if self.min_rate else 0


def is_idle(conn: Conn) -> bool:
    """Tell whether a connection waits for a request, and may do so for as long as its peer likes.

    A new connection does too, where it is a trusted peer's.
    """
    if conn.has_request or conn.pending:
        return False
    return conn.state == IDLE or (conn.state == HEAD and not conn.expires)
