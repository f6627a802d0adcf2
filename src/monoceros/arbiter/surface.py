"""What subclasses of the arbiter override and call, under Gunicorn's names.

A subclass that overrides ``manage_workers`` decides itself when workers come and go; the method of
the base class does what the server does without it. A fork in the middle of a subclass's method
differs from those of the loop in one thing: the child leaves through its frames, by SystemExit.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn, cast

from monoceros.arbiter import startup, supervision
from monoceros.arbiter.obituary import APP_LOAD_ERROR, WORKER_BOOT_ERROR
from monoceros.arbiter.spawn import UNHANDLED, fork_worker, live

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter
    from monoceros.workers.base import Worker

# Methods of Gunicorn's that nothing here would call.
_NEVER_CALLED = frozenset(
    {
        "handle_chld",
        "handle_hup",
        "handle_int",
        "handle_quit",
        "handle_term",
        "handle_ttin",
        "handle_ttou",
        "handle_usr1",
        "handle_usr2",
        "handle_winch",
        "init_signals",
        "maybe_promote_master",
        "murder_workers",
        "reap_workers",
        "reexec",
        "reload",
        "setup",
        "signal",
        "signal_chld",
        "wait_for_signals",
    }
)


class Surface:
    """Mixed into the arbiter; see its attributes."""

    WORKER_BOOT_ERROR = WORKER_BOOT_ERROR
    APP_LOAD_ERROR = APP_LOAD_ERROR

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        ignored = sorted(_NEVER_CALLED & vars(cls).keys())
        if ignored and not cls.__module__.startswith("monoceros."):
            raise TypeError(
                f"{cls.__qualname__} overrides {', '.join(ignored)}, which this arbiter never "
                "calls. A subclass may override manage_workers, spawn_worker, kill_worker and "
                "start; hooks of the configuration are called for everything else."
            )

    @property
    def is_managed(self) -> bool:
        """Whether a subclass decides when workers come and go."""
        return type(self).manage_workers is not Surface.manage_workers

    @property
    def worker_class(self) -> type[Worker]:
        """The class of the workers that are forked now."""
        return self._server.current.worker_class

    @property
    def _server(self) -> Arbiter:
        return cast("Arbiter", self)

    def start(self) -> None:
        """Open the listening sockets, with all that comes before and after."""
        startup.start(self._server)

    def manage_workers(self) -> None:
        """Fork the workers that are missing, and let those go who are too many.

        Called when a worker has died, after a signal, and once a second else.
        """
        server = self._server
        server.retire_leavers()
        while (worker := server.next_worker()) is not None:
            self._fork(worker)

    def spawn_worker(self) -> int:
        """Fork one worker now and return its process id; 0 where that is not possible.

        One beyond ``num_workers`` is the successor of the oldest, which leaves once it is ready.
        """
        server = self._server
        serving = server.children.serving(server.current.number)
        if serving and len(serving) >= server.num_workers:
            serving[0].is_replaced = True
        worker = server.make_worker()
        return 0 if worker is None else self._fork(worker)

    def spawn_workers(self) -> None:
        """Fork as many workers as are missing."""
        server = self._server
        while len(server.children.serving(server.current.number)) < server.num_workers:
            if not self.spawn_worker():
                return

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal to a worker; one that ends it counts as leaving from now on."""
        server = self._server
        child = server.children.find(pid)
        if child is None:
            return
        if sig == signal.SIGTERM:
            supervision.retire(server, child)
        elif sig in (signal.SIGQUIT, signal.SIGINT, signal.SIGKILL):
            supervision.retire(server, child, quick=True)
            if sig == signal.SIGKILL:
                child.hurry(time.monotonic())
        else:
            supervision.send(child, sig)

    def kill_workers(self, sig: int) -> None:
        """Send a signal to all workers, as ``kill_worker`` does."""
        for pid in tuple(self._server.WORKERS):
            self.kill_worker(pid, sig)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Have the server end at once; the loop does it."""
        if reason:
            self._server.log.info("Reason: %s", reason)
        self._server.stopping.begin(quick=True, code=exit_status)

    def stop(self, graceful: bool = True) -> None:
        """Have the server end; the loop does it."""
        self._server.stopping.begin(quick=not graceful)

    def wakeup(self) -> None:
        """Have the loop look at what is to be done."""
        self._server.signals.wakeup.wake()

    def _fork(self, worker: Worker) -> int:
        if fork_worker(self._server, worker):
            self._live_here(worker)
        return worker.pid if isinstance(worker.pid, int) else 0

    def _live_here(self, worker: Worker) -> NoReturn:
        try:
            live(self._server, worker)
        except SystemExit:
            raise
        except BaseException:  # the border of the process: the arbiter's frames are above
            traceback.print_exc()
            sys.exit(UNHANDLED)
