"""The ``sync`` worker: the application runs on the main thread, one request at a time.

Applications use signal handlers, event loops and thread-bound libraries there. Slow clients cost
it nothing: the reactor hands it complete requests and keeps what a client has not taken yet. While
a call lasts for longer than a moment, a monitor thread goes on with everything else.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from monoceros.net.wakeup import Wakeup
from monoceros.workers.serving import WsgiWorker

if TYPE_CHECKING:
    from monoceros.config import Config
    from monoceros.workers.monitor import Monitor

_PARTING_S = 1.0  # how long the monitor may take to notice that it is over


class SyncWorker(WsgiWorker):
    """Serves one request at a time."""

    timeout_is_per_call = True
    keeps_connections = False

    @classmethod
    def count_records(cls, cfg: Config) -> int:
        """The main thread has one, and its monitor."""
        return 2

    def run(self) -> None:
        """Serve until asked to leave, then finish what has been received."""
        from monoceros.workers.monitor import Monitor

        if self.wakeup is None:
            raise RuntimeError("run() needs signals; init_process() sets them up")
        core = self._make_core(0)
        reactor = self._make_reactor(core, self.wakeup)
        bell = Wakeup()
        giver = self._make_giver(reactor)
        monitor = Monitor(reactor, self._make_core(1, tends=True), bell, giver)
        helper = _Helper(monitor, bell)
        helper.start()
        try:
            self._tick()
            while self.serve(reactor, core, self.next_tick):
                self._tick()
            self._finish(reactor)
        finally:
            helper.stop()
            with reactor.lock:
                reactor.lead(core)
            helper.join(_PARTING_S)
            reactor.write_log(core)
            reactor.close()


class _Helper(threading.Thread):
    """The thread of a monitor."""

    def __init__(self, monitor: Monitor, bell: Wakeup) -> None:
        super().__init__(name="monoceros-monitor", daemon=True)
        self._monitor = monitor
        self._bell = bell
        self._is_over = False

    def run(self) -> None:
        # Signals are the main thread's, also where they would end a call that waits.
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        while not self._is_over:
            self._monitor.look(None)
            self._bell.drain()

    def stop(self) -> None:
        """Have it end soon."""
        self._is_over = True
        self._bell.wake()
