"""The base of every worker: a child process from its fork to its last request.

Theory of operation. The arbiter builds a Worker, forks, and calls ``init_process`` in the
child, which gives up privileges, takes over signals, loads the application, tells the arbiter
through ``news_fd`` that it is ready, and calls ``run``, which a subclass writes. ``run``
serves while ``alive``, calls ``notify`` and looks at ``is_orphan`` about once a second, and
returns when it has drained.

Signals: TERM asks for a graceful end, and only clears ``alive`` once the worker has booted. QUIT
and INT end the worker where it stands, by ``StopWorker`` raised from the handler, as TERM does
before; ABRT is the arbiter's timeout; USR1 reopens the logs. The handlers run between two
bytecodes of the main thread; the wake-up descriptor only ends a poll. A StopWorker that got lost
is raised again by the next signal. A ``run`` that calls ``heed_stop`` looks itself: StopWorker is
raised where it does not do so soon, and once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from monoceros.errors import MonocerosError, StopWorker
from monoceros.net import listeners, owner
from monoceros.net.forks import hold_signals
from monoceros.net.wakeup import Wakeup
from monoceros.scoreboard import Scoreboard, beat
from monoceros.unpatched import get_handler, set_handler
from monoceros.workers import hooks
from monoceros.workers.failure import format_application_error
from monoceros.workers.insistence import raise_again, repeat_later
from monoceros.workers.news import News, tell

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from monoceros.config import Config
    from monoceros.log.logger import Logger
    from monoceros.net.overflow import Overflow
    from monoceros.workers.application import Source
    from monoceros.workers.modules import Modules
    from monoceros.workers.signs import WorkerTmp

    Handler = Callable[[int, FrameType | None], None]

BOOTING = "[booting]"
_HEED_S = 0.1  # how long a loop may take to see that it is to end


class Worker:
    """One child process; Gunicorn's constructor and attribute names, which hooks rely on."""

    # Whether ``timeout`` bounds each call of the application. Else it is about the process, which
    # has to give signs of life while the application runs.
    timeout_is_per_call: ClassVar[bool] = False

    # Whether connections are kept by default under ``compat``, as by Gunicorn's class of the name.
    keeps_connections: ClassVar[bool] = True

    # Whether it has no use for ASGI applications.
    serves_wsgi_only: ClassVar[bool] = False

    # Whether it has no use for others: by its class, or because the application of a worker whose
    # class nobody has chosen turned out to be one.
    serves_asgi: bool = False

    # Whether it is ready when it says so, by ``become_ready``. Else it is from the first ``notify``
    # on that ``run`` makes: classes of others may start a whole event loop and the application in
    # there.
    is_ready_to_run: ClassVar[bool] = False

    # What a worker must not inherit from the arbiter.
    SIGNALS = (
        signal.SIGABRT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
        signal.SIGCHLD,
    )

    def __init__(
        self,
        age: int,
        ppid: int,
        sockets: list[socket.socket],
        app: Source,
        timeout: float,
        cfg: Config,
        log: Logger,
    ) -> None:
        """Run in the arbiter, before the fork: acquires nothing."""
        self.age = age
        self.pid: int | str = BOOTING
        self.ppid = ppid
        self.sockets = sockets
        self.app = app
        self.timeout = timeout
        self.cfg = cfg
        self.log = log
        self.booted = False
        self.aborted = False
        self.report_calls: Callable[[], None] | None = None  # which wait, and on no thread
        self.alive = True
        self.nr = 0
        self.max_requests = _draw_max_requests(cfg)
        self.wsgi: Callable[..., Any] | None = None
        # One of its own, until the arbiter gives it records of everybody's.
        records = self.count_records(cfg)
        self.take_records(Scoreboard(records), 0, records)
        self.place = 0  # whose sockets it has, see ``arbiter.places``
        self.news_fd = -1
        self.wakeup: Wakeup | None = None
        self.modules: Modules | None = None  # what ``reload`` asks for
        self.overflow: Overflow | None = None  # what ``connection_handoff`` asks for
        self.reloader = None  # of Gunicorn's, which a process of its own is in the place of
        self._tmp: WorkerTmp | None = None
        self._is_ready = False  # and the arbiter knows
        self._stop: StopWorker | None = None  # raised, and to be raised again where it gets lost
        self._heeds_stop = False
        self._is_quitting = False  # QUIT or INT has come
        self._raise_at = 0.0  # time.monotonic() before which it is not raised

    @property
    def tmp(self) -> WorkerTmp:
        """Signs of life under Gunicorn's name."""
        if self._tmp is None:
            # Imported late: the server's own classes do without.

            from monoceros.workers import signs

            self._tmp = signs.WorkerTmp(self)
        return self._tmp

    def open_tmp(self) -> None:
        """Open ``tmp`` in the arbiter, which then sees what is done to it after the fork."""
        _ = self.tmp

    def close_tmp(self) -> None:
        """Close what ``tmp`` has opened in this process."""
        if self._tmp is not None:
            self._tmp.close()

    @property
    def PIPE(self) -> list[int]:
        """The descriptors to poll and to write to where signals shall end a poll."""
        return [] if self.wakeup is None else [self.wakeup.fileno(), self.wakeup.write_fd]

    @property
    def wait_fds(self) -> list[socket.socket | int]:
        """What a loop polls for reading."""
        return [*self.sockets, *self.PIPE[:1]]

    def __str__(self) -> str:
        """Return what hooks and configuration files log for a worker."""
        return f"<Worker {self.pid}>"

    @classmethod
    def setup(cls) -> None:
        """Prepare for the fork; runs in the arbiter, at its start and at every reload."""

    @classmethod
    def prepare_import(cls, log: Logger) -> None:
        """Prepare a process in which the application is about to be imported.

        It is the arbiter's where the application is preloaded.
        """

    @classmethod
    def check_config(cls, cfg: Config, log: Logger) -> None:
        """Look at settings that concern this class; runs in the arbiter before the first fork."""

    @classmethod
    def count_records(cls, cfg: Config) -> int:
        """Return how many scoreboard records a worker has: the main thread's, and what it adds."""
        return 1

    def take_records(self, scoreboard: Scoreboard, first: int, count: int) -> None:
        """Have a run of records: the first one is the main thread's, others claim theirs."""
        self.scoreboard = scoreboard
        self.slot_index = first
        self.records = count
        self.slot = scoreboard.slot(first)

    @classmethod
    def describe(cls, cfg: Config) -> str:
        """Say what the log's first line adds about this class, such as the HTTP twin in use."""
        return ""

    def init_process(self) -> None:
        """Become a working process, then ``run``; runs in the child and returns at its end."""
        os.environ.update(self.cfg.env)
        owner.become(self.cfg.uid, self.cfg.gid, initgroups=self.cfg.initgroups)
        self.init_signals()
        if self.cfg.spew:
            from monoceros.workers import spew

            spew.start()
        if self.modules is None:
            self.load_wsgi()
        else:
            self._load_or_stand_in(self.modules)
        hooks.call(self.cfg, "post_worker_init", self)
        self.begin()

    def begin(self) -> None:
        """Go from having the application to serving it, until the end."""
        if not self.serves_asgi:
            self.become_ready()
        self.run()

    def become_ready(self) -> None:
        """Listen, and tell the arbiter that all is there; ``run`` does so where it starts the rest.

        Until then TERM ends the worker where it stands, and a failure is one of its boot.
        """
        listeners.begin(self.sockets, self.cfg.backlog)
        self.booted = True
        if self.is_ready_to_run:
            self._is_ready = True
            self.notify()
            self.tell(News.READY)
        else:
            beat(self.slot, time.monotonic_ns())
            self.tell(News.BOOTED)

    def load_wsgi(self) -> None:
        """Import the application; raises whatever its import raises."""
        self.wsgi = self.app.wsgi()

    def _load_or_stand_in(self, modules: Modules) -> None:
        """Import the application; serve the reason where that fails, until its code changes."""
        modules.begin()
        try:
            self.load_wsgi()
        except StopWorker:
            raise
        except BaseException as error:  # the border around the import
            # One traceback will do for all workers.
            log = self.log.error if modules.add_failure(error) else self.log.debug
            self.stand_in(error, log)
        modules.report()

    def stand_in(self, error: BaseException, log: Callable[..., None]) -> None:
        """Have the reason served in the place of an application that cannot be."""
        from monoceros.wsgi.broken import BrokenApplication

        if isinstance(error, MonocerosError):
            reason = str(error)
            log("%s", reason)
        else:
            reason = format_application_error(error)
            log("Exception in worker process\n%s", reason)
        broken = BrokenApplication(reason)
        self.wsgi = broken.answer if self.serves_asgi else broken

    def init_signals(self) -> None:
        """Take over the signals, with a wake-up descriptor for polls in ``run``."""
        for signum in self.SIGNALS:
            set_handler(signum, signal.SIG_DFL)
        self.wakeup = Wakeup()
        self.wakeup.claim()
        for signum, handler in self._handlers():
            set_handler(signum, handler)
        # C libraries under the application need not know about EINTR.
        signal.siginterrupt(signal.SIGTERM, False)
        signal.siginterrupt(signal.SIGUSR1, False)
        hold_signals(self.SIGNALS, self._let_go)
        raise_again(signal.SIGTERM)

    def run(self) -> None:
        """Serve until not ``alive``."""
        raise NotImplementedError

    def notify(self) -> None:
        """Give a sign of life; the arbiter kills a worker without one for ``cfg.timeout``."""
        beat(self.slot, time.monotonic_ns())
        if not self._is_ready and self.booted:
            self._is_ready = True
            self.tell(News.READY)
        if self.modules is not None:
            self.modules.report()

    def is_parent_alive(self) -> bool:
        """Whether the arbiter is still there."""
        return not self.is_orphan()

    def is_orphan(self) -> bool:
        """Whether the arbiter has gone, so that nobody supervises this process any more."""
        return os.getppid() != self.ppid

    @property
    def is_stopped(self) -> bool:
        """Whether this worker is to leave now."""
        return self._stop is not None

    def heed_stop(self) -> None:
        """Look at ``is_stopped`` oneself from now on, and call ``take_stop``.

        Raises a StopWorker that was lost before.
        """
        self._heeds_stop = True
        if self._stop is not None:
            raise self._stop

    def take_stop(self) -> bool:
        """Have nothing more raised, however often signals insist; whether something was."""
        was_raised = self._raise_at == inf
        self._raise_at = inf
        return was_raised

    def handle_exit(self, signum: int, frame: FrameType | None) -> None:
        """TERM: finish what has been received, then leave; at once where nothing can have been."""
        self.alive = False
        self._end_poll()
        if self._stop is not None or not self.booted:
            self._end(signum)

    def handle_quit(self, signum: int, frame: FrameType | None) -> None:
        """QUIT and INT: leave now, also in the middle of a request."""
        self.alive = False
        # The next one may come while the hook runs.
        was_told, self._is_quitting = self._is_quitting, True
        try:
            if not (was_told and self._heeds_stop):
                hooks.try_call(self.cfg, self.log, "worker_int", self)
        finally:
            self._end(signum)

    def handle_abort(self, signum: int, frame: FrameType | None) -> None:
        """ABRT: the arbiter lost patience, and has logged where this process is."""
        self.alive = False
        self.aborted = True
        try:
            if self.report_calls is not None:
                self._try_to_report(self.report_calls)
            hooks.try_call(self.cfg, self.log, "worker_abort", self)
        finally:
            if self._heeds_stop:
                self._raise_at = inf
            self._stop = StopWorker(1)
            raise self._stop

    def _try_to_report(self, report: Callable[[], None]) -> None:
        try:
            report()
        except Exception:  # border: the reason of the abort is not to be lost to this
            self.log.exception("The calls of worker (pid:%s) cannot be told", self.pid)

    def _end(self, signum: int) -> None:
        """Leave the main thread where it stands, or have it know."""
        self._end_poll()
        if self._stop is None:
            self._stop = StopWorker(0)
            if self._heeds_stop:
                self._raise_at = time.monotonic() + _HEED_S
                # A moment later, so that the time is over then.
                repeat_later(signum, _HEED_S * 1.1)
        if time.monotonic() >= self._raise_at:
            if self._heeds_stop:
                self._raise_at = inf
            raise self._stop

    def _end_poll(self) -> None:
        """End a poll, also where a loop has put a descriptor of its own in the place of ours."""
        if self.wakeup is not None and self.wakeup.write_fd >= 0:
            self.wakeup.wake()

    def handle_usr1(self, signum: int, frame: FrameType | None) -> None:
        """USR1: open the log files again."""
        self.log.reopen_files()

    def handle_winch(self, signum: int, frame: FrameType | None) -> None:
        """WINCH: a terminal changed its size, which is nothing to a server."""

    def _handlers(
        self,
    ) -> tuple[tuple[signal.Signals, Callable[[int, FrameType | None], None]], ...]:
        return (
            (signal.SIGTERM, self.handle_exit),
            (signal.SIGQUIT, self.handle_quit),
            (signal.SIGINT, self.handle_quit),
            (signal.SIGABRT, self.handle_abort),
            (signal.SIGUSR1, self.handle_usr1),
            (signal.SIGWINCH, self.handle_winch),
        )

    def tell(self, news: News) -> None:
        """Tell the arbiter something; nothing where there is none."""
        if self.news_fd >= 0:
            tell(self.news_fd, news)

    def _let_go(self) -> None:
        """In a child that the application forked: leave what is the worker's to it."""
        if self.wakeup is not None:
            self.wakeup.release()
        for signum, handler in self._handlers():
            if get_handler(signum) == handler:
                set_handler(signum, signal.SIG_DFL)
        if self.news_fd >= 0:
            os.close(self.news_fd)
            self.news_fd = -1
        if self.overflow is not None:
            self.overflow.close()


def _draw_max_requests(cfg: Config) -> int:
    if cfg.max_requests <= 0:
        return sys.maxsize
    import random  # it takes a millisecond, and most servers do without

    return cfg.max_requests + random.randint(0, cfg.max_requests_jitter)
