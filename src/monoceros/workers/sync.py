"""The ``sync`` worker: one thread, which polls connections and calls the application.

The application runs on the main thread, one request at a time, because applications use
signal handlers, event loops and thread-bound libraries there. Slow clients cost it nothing:
the reactor hands it complete requests and keeps what a client has not taken yet.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from monoceros.net.trust import Trusted
from monoceros.scoreboard import SlotPhase, count_connections
from monoceros.workers.base import Worker
from monoceros.workers.descriptors import raise_limit
from monoceros.workers.draining import IDLE_GRACE_S, Drain
from monoceros.workers.lateness import Lateness
from monoceros.workers.news import News
from monoceros.workers.timeouts import Timeouts

if TYPE_CHECKING:
    from types import FrameType

    from monoceros.config import Config
    from monoceros.http import Core
    from monoceros.http.types import WsgiApp
    from monoceros.workers.reactor import Reactor

_TICK_S = 1.0  # how often timeouts and the arbiter's presence are looked at
_BURST = 16
_HESITATION_S = 1.0  # how long a TERM waits for the arbiter to second it


class SyncWorker(Worker):
    """Serves one request at a time."""

    timeout_is_per_call = True
    _core: Core | None = None
    _told_to_leave: float | None = None  # time.monotonic()
    _is_abandoned = False  # by the arbiter

    @classmethod
    def setup(cls) -> None:
        """Import all that a worker needs: once for all, and while files can still be read.

        A user that workers change to need not have access to the interpreter's library.
        """
        import monoceros.workers.reactor
        import monoceros.wsgi.core  # noqa: F401

    @classmethod
    def count_records(cls, cfg: Config) -> int:
        """The main thread has one, and its monitor."""
        return 2

    @classmethod
    def describe(cls, cfg: Config) -> str:
        """Name the HTTP twin and why it is the one."""
        from monoceros.http import IMPL, IMPL_REASON

        return f"http {IMPL}, {IMPL_REASON}"

    def run(self) -> None:
        """Serve until asked to leave, then finish what has been received."""
        if self.wsgi is None:
            raise RuntimeError("run() needs the application; init_process() loads it")
        core = self._make_core(self.wsgi)
        reactor = self._make_reactor(core)
        try:
            self._serve(reactor, core)
            self._drain(reactor)
        finally:
            reactor.write_log()
            reactor.close()

    def handle_exit(self, signum: int, frame: FrameType | None) -> None:
        """TERM: finish what has been received, then leave."""
        super().handle_exit(signum, frame)
        if self._told_to_leave is None:
            self._told_to_leave = time.monotonic()
        if self._core is not None:
            # Also the answer that the application is working on is the last on its connection.
            self._core.closing = True

    def _make_core(self, app: WsgiApp) -> Core:
        # Imported here so that the arbiter's process never loads the HTTP side.
        from monoceros.wsgi.core import make_core

        self._core = core = make_core(self, app)
        core.closing = not self.alive or self.scoreboard.lame_duck
        return core

    def _make_reactor(self, core: Core) -> Reactor:
        from monoceros.workers.reactor import Reactor

        cfg = self.cfg
        limit = raise_limit(cfg.worker_connections)
        if limit < cfg.worker_connections:
            self.log.warning(
                "The system's limit of descriptors allows for %s connections only", limit
            )
        if self.wakeup is None:
            raise RuntimeError("run() needs signals; init_process() sets them up")
        return Reactor(
            core,
            self.sockets,
            limit=limit,
            # Connections that a sibling could take are left to it; without siblings nobody
            # else will, and one per wake-up would make a crowd wait.
            burst=1 if cfg.workers > 1 else _BURST,
            lateness=Lateness(Timeouts.from_config(cfg)),
            trusted=Trusted(cfg.forwarded_allow_ips),
            access=self.log.access_sink(),
            wakeup=self.wakeup,
            warn=self.log.warning,
            report=self.log.exception,
        )

    def _serve(self, reactor: Reactor, core: Core) -> None:
        next_tick = 0.0
        while self.alive or self._hesitates():
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + _TICK_S
                self.nr = core.requests
                self._tick(reactor, now)
            reactor.run_once(0.0 if self._is_abandoned else next_tick - now)
            if core.requests >= self.max_requests:
                self._wear_out()

    def _hesitates(self) -> bool:
        """Whether TERM came from somebody else and the arbiter may be about to send its own.

        A service manager may tell all processes at once. Before the arbiter has heard it nobody
        knows whether the queue is left to siblings or has to be emptied.
        """
        if self._is_abandoned or self._told_to_leave is None or self.news_fd < 0:
            return False
        if self.scoreboard.phase(self.slot_index) is SlotPhase.DRAINING:
            return False
        return self.scoreboard.lame_duck or time.monotonic() < self._told_to_leave + _HESITATION_S

    def _wear_out(self) -> None:
        """Ask for a successor, and serve until it is there: the arbiter says when to leave."""
        self.log.info("Autorestarting worker after current request.")
        self.max_requests = sys.maxsize
        self.tell(News.WORN_OUT)

    def _tick(self, reactor: Reactor, now: float) -> None:
        self.notify()
        count_connections(self.slot, len(reactor))
        reactor.sweep(now)
        if self.wakeup is not None:
            # An event loop inside the application may have put its own descriptor there.
            self.wakeup.claim()
        if self.scoreboard.lame_duck and self._core is not None:
            self._core.closing = True
        if self.is_orphan():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False
            self._is_abandoned = True

    def _drain(self, reactor: Reactor) -> None:
        """Answer what was received, giving idle connections a moment for one last request."""
        self.tell(News.LEAVING)
        told = time.monotonic() if self._told_to_leave is None else self._told_to_leave
        drain = Drain(
            reactor,
            told,
            self.cfg.graceful_timeout,
            abandoned=self._is_abandoned,
            # One more request would be answered by code that has changed since.
            idle_grace_s=IDLE_GRACE_S if self.modules is None else 0.0,
        )
        while not drain.is_over():
            self.notify()
            count_connections(self.slot, len(reactor))
            drain.turn()
        received, sent = reactor.unfinished()
        if received or sent:
            self.log.warning(
                "Cut off at the end of graceful_timeout: requests that had not come whole: %s, "
                "answers that had not been taken whole: %s",
                received,
                sent,
            )
