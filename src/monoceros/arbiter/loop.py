"""The arbiter: the one loop of the parent process.

Theory of operation. ``run`` turns a loop of three steps: handle what has happened (``_turn``),
fork what is missing, and sleep until a descriptor is readable or something is due. Nothing in
it blocks. Deaths, readiness and signals come through descriptors in one poll: pidfds where the
system has them, a pipe for each booting child, and the wake-up pipe. Only ``run`` itself forks,
see ``spawn``. What happens inside hooks and the logs is up to their authors.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

from monoceros import identity
from monoceros.arbiter import sizing, startup, supervision, timeouts
from monoceros.arbiter.backoff import Backoff
from monoceros.arbiter.children import Children
from monoceros.arbiter.generation import Generation
from monoceros.arbiter.handoff import Handoff
from monoceros.arbiter.metrics import Metrics
from monoceros.arbiter.notify import Notifier
from monoceros.arbiter.oom import Oom
from monoceros.arbiter.pidfile import Pidfile
from monoceros.arbiter.places import Places
from monoceros.arbiter.recycling import Recycling
from monoceros.arbiter.reload import Reload
from monoceros.arbiter.signals import Signals
from monoceros.arbiter.spawn import fork_worker, live
from monoceros.arbiter.stacks import Stacks
from monoceros.arbiter.stopping import Stopping
from monoceros.arbiter.succession import Demand, choose_leavers, count_missing
from monoceros.arbiter.surface import Surface
from monoceros.arbiter.title import set_title
from monoceros.arbiter.upgrade import Upgrade
from monoceros.arbiter.watching import Watching
from monoceros.errors import HaltServer, MonocerosError
from monoceros.net import closing, listeners
from monoceros.net.inherited import Borrowed
from monoceros.scoreboard import Scoreboard
from monoceros.unpatched import poll as make_poll
from monoceros.workers import hooks
from monoceros.workers.failure import format_application_error
from monoceros.workers.hooks import HookError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from monoceros.config import Config
    from monoceros.config.addresses import Address
    from monoceros.log.logger import Logger
    from monoceros.workers.application import Source
    from monoceros.workers.base import Worker

SLOTS = 16384  # at least so many scoreboard records; untouched ones take no memory
T = TypeVar("T")

MANAGE_S = 1.0  # how often ``manage_workers`` of a subclass is called where nothing happens
CROWDED_S = 60.0  # how long no more workers are tried once all records are taken
MAKE_RETRY_S = 1.0
UNHANDLED = 255


class Arbiter(Surface):
    """The parent process of all workers.

    The attributes in Gunicorn's spelling are what hooks see as ``server``.
    """

    def __init__(self, app: Source) -> None:
        """Open the logs; raises ConfigError."""
        cfg = app.configuration()
        self.log: Logger = cfg.logger_class(cfg)
        self.first_cfg = cfg
        self.pid = os.getpid()
        self.children = Children()
        self.backoff = Backoff()
        self.signals = Signals()
        self.metrics = Metrics()
        self.oom = Oom()
        self.reload = Reload(self)
        self.watching = Watching(self)
        self.recycling = Recycling(self)
        self.places = Places(self)
        self.handoff = Handoff(self)
        self.stacks = Stacks()
        self.stopping = Stopping(self)
        self.upgrade = Upgrade(self)
        most = 4 * cfg.workers * cfg.worker_class.count_records(cfg)
        self.scoreboard = Scoreboard(max(SLOTS, most))
        self.current = Generation(1, cfg, app, cfg.worker_class, cfg.workers, [])
        self.worker_age = 0
        self.WORKERS: dict[int, Worker] = {}
        self.master_name = "Master"
        self.master_pid = 0
        self.reexec_pid = 0
        self.systemd = False
        self.notifier = Notifier(self)
        self._pidfile: Pidfile | None = None
        self.was_ready = False  # whether any worker ever was
        self._manage_at = 0.0  # time.monotonic()

    # -- what hooks see

    @property
    def cfg(self) -> Config:
        """The configuration in force."""
        return self.current.cfg

    @property
    def app(self) -> Source:
        """The application; imported here only with ``preload_app``."""
        return self.current.app

    @property
    def address(self) -> list[Address]:
        """Where the server was asked to listen."""
        return self.cfg.address

    @property
    def timeout(self) -> int:
        """The setting, in seconds."""
        return self.cfg.timeout

    @property
    def proc_name(self) -> str:
        """The name in process titles."""
        return (self.cfg.proc_name or self.cfg.default_proc_name or "") + self.upgrade.suffix

    @property
    def LISTENERS(self) -> list[socket.socket]:
        """The listening sockets."""
        return self.current.sockets

    @property
    def num_workers(self) -> int:
        """How many workers there are to be."""
        return self.current.wanted

    @num_workers.setter
    def num_workers(self, value: int) -> None:
        self.set_wanted(value, self.current.wanted)

    def set_wanted(self, value: int, before: int | None) -> None:
        """Change the number of workers and tell the hook, which gets None as the very first."""
        self.current.wanted = value
        self.call_hook("nworkers_changed", self, value, before)

    def make_application(self, cfg: Config) -> Source:
        """Return the next configuration's application, not yet imported."""
        return self.app.again(cfg)

    def call_hook(self, name: str, *args: object) -> None:
        """Call a hook; what it raises is logged, or raised until a worker was ever ready."""
        if self.was_ready or self.stopping.is_under_way:
            hooks.try_call(self.cfg, self.log, name, *args)
        else:
            hooks.call(self.cfg, name, *args)

    # -- life

    def run(self) -> NoReturn:
        """Serve until told to stop, then exit the process; in a child, be a worker."""
        self._start_or_exit()
        while True:
            if self.is_managed:
                self._guard(self._manage)
            else:
                # Nothing but these calls may stand around the fork: the child leaves through here.
                while (worker := self._guard(self.next_worker)) is not None:
                    if fork_worker(self, worker):
                        live(self, worker)
            self._guard(self._turn)

    def _manage(self) -> None:
        now = time.monotonic()
        if now >= self._manage_at and not self.stopping.is_final:
            self._manage_at = now + MANAGE_S
            self.manage_workers()

    def _guard(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except HookError as error:
            self.log.error("%s", error)
            reason = "A hook failed before any worker was ready."
            self.stopping.begin(quick=True, code=1, reason=reason)
            return None
        except HaltServer as halt:
            self.log.error("%s", halt.reason)
            self.stopping.begin(quick=True, code=halt.exit_status, reason=halt.reason)
            return None
        except Exception:  # the last border: workers must not be left without an arbiter
            self.log.exception("Unhandled exception in the arbiter")
            if self.stopping.is_final:
                self.stopping.abandon(UNHANDLED)
            self.stopping.begin(quick=True, code=UNHANDLED, reason="Unhandled exception.")
            return None

    def _start_or_exit(self) -> None:
        try:
            self.start()
            return
        except startup.StopRequested:
            code = 0
        except (MonocerosError, HookError) as error:
            self.log.error("%s", error)
            code = 1
        except HaltServer as halt:
            self.log.error("%s", halt.reason)
            code = halt.exit_status
        except Exception as error:  # the border around start hooks and a preloaded application
            self.log.error("Exception at start\n%s", format_application_error(error))
            code = 1
        self.close_listeners(self.LISTENERS)
        self.remove_pidfile()
        sys.exit(code)

    def adopt_names(self, heir_of: int = 0) -> None:
        """Take on the title and the pid file of the configuration; raises PidfileError.

        A pid file of the process ``heir_of`` is taken over.
        """
        set_title(identity.program(self.cfg.compat), "master", self.proc_name)
        old, path = self._pidfile, self.cfg.pidfile
        new = Pidfile(path + self.upgrade.suffix) if path else None
        if new is not None:
            new.create(self.pid, heir_of)
        self._pidfile = new
        if old is not None and (new is None or new.path != old.path):
            old.remove(self.pid)

    def remove_pidfile(self) -> None:
        """Remove the pid file, if there is one and it is ours."""
        if self._pidfile is not None:
            self._pidfile.remove(self.pid)

    def _turn(self) -> None:
        """Sleep, then handle everything that has happened and everything that is due."""
        readable = self._sleep()
        signums = self.signals.take()
        now = time.monotonic()
        supervision.receive_news(self, now)
        supervision.welcome_silent(self, now)
        every = signal.SIGCHLD in signums
        dead = [child for child in self.children if every or child.pidfd in readable]
        if dead or signums:
            self._manage_at = 0.0
        supervision.reap(self, dead, now)
        self.watching.reap()
        self.upgrade.reap()
        self.upgrade.attend(readable)
        for signum in signums:
            self._handle(signum)
        self.handoff.advance()
        self._measure(now)
        timeouts.advance(self, now)
        supervision.remind_booting(self, now)
        supervision.kill_late(self, now)
        if self.stopping.is_under_way:
            self.stopping.advance(now)
        else:
            self.watching.attend(now)
            self.reload.advance(now)
        if not self.stopping.is_final:
            self.recycling.advance(now)
            if not self.is_managed:
                self.retire_leavers()
        self.notifier.advance(now)

    def _measure(self, now: float) -> None:
        sizing.advance(self)
        self.metrics.report_workers(self.log, len(self.children))
        if self.cfg.enable_backlog_metric:
            self.metrics.report_backlog(self.log, self.all_sockets(), now)

    # -- children

    @property
    def demand(self) -> Demand:
        """Which workers there are to be."""
        return Demand(
            self.current.number, self.num_workers, self.current.surge, self.reload.is_atomic
        )

    def _is_short(self) -> bool:
        if self.stopping.is_final:
            return False
        held = self.backoff.count_held(time.monotonic())
        return count_missing(self.children, self.demand, held) > 0

    def next_worker(self) -> Worker | None:
        """Return a worker to be forked, None where there are enough for now."""
        if not self._is_short():
            return None
        try:
            return self.make_worker()
        except (Exception, SystemExit) as error:
            # The border around worker classes, which may be the user's.
            if self.reload.previous is None and not self.was_ready:
                raise
            self._give_up_making(error)
            return None

    def _give_up_making(self, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        text = format_application_error(error)
        if self.reload.previous is not None:
            self.reload.roll_back(f"a new worker cannot be made: {reason}\n{text}")
        else:
            self.log.error("Cannot make a worker: %s\n%s", reason, text)
            self.backoff.hold(time.monotonic() + MAKE_RETRY_S)

    def make_worker(self) -> Worker | None:
        """Return a worker to be forked, None where there is no room for its records."""
        worker_class = self.current.worker_class
        records = worker_class.count_records(self.cfg)
        slot = self.children.free_run(records, self.scoreboard.slots)
        if slot is None:
            most = self.scoreboard.slots // records
            self.log.error("No more than %d workers can run at once", most)
            self.backoff.hold(time.monotonic() + CROWDED_S)
            return None
        self.worker_age += 1
        place = self.places.choose()
        worker = worker_class(
            self.worker_age,
            self.pid,
            self.places.equip(place),
            self.app,
            self.timeout / 2,
            self.cfg,
            self.log,
        )
        worker.take_records(self.scoreboard, slot, records)
        worker.place = place
        worker.modules = self.watching.equip(self.current.number)
        if not worker_class.is_ready_to_run:
            worker.open_tmp()
        elif not worker_class.serves_asgi:
            worker.overflow = self.handoff.equip()
        self._mark_alive()
        self.call_hook("pre_fork", self, worker)
        return worker

    def _mark_alive(self) -> None:
        # Hooks that give numbers to workers look for those that are still wanted.
        wanted = {child.pid for child in self.children.serving(self.current.number)}
        for pid, worker in self.WORKERS.items():
            worker.alive = pid in wanted

    def retire_leavers(self) -> None:
        """Let those go who have successors, and those who are too many."""
        leavers = choose_leavers(self.children, self.demand)
        # Workers look at the listeners when they are told to leave.
        self.places.tidy(leavers)
        for child in leavers:
            supervision.retire(self, child)

    def all_sockets(self) -> list[socket.socket]:
        """Return the listeners of the current generation and of the one it replaces."""
        previous = self.reload.previous
        replaced = previous.sockets if previous else []
        return list(dict.fromkeys([*self.LISTENERS, *replaced, *self.places.sockets]))

    def owns(self, sock: socket.socket) -> bool:
        """Whether nobody but this server uses a socket, so that it may be changed."""
        return not (isinstance(sock, Borrowed) or self.upgrade.shares(sock))

    def close_listeners(self, sockets: Iterable[socket.socket]) -> None:
        """Close listeners, and remove their files unless another master has use for them.

        Workers that still have these find out that they are to empty the queues, see ``closing``.
        With a socket go those that other workers have in its place.
        """
        all_places = (one for sock in sockets for one in (sock, *self.places.release(sock)))
        for sock in dict.fromkeys(all_places):
            if self.owns(sock):
                closing.refuse_newcomers(sock)
            listeners.close([sock], unlink=self.upgrade.may_unlink(sock))

    # -- waiting

    def _sleep(self) -> set[int]:
        """Wait until something has happened or is due; return the readable descriptors."""
        # Hooks may have taken the wake-up descriptor away, and a signal with it.
        self.signals.wakeup.claim()
        poll = make_poll()
        poll.register(self.signals.wakeup, select.POLLIN)
        for fd in (*self.watching.descriptors(), *self.upgrade.descriptors()):
            poll.register(fd, select.POLLIN)
        for child in self.children:
            for fd in (child.news_fd, child.pidfd):
                if fd >= 0:
                    poll.register(fd, select.POLLIN)
        return {fd for fd, _ in poll.poll(0 if self.signals.has() else self._milliseconds_left())}

    def _milliseconds_left(self) -> int | None:
        due = [
            self.stopping.next_due(),
            self.children.next_due(),
            self.stacks.next_due(),
            self.metrics.next_due(self.cfg.enable_backlog_metric),
            self.notifier.next_due(),
            self.upgrade.next_due(),
        ]
        # What nobody attends to any more would be due for ever.
        if not self.stopping.is_final:
            due += [self.backoff.next_due(), self.recycling.next_due()]
        if not self.stopping.is_under_way:
            due += [self.reload.give_up_at, self.watching.next_due()]
        if self.is_managed:
            due.append(self._manage_at)
        times = [moment for moment in due if moment is not None]
        if not times:
            return None
        return max(0, math.ceil((min(times) - time.monotonic()) * 1000))

    # -- signals

    def _handle(self, signum: int) -> None:
        name = signal.Signals(signum).name.removeprefix("SIG").lower()
        if signum == signal.SIGCHLD:
            self.log.debug("Handling signal: %s", name)
            if self.pid == 1:
                supervision.reap_adopted(self)
            return
        self.log.info("Handling signal: %s", name)
        if signum == signal.SIGTERM:
            self.stopping.begin()
        elif signum in (signal.SIGINT, signal.SIGQUIT):
            self.stopping.interrupt()
        elif signum == signal.SIGUSR1:
            self.log.reopen_files()
            supervision.reopen_logs(self)
        elif not self.stopping.is_under_way:
            self._handle_while_serving(signum)

    def _handle_while_serving(self, signum: int) -> None:
        if signum == signal.SIGHUP:
            self.log.info("Hang up: %s", self.master_name)
            self.reload.begin()
        elif signum == signal.SIGTTIN:
            self.num_workers += 1
        elif signum == signal.SIGTTOU and self.num_workers > 1:
            self.num_workers -= 1
        elif signum == signal.SIGWINCH:
            self._let_workers_go()
        elif signum == signal.SIGUSR2:
            self.upgrade.begin()

    def _let_workers_go(self) -> None:
        if self.cfg.daemon:
            self.log.info("graceful stop of workers")
            self.current.unmeasured = False
            self.num_workers = 0
        else:
            # Terminals send it whenever they change their size.
            self.log.debug("SIGWINCH ignored. Not daemonized")
