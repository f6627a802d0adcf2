"""The arbiter's side of ``reload``: the process that watches files, and what it tells.

The watcher is a process of its own because the arbiter forks, and has to stay free of the
threads and of the blocking file systems that watching brings. It has no state worth keeping:
it is ended by SIGKILL, and where it ends by itself another one is started, which the workers
tell everything again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from monoceros.arbiter.title import set_title
from monoceros.arbiter.watchnews import CHANGED, WARNING, Plan, send_news, split_news
from monoceros.errors import ConfigError
from monoceros.identity import program
from monoceros.net import owner
from monoceros.unpatched import fork, read, set_handler, waitpid
from monoceros.workers.modules import Board, Modules, module_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.arbiter.loop import Arbiter
    from monoceros.config import Config

PACKAGE = "watchfiles"
NEWS_SIZE = 65536
PIPE_SIZE = 1 << 20  # the modules of a large application fit, so that nothing is told late
FIRST_S = 0.1  # from the end of a watcher to the next, doubled while they end soon
LONGEST_S = 30.0
SETTLED_S = 10.0
# What a watcher that ends may have left undone: its longest interval and a burst.
UNSEEN_NS = 12 * 10**9

# From a terminal, a service manager or a shell these come to all processes of the server. The
# watcher leaves it to the arbiter what they mean.
IGNORED = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)


class Watching:
    """The watcher as long as the configuration in force asks for one."""

    def __init__(self, server: Arbiter) -> None:
        self._server = server
        self._board = Board()
        self._plan: Plan | None = None
        self._reports: tuple[int, int] | None = None  # read and write end; kept once made
        self._news = -1
        self._text = b""
        self._pid = 0
        self._born = 0.0
        self._start_at: float | None = None
        self._failures = 0
        self._since_ns: int | None = None
        self._leaving: set[int] = set()

    # -- for the arbiter's loop

    def follow(self) -> None:
        """Start, stop or replace the watcher as the configuration in force has it."""
        cfg = self._server.cfg
        plan = make_plan(cfg) if cfg.reload else None
        if plan == self._plan:
            return
        self.stop()
        self._plan = plan
        self._since_ns = None
        if plan is not None:
            self._start()

    def descriptors(self) -> Iterator[int]:
        """Yield what to poll for reading."""
        if self._news >= 0:
            yield self._news

    def next_due(self) -> float | None:
        """Return when the next watcher is to be started, None where none is."""
        return self._start_at

    def attend(self, now: float) -> None:
        """Take in what the watcher tells, or its end; times are ``time.monotonic()``."""
        self.follow()
        if self._news >= 0:
            self._receive(now)
        if self._start_at is not None and now >= self._start_at:
            self._start()

    def stop(self) -> None:
        """End the watcher."""
        self._start_at = None
        self._text = b""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._leaving.add(self._pid)
            self._pid = 0
        if self._news >= 0:
            os.close(self._news)
            self._news = -1

    def reap(self) -> None:
        """Take leave of watchers that have ended; called at every turn."""
        for pid in tuple(self._leaving):
            try:
                gone, _ = waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                gone = pid  # a hook waited for any child
            if gone:
                self._leaving.discard(pid)

    # -- for workers

    def equip(self, generation: int) -> Modules | None:
        """Return what a worker is to report its modules with, None without ``reload``."""
        if self._plan is None or self._reports is None:
            return None
        return Modules(self._reports[1], self._board, generation)

    def outdate(self, generation: int) -> None:
        """Let the workers of a generation know that their code is what they are replaced for."""
        self._board.changed = generation

    def release(self) -> None:
        """In a worker, close what only the arbiter uses."""
        if self._news >= 0:
            os.close(self._news)
        if self._reports is not None:
            os.close(self._reports[0])
            if self._plan is None:
                os.close(self._reports[1])

    # -- the process

    def _start(self) -> None:
        assert self._plan is not None
        now = time.monotonic()
        self._start_at = None
        try:
            self._pid, self._news = self._fork(self._plan)
        except OSError as error:
            self._server.log.error("Cannot start a watcher: %s", error)
            self._retry(now)
            return
        self._born = now
        os.set_blocking(self._news, False)
        self._server.log.debug("Watching files with pid: %s", self._pid)

    def _fork(self, plan: Plan) -> tuple[int, int]:
        if self._reports is None:
            self._reports = _open_reports()
        news, news_end = os.pipe()
        self._board.watcher += 1
        try:
            with self._server.signals.blocked():
                pid = fork()
                if not pid:
                    self._become(plan, self._reports[0], news_end)
        except OSError:
            os.close(news)
            raise
        finally:
            os.close(news_end)
        return pid, news

    def _become(self, plan: Plan, reports: int, news: int) -> None:
        # Whatever happens in the child must not get back into the arbiter's frames.
        try:
            from monoceros.arbiter.watcher import watch

            for signum in IGNORED:
                set_handler(signum, signal.SIG_IGN)
            cut_off({2, reports, news})
            cfg = self._server.cfg
            set_title(program(cfg.compat), "watcher", self._server.proc_name)
            owner.become(cfg.uid, cfg.gid, initgroups=cfg.initgroups)
            watch(plan, self._server.pid, reports, news, self._since_ns)
        except Exception as error:  # the border of the process
            with contextlib.suppress(OSError):
                text = f"The watcher failed: {type(error).__name__}: {error}"
                send_news(news, WARNING, text)
        finally:
            os._exit(0)

    def _receive(self, now: float) -> None:
        try:
            data = read(self._news, NEWS_SIZE)
        except BlockingIOError:
            return
        whole, end, self._text = (self._text + data).rpartition(b"\0")
        for kind, text in split_news(whole + end):
            self._take(kind, text)
        if not data:
            self._bury(now)

    def _take(self, kind: str, text: str) -> None:
        log = self._server.log
        if kind != CHANGED:
            log.warning("%s", text)
            return
        count, _, path = text.partition(" ")
        others = f" (and {int(count) - 1} more)" if count != "1" else ""
        log.info("Worker reloading: %s modified%s", path, others)
        if path in set(module_files(list(sys.modules.values()))):
            log.warning(
                "%s is in use in the master process too: SIGHUP reads a configuration file "
                "again, anything else takes a restart",
                path,
            )
        self._server.reload.renew()

    def _bury(self, now: float) -> None:
        self._server.log.warning("Watcher (pid:%s) is gone, another one is started", self._pid)
        if now - self._born >= SETTLED_S:
            self._failures = 0
        self.stop()
        self._since_ns = time.time_ns() - UNSEEN_NS
        self._retry(now)

    def _retry(self, now: float) -> None:
        self._start_at = now + min(FIRST_S * 2.0 ** min(self._failures, 30), LONGEST_S)
        self._failures += 1


def check(cfg: Config) -> None:
    """Raise ConfigError where the engine that is asked for is not there."""
    if cfg.reload and cfg.reload_engine == "inotify" and not _has_package():
        raise ConfigError(
            f"reload_engine 'inotify' needs the package {PACKAGE}: pip install "
            f"'monoceros[reload]'. Set in: {cfg.origin('reload_engine')}."
        )


def preloads(cfg: Config) -> bool:
    """Whether the application is to be imported before the fork: never where it may change."""
    return cfg.preload_app and not cfg.reload


def make_plan(cfg: Config) -> Plan:
    """Return what a configuration asks to be watched."""
    entries = (os.path.join(cfg.cwd, entry) for entry in cfg.reload_extra_files)  # noqa: PTH118
    return Plan(cfg.reload_engine, tuple(entries))


def cut_off(kept: set[int]) -> None:
    """Point all descriptors but the given ones to nowhere.

    They stay open, so that an object which closes its own late closes nobody else's.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208
    except OSError:
        numbers = list(range(64))
    for number in numbers:
        if number not in kept and number != null:
            os.dup2(null, number, inheritable=False)


def _has_package() -> bool:
    from importlib.util import find_spec

    return find_spec(PACKAGE) is not None


def _open_reports() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    if sys.platform == "linux":
        # More than the system allows is refused, and the pipe stays as it is.
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return read_end, write_end
