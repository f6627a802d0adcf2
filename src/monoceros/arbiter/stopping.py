"""The end of the server: from the signal that asks for it to the exit of the process."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from monoceros.arbiter import supervision
from monoceros.arbiter.obituary import REASONS
from monoceros.workers import hooks

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter


class Stop(NamedTuple):
    """How the server ends."""

    code: int
    reason: str


class Stopping:
    """The way out, of which there is one; it may get quicker, never slower."""

    def __init__(self, server: Arbiter) -> None:
        self._server = server
        self._stop: Stop | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether the server is on its way out."""
        return self._stop is not None

    @property
    def is_halting(self) -> bool:
        """Whether the server is stopping because its workers cannot start."""
        return self._stop is not None and self._stop.code in REASONS

    def begin(self, *, quick: bool = False, code: int = 0, reason: str = "") -> None:
        """Have all workers leave; the loop ends when they are gone. Quick overrides graceful."""
        server = self._server
        if self._stop is None:
            self._stop = Stop(code, reason)
            seconds = supervision.QUICK_S if quick else server.cfg.graceful_timeout
            server.notifier.stop_began(seconds, reason)
            server.watching.stop()
            self._close_listeners()
            leaving = list(server.children)
        else:
            leaving = list(server.children) if quick else []
        for child in leaving:
            supervision.retire(server, child, quick=quick)

    def halt(self, code: int) -> None:
        """Give up: no worker was ever able to start."""
        self.begin(quick=True, code=code, reason=REASONS[code])

    def advance(self, now: float) -> None:
        """Go a step further; exits the process once all workers are gone."""
        if self._stop is not None and not self._server.children:
            self._exit(self._stop)

    def next_due(self) -> float | None:
        """Return when to go on, None where only an event can tell."""
        return 0.0 if self._stop is not None and not self._server.children else None

    def abandon(self, code: int) -> NoReturn:
        """Leave although even stopping failed."""
        for child in self._server.children:
            supervision.send(child, signal.SIGKILL)
        self._server.remove_pidfile()
        sys.exit(code)

    def _close_listeners(self) -> None:
        server = self._server
        sockets = server.all_sockets()
        for sock in filter(server.owns, sockets):
            # The queue belongs to all of us: workers empty it, and nothing is added meanwhile.
            sock.listen(0)
        server.close_listeners(sockets)

    def _exit(self, stop: Stop) -> NoReturn:
        server = self._server
        if stop.code:
            server.log.error("Shutting down: %s", server.master_name)
            if stop.reason:
                server.log.error("Reason: %s", stop.reason)
        else:
            server.log.info("Shutting down: %s", server.master_name)
        server.remove_pidfile()
        hooks.try_call(server.cfg, server.log, "on_exit", server)
        server.notifier.leave()
        sys.exit(stop.code)
