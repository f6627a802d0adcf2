"""The ``sync`` worker: the application runs on the main thread, one request at a time.

Applications use signal handlers, event loops and thread-bound libraries there. Slow clients cost
it nothing: the reactor hands it complete requests and keeps what a client has not taken yet. While
a call lasts for longer than a moment, a monitor thread goes on with everything else.

A call that takes longer than it may is answered by the monitor, and its worker is replaced: nothing
else can be served here until it returns. It is interrupted when the worker is to leave, so that
what is left to do is done as ever. One that waits in C for longer than ``graceful_timeout`` is
killed with its worker.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from monoceros.errors import CallExpired
from monoceros.net.wakeup import Wakeup
from monoceros.scoreboard import SlotPhase
from monoceros.unpatched import Thread, get_ident
from monoceros.workers.frames import frame_of
from monoceros.workers.serving import WsgiWorker

if TYPE_CHECKING:
    from types import FrameType

    from monoceros.config import Config
    from monoceros.http import Core
    from monoceros.workers.expiry import Expiry
    from monoceros.workers.giving import Giver
    from monoceros.workers.monitor import Monitor
    from monoceros.workers.reactor import Reactor

_LOOK_S = 0.1  # how often is looked for calls that take too long
_PARTING_S = 1.0  # how long the monitor may take to notice that it is over


class SyncWorker(WsgiWorker):
    """Serves one request at a time."""

    _main = 0  # the thread that runs the application

    timeout_is_per_call = True
    keeps_connections = False

    @classmethod
    def count_records(cls, cfg: Config) -> int:
        """The main thread has one, and its monitor."""
        return cls.make_room(cfg, 2)

    def run(self) -> None:
        """Serve until asked to leave, then finish what has been received."""
        from monoceros.workers.expiry import Expiry
        from monoceros.workers.monitor import Monitor

        if self.wakeup is None:
            raise RuntimeError("run() needs signals; init_process() sets them up")
        core = self._make_core(0)
        reactor = self._make_reactor(core, self.wakeup)
        bell = Wakeup()
        giver = self._make_giver(reactor)
        tender = self._make_core(1, tends=True)
        self._main = get_ident()
        expiry = Expiry(reactor, tender, self.log, lambda _: frame_of(self._main), self._lose)
        late = _Late(self, reactor, tender, giver, expiry)
        monitor = Monitor(reactor, tender, bell, self.siblings(), giver, breathe=late.look)
        helper = _Helper(monitor, bell)
        helper.start()
        try:
            self._tick()
            while self.serve(reactor, core, self.next_tick):
                self._tick()
                if reactor.leader is not core:
                    reactor.regain(core)
            self._finish(reactor)
        finally:
            helper.stop()
            with reactor.lock:
                reactor.lead(core)
            helper.join(_PARTING_S)
            reactor.write_log(core)
            reactor.close()

    def handle_exit(self, signum: int, frame: FrameType | None) -> None:
        """TERM: as ever, save that a call which has been answered for is not waited for."""
        super().handle_exit(signum, frame)
        if self._reactor is not None and self._reactor.lost and self.cores[0].running:
            raise CallExpired

    def look_at_the_end(self) -> None:
        """See whether it is time to leave, while the main thread is inside a call."""
        self.look_for_arbiter()
        if not self.alive:
            self.may_leave()

    def _lose(self, core: Core) -> None:
        """Have the worker replaced, whose only thread is lost."""
        self.ask_for_successor()
        if not self.alive:
            signal.pthread_kill(self._main, signal.SIGTERM)


class _Late:
    """What the monitor does for a worker whose main thread is lost; ``core`` is its own."""

    def __init__(
        self, worker: SyncWorker, reactor: Reactor, core: Core, giver: Giver | None, expiry: Expiry
    ) -> None:
        self._worker = worker
        self._reactor = reactor
        self._core = core
        self._giver = giver
        self._expiry = expiry
        self._look_at = 0.0

    def look(self) -> None:
        """End what is late, and leave to others what is theirs; called while the monitor leads."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        self._worker.look_at_the_end()
        self._expiry.look()
        if self._reactor.lost and self._giver is not None and self._giver.siblings.take():
            with self._reactor.lock:
                if self._reactor.leader is self._core:
                    self._leave_to_siblings(self._giver)

    def _leave_to_siblings(self, giver: Giver) -> None:
        """Take nothing in any more, and keep nothing that others can have once it is to leave."""
        self._reactor.intake.step_aside(self._core)
        worker = self._worker
        if worker.scoreboard.phase(worker.slot_index) is SlotPhase.DRAINING:
            giver.give_idle(self._core)


class _Helper:
    """The thread of a monitor: a real one, also where an application has patched these."""

    def __init__(self, monitor: Monitor, bell: Wakeup) -> None:
        self._thread = Thread(self._run)
        self._monitor = monitor
        self._bell = bell
        self._is_over = False
        self.start = self._thread.start
        self.join = self._thread.join

    def _run(self) -> None:
        # Signals are the main thread's, also where they would end a call that waits.
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        while not self._is_over:
            self._monitor.look(None)
            self._bell.drain()

    def stop(self) -> None:
        """Have it end soon."""
        self._is_over = True
        self._bell.wake()
