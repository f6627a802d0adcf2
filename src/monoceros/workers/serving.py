"""What the WSGI workers have in common: Cores, a reactor, a monitor, and the way out.

A subclass says which thread leads when and which one is the monitor; ``serve`` is what the leading
thread does again and again, whichever part of the worker's life this is.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from monoceros.net.trust import Trusted
from monoceros.scoreboard import State, count_connections
from monoceros.workers.callables import is_asgi
from monoceros.workers.descriptors import raise_limit
from monoceros.workers.draining import IDLE_GRACE_S, Drain
from monoceros.workers.lateness import Lateness
from monoceros.workers.news import News
from monoceros.workers.siblings import Siblings
from monoceros.workers.supervised import SupervisedWorker
from monoceros.workers.timeouts import Timeouts

if TYPE_CHECKING:
    from types import FrameType

    from monoceros.config import Config
    from monoceros.http import Core
    from monoceros.net.wakeup import Wakeup
    from monoceros.workers.giving import Giver
    from monoceros.workers.poller import Poller
    from monoceros.workers.reactor import Reactor

TICK_S = 1.0  # how often the arbiter hears and is looked for
_BURST = 16
_LOOK_S = 0.1  # how often a worker looks whether it may leave
_PATIENCE_S = 0.02  # what siblings get to take what is too much: some looks at who is idle
# Scoreboard records for an application that turns out to be an ASGI one. Siblings look at all of
# everybody's, again and again, so that what many workers have together is bounded.
_MOST_CALLS = 64
_FEWEST_CALLS = 8
_ALL_CALLS = 1024


# Methods of Gunicorn's workers that nothing here would call.
_NEVER_CALLED = frozenset(
    {
        "accept",
        "enqueue_req",
        "finish_request",
        "get_thread_pool",
        "handle",
        "handle_error",
        "handle_request",
        "murder_keepalived",
        "murder_pending",
        "on_client_socket_readable",
        "on_pending_socket_readable",
        "run_for_multiple",
        "run_for_one",
        "set_accept_enabled",
        "wait",
        "wait_for_and_dispatch_events",
    }
)


class WsgiWorker(SupervisedWorker):
    """Serves a WSGI application."""

    serves_wsgi_only = True
    is_ready_to_run = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        ignored = sorted(_NEVER_CALLED & vars(cls).keys())
        if ignored and not cls.__module__.startswith("monoceros."):
            raise TypeError(
                f"{cls.__qualname__} overrides {', '.join(ignored)}, which this worker never calls "
                "because it reads and answers requests in another way. For what surrounds a "
                "request there are the hooks pre_request and post_request, and middleware"
            )

    _reactor: Reactor | None = None
    _drain: Drain | None = None
    next_tick = 0.0  # time.monotonic()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.cores: list[Core] = []

    @classmethod
    def setup(cls) -> None:
        """Import all that a worker needs: once for all, and while files can still be read.

        A user that workers change to need not have access to the interpreter's library.
        """
        import monoceros.workers.expiry
        import monoceros.workers.monitor
        import monoceros.workers.reactor
        import monoceros.wsgi.core  # noqa: F401

    @classmethod
    def describe(cls, cfg: Config) -> str:
        """Name the HTTP twin and why it is the one."""
        from monoceros.http import IMPL, IMPL_REASON

        return f"http {IMPL}, {IMPL_REASON}"

    @staticmethod
    def make_room(cfg: Config, records: int) -> int:
        """Return how many records a worker has that needs so many for a WSGI application."""
        if not cfg.is_class_open:
            return records
        calls = max(_FEWEST_CALLS, min(_MOST_CALLS, _ALL_CALLS // max(1, cfg.workers)))
        return max(records, 1 + min(cfg.worker_connections, calls))

    def begin(self) -> None:
        """Serve; as an asgi worker, where nobody has chosen a class and the application is one."""
        if not (self.cfg.is_class_open and is_asgi(self.wsgi)):
            super().begin()
            return
        # Imported late: it takes long, and is for such applications only.
        from monoceros.workers.gasgi import serve

        self.serves_asgi = True
        self.tell(News.ASGI)
        if self.overflow is not None:
            # Connections that siblings give away are for those who serve WSGI.
            self.overflow.close()
            self.overflow = None
        serve(self)

    def handle_exit(self, signum: int, frame: FrameType | None) -> None:
        """TERM: finish what has been received, then leave."""
        super().handle_exit(signum, frame)
        # Also the answer that the application is working on is the last on its connection.
        self._close_after_answers()

    # -- parts -------------------------------------------------------------------------------

    def _make_core(self, index: int, *, multithread: bool = False, tends: bool = False) -> Core:
        """Return the Core of one thread, which has the scoreboard record of that index.

        One that ``tends`` never calls the application. Beyond the last record there are none.
        """
        # Imported here so that the arbiter's process never loads the HTTP side.
        from monoceros.wsgi.core import make_core, make_policy

        if self.wsgi is None:
            raise RuntimeError("run() needs the application; init_process() loads it")
        if (tends or index) and index < self.records:
            state = State.TENDING if tends else State.IDLE
            now_ns = time.monotonic_ns()
            self.scoreboard.claim(self.slot_index + index, os.getpid(), now_ns, state)
        policy = self.cores[0].policy if self.cores else make_policy(self.cfg)
        slot = None
        if index < self.records:
            slot = self.scoreboard.slot(self.slot_index + index)
        core = make_core(self, self.wsgi, policy, slot, multithread=multithread)
        core.closing = not self.alive or self.scoreboard.lame_duck
        self.cores.append(core)
        return core

    def _make_reactor(self, leader: Core, wakeup: Wakeup, poller: Poller | None = None) -> Reactor:
        from monoceros.workers.reactor import Reactor

        cfg = self.cfg
        limit = raise_limit(cfg.worker_connections, self.log.warning)
        limits_waiting = bool(cfg.queue_timeout or cfg.max_queue)
        self._reactor = Reactor(
            leader,
            self.sockets,
            limit=limit,
            # Connections that a sibling could take are left to it; without siblings nobody
            # else will, and one per wake-up would make a crowd wait; so it is with sockets that no
            # sibling has. Where requests may not wait for long, they have to be seen.
            burst=1 if cfg.workers > 1 and not (limits_waiting or cfg.reuse_port) else _BURST,
            lateness=Lateness(Timeouts.from_config(cfg)),
            trusted=Trusted(cfg.forwarded_allow_ips),
            access=self.log.access_sink(),
            wakeup=wakeup,
            warn=self.log.warning,
            report=self.log.exception,
            note=self.log.debug,
            overflow=self.overflow,
            shares_listeners=not cfg.reuse_port,
            poller=poller,
        )
        if limits_waiting:
            self._limit_waiting(self._reactor)
        return self._reactor

    def _limit_waiting(self, reactor: Reactor) -> None:
        from monoceros.workers.overload import Overload

        cfg = self.cfg
        patience_s = 0.0 if self.overflow is None else _PATIENCE_S
        reactor.overload = Overload(
            reactor, cfg.queue_timeout, cfg.max_queue, self.log.warning, patience_s
        )

    def _make_giver(self, reactor: Reactor) -> Giver | None:
        from monoceros.workers.giving import Giver

        return None if self.overflow is None else Giver(reactor, self.overflow, self.siblings())

    def siblings(self) -> Siblings:
        """Return what is known of the other workers."""
        own = range(self.slot_index, self.slot_index + self.records)
        return Siblings(self.scoreboard, own, self.ppid)

    # -- the loop ----------------------------------------------------------------------------

    def serve(self, reactor: Reactor, core: Core, until: float) -> bool:
        """Do what is to do as the leading thread, until ``time.monotonic()`` or the lead is lost.

        False once there is nothing left to do.
        """
        now = time.monotonic()
        reactor.sweeper.sweep(core, now)
        until = min(until, reactor.sweeper.due)
        while self.alive and now < until and reactor.leader is core:
            reactor.run_once(core, until - now)
            if self.max_requests < sys.maxsize:
                self._count_requests()
            now = core.now
        # Whoever has lost the lead in its last call leaves the way out to the one who has it.
        return self.alive or not reactor.is_led_by(core) or self._leave(reactor, core)

    def _leave(self, reactor: Reactor, core: Core) -> bool:
        """Do one more thing on the way out; False once there is nothing left to do."""
        if not self.may_leave():
            reactor.run_once(core, _LOOK_S)
            return True
        drain = self._drain or self._begin_drain(reactor)
        if drain.is_over(core):
            return False
        drain.turn(core)
        return True

    def _tick(self) -> None:
        """Do what is due about once a second; on the main thread, which has ``slot``."""
        now = time.monotonic()
        if now < self.next_tick:
            return
        self.next_tick = now + TICK_S
        self.notify()
        self._count_requests()
        if self._reactor is not None:
            count_connections(self.slot, len(self._reactor))
        if self.wakeup is not None:
            # An event loop inside the application may have put its own descriptor there.
            self.wakeup.claim()
        if self.scoreboard.lame_duck:
            self._close_after_answers()
        self.look_for_arbiter()

    def _close_after_answers(self) -> None:
        for core in self.cores:
            core.closing = True

    def _count_requests(self) -> None:
        self.count_requests(sum([core.requests for core in self.cores]))

    def is_told_to_leave(self) -> None:
        """Leave newcomers to others."""
        if self._reactor is not None:
            self._reactor.is_leaving = True

    def is_left_alone(self) -> None:
        """Have the last answers out soon."""
        if self._reactor is not None:
            self._reactor.is_alone = True
        super().is_left_alone()
        self._close_after_answers()

    # -- the end -----------------------------------------------------------------------------

    def _begin_drain(self, reactor: Reactor) -> Drain:
        """Answer what was received, giving idle connections a moment for one last request."""
        self.tell(News.LEAVING)
        self._close_after_answers()
        told = time.monotonic() if self.told_to_leave is None else self.told_to_leave
        self._drain = Drain(
            reactor,
            told,
            self.cfg.graceful_timeout,
            giver=self._make_giver(reactor),
            abandoned=self.is_abandoned,
            # One more request would be answered by code that has changed since.
            idle_grace_s=IDLE_GRACE_S if self.modules is None else 0.0,
        )
        return self._drain

    def _finish(self, reactor: Reactor) -> None:
        """Say what was cut off."""
        received, sent = reactor.unfinished()
        if received or sent:
            self.log.warning(
                "Cut off at the end of graceful_timeout: requests that had not come whole: %s, "
                "answers that had not been taken whole: %s",
                received,
                sent,
            )
        calls = sum(core.running for core in self.cores if core not in reactor.lost)
        if calls:
            self.log.warning("Cut off at the end of graceful_timeout: calls in progress: %s", calls)

    def _let_go(self) -> None:
        super()._let_go()
        for core in self.cores:
            core.abandon()
        if self._reactor is not None:
            self._reactor.abandon()
            self._reactor = None
