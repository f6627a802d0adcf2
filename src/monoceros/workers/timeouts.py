"""How long a connection may stay in each of its states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monoceros.http.types import BODY, HEAD, IDLE, LINGERING, WRITE

if TYPE_CHECKING:
    from monoceros.config import Config
    from monoceros.http.types import Conn

LINGER_S = 2.0  # how long a client is given to read an answer and to close its side


@dataclass(frozen=True, slots=True)
class Timeouts:
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

    def is_over(self, conn: Conn, now: float) -> bool:
        """Tell whether a connection has been in its state for too long."""
        state = conn.state
        waited = now - conn.since
        if state == IDLE:
            return waited > self.keepalive
        if state == HEAD:
            return 0 < self.header < waited
        if state == BODY:
            return self._body_is_late(waited, conn.received)
        if state == WRITE:
            return 0 < self.write < waited
        return state == LINGERING and waited > LINGER_S

    def _body_is_late(self, waited: float, received: int) -> bool:
        # Every octet at the minimum rate buys time, so that only slowness counts, not size.
        if not self.body:
            return False
        return waited > self.body + (received / self.min_rate if self.min_rate else 0)
