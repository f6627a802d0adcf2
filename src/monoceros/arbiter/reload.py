"""Reload: from one generation of workers to the next, and back where that fails.

While successors boot the arbiter has a previous generation beside the current one, whose workers
serve on (see ``succession``). Anything that goes wrong in that time, from a configuration that
does not load to a worker that does not boot, makes the previous one the current one again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from monoceros.arbiter import sizing, startup, supervision, surge, timeouts, unchanged, watching
from monoceros.arbiter.generation import Generation
from monoceros.config.surroundings import go_back, reenter
from monoceros.errors import MonocerosError
from monoceros.net import listeners, owner
from monoceros.workers import hooks

if TYPE_CHECKING:
    import socket

    from monoceros.arbiter.children import Child
    from monoceros.arbiter.loop import Arbiter
    from monoceros.config import Config
    from monoceros.workers.application import Source

SHORTEST_PATIENCE_S = 60.0  # for new workers that neither become ready nor die
_REMEDY = "Mend that, or change the configuration, and send SIGHUP again"
BOOT_SLACK_S = 5.0  # from the reload's begin to the last fork
# What successors get while nobody serves, from their fork: so many times what the old ones took.
URGENT_PATIENCE = 2.0
URGENT_SLACK_S = 1.0


class Reload:
    """The movement from one generation to the next, of which there is at most one at a time."""

    def __init__(self, server: Arbiter) -> None:
        self._server = server
        self.previous: Generation | None = None
        self.give_up_at: float | None = None
        self._number = 1  # of the last generation
        self._ready = 0  # successors, as far as they were seen
        self._boot_s: float | None = None  # what the old workers took to boot
        self._code_changed = False  # since the previous generation
        self._search_path: list[str] = []  # before the configuration was loaded
        self._is_marred = False  # whether something could not be undone
        self._decided_for: int | None = None  # how many workers the surge is for

    @property
    def is_atomic(self) -> bool:
        """Whether no ready worker is let go before all successors are ready."""
        server = self._server
        # Signals may ask for more workers meanwhile.
        has_room = server.current.surge >= (self._decided_for or server.num_workers)
        return self.previous is not None and (has_room or self._code_changed)

    def begin(self) -> None:
        """Load the configuration and make it the current one, or log why not."""
        server = self._server
        code_changed = self.previous is not None and self._code_changed
        if self.previous is not None:
            self.roll_back("another one was asked for")
        server.notifier.reload_began()
        old = server.current
        self._search_path = sys.path[:]
        self._is_marred = False
        try:
            new = self._prepare(old)
        except BaseException as error:
            # The border around the configuration file and the application's import.
            sys.path[:] = self._search_path
            extent = "everything else" if self._is_marred else "everything"
            if isinstance(error, MonocerosError):
                server.log.error("Reload failed, %s stays as it was: %s", extent, error)
            else:
                server.log.exception("Reload failed, %s stays as it was", extent)
            server.notifier.reload_ended(str(error) or type(error).__name__)
            if code_changed:
                self.renew()
            return
        self.previous = old
        self._boot_s = server.children.longest_boot()
        self._code_changed = False
        self._ready = 0
        self._wait_for(new)
        server.current = new
        startup.log_remarks(server)
        unchanged.warn(server.log, server.first_cfg, server.cfg)
        server.num_workers = sizing.begin(server, server.children.serving(old.number))
        server.current.surge = surge.decide(server)
        self._decided_for = None if server.current.unmeasured else server.num_workers
        server.backoff.clear()
        hooks.try_call(server.cfg, server.log, "on_reload", server)

    def renew(self) -> None:
        """Replace all workers, by such of the same configuration that import the code anew.

        A movement under way goes on with other successors: these may have seen the old code.
        """
        server, old = self._server, self._server.current
        server.current = old.renew(self._next_number(), server.make_application(old.cfg))
        if self.previous is None:
            self.previous = old
            self._boot_s = server.children.longest_boot()
            self._code_changed = True
        else:
            for child in server.children.serving(old.number):
                supervision.retire(server, child)
        self._ready = 0
        self._wait_for(server.current)
        server.backoff.clear()

    def advance(self, now: float) -> None:
        """End the movement when all successors are ready, or when they take too long."""
        server = self._server
        if self.previous is None or self.give_up_at is None:
            return
        ready = server.children.count_ready(server.current.number)
        # Without room for a worker more, a successor is not forked before its place is free.
        waits_for_room = not server.current.surge and server.children.draining()
        if ready > self._ready or waits_for_room:
            self._wait_for(server.current)
            self._ready = ready
        is_urgent = self._is_urgent()
        if is_urgent:
            self.give_up_at = min(self.give_up_at, self._find_urgent_end(now))
        if ready >= server.num_workers:
            self.commit()
        elif now >= self.give_up_at:
            timeouts.ask_booting(server, server.current.number, now)
            urgent = "the new ones take longer to boot than they did"
            self.roll_back(urgent if is_urgent else "the new workers do not become ready")

    def _is_urgent(self) -> bool:
        """Whether nobody serves any more, although old workers did when this began."""
        server = self._server
        if self._boot_s is None or not server.current.surge:
            return False
        return not any(child.is_ready for child in server.children)

    def _find_urgent_end(self, now: float) -> float:
        """Return by when the first successor ought to be ready, going by the old ones."""
        serving = self._server.children.serving(self._server.current.number)
        born = min([child.born for child in serving], default=now)
        return born + URGENT_PATIENCE * (self._boot_s or 0.0) + URGENT_SLACK_S

    def covers(self, child: Child) -> bool:
        """Whether a child is one of the successors in a reload that is under way."""
        return self.previous is not None and child.generation == self._server.current.number

    def commit(self) -> None:
        """Retire the old workers and what only they used."""
        server, old = self._server, self.previous
        assert old is not None
        self.previous = self.give_up_at = None
        if self._code_changed:
            server.watching.outdate(old.number)
        server.close_listeners(_without(old.sockets, server.current.sockets))
        server.retire_leavers()
        try:
            server.adopt_names()
        except MonocerosError as error:
            server.log.error("%s", error)
        if server.current.sockets != old.sockets:
            startup.log_listeners(server)
        count = server.num_workers
        server.log.info("Reloaded: %d new worker%s ready", count, " is" if count == 1 else "s are")
        server.notifier.reload_ended()

    def roll_back(self, reason: str) -> None:
        """Bring the previous generation back."""
        server, old, new = self._server, self.previous, self._server.current
        assert old is not None
        self.previous = self.give_up_at = None
        server.current = old
        is_served = server.children.count_ready(old.number)
        kept = "the old workers keep serving" if is_served else "no old worker is left"
        server.log.error("Reload given up, %s: %s", kept, reason)
        if new.cfg is not old.cfg:
            self._undo_settings(old.cfg, new.cfg)
        server.close_listeners(_without(new.sockets, old.sockets))
        server.set_wanted(old.wanted, new.wanted)
        server.backoff.clear()
        # Old ones that have left by now are missed first, and the new ones serve until then.
        server.retire_leavers()
        server.notifier.reload_ended(reason)

    def _prepare(self, old: Generation) -> Generation:
        server = self._server
        cfg = old.cfg.again()
        owner.check(cfg)
        watching.check(cfg)
        worker_class = cfg.worker_class
        startup.set_up(worker_class, cfg)
        sockets = _reuse_listeners(server, old, cfg)
        with contextlib.ExitStack() as undo:
            undo.callback(server.close_listeners, _without(sockets, old.sockets))
            reenter(old.cfg, cfg)
            undo.callback(self._undo_settings, old.cfg, cfg)
            app = self._load_application(old, cfg)
            server.log.setup(cfg)
            server.log.reopen_files()
            undo.pop_all()
        return Generation(self._next_number(), cfg, app, worker_class, old.wanted, sockets)

    def _undo_settings(self, old: Config, new: Config) -> None:
        """Restore what is outside of ``Generation``; what cannot be is logged, and stays."""
        log = self._server.log
        steps = [
            (f"the directory {old.chdir!r}", partial(os.chdir, old.chdir)),
            ("the environment", partial(go_back, new, old, self._search_path)),
        ]
        if log.cfg is not old:
            steps.append(("the logs", partial(log.setup, old)))
        for what, restore in steps:
            try:
                restore()
            except (Exception, SystemExit) as error:
                # The border around loggers, which may be the user's; the rest has to be restored.
                self._is_marred = True
                log.error("The reload cannot be undone for %s: %s. %s", what, error, _REMEDY)

    def _load_application(self, old: Generation, cfg: Config) -> Source:
        if watching.preloads(cfg) and watching.preloads(old.cfg):
            self._server.log.info(
                "preload_app: the code is not imported anew on HUP; SIGUSR2 starts a new master"
            )
            return old.app  # its modules are loaded for good
        app = self._server.make_application(cfg)
        if watching.preloads(cfg):
            app.wsgi()
        return app

    def _wait_for(self, new: Generation) -> None:
        # Their own ``boot_timeout`` comes first, because it tells where they hang.
        cfg = new.cfg
        own = cfg.boot_timeout and cfg.boot_timeout + BOOT_SLACK_S
        self.give_up_at = time.monotonic() + (own or max(cfg.timeout, SHORTEST_PATIENCE_S))

    def _next_number(self) -> int:
        # None is given twice: a worker of a reload that was given up may still be there.
        self._number += 1
        return self._number


def _reuse_listeners(server: Arbiter, old: Generation, cfg: Config) -> list[socket.socket]:
    """Return a listener for each address; only those for new addresses are made."""
    if server.systemd:
        return old.sockets
    known = old.listeners
    made: list[socket.socket] = []
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        undo.callback(listeners.close, made)
        for address in cfg.address:
            sock = known.get(address)
            if sock is None:
                # One attempt: the loop must not sleep, and the old sockets are there.
                sock = listeners.create_one(address, cfg, server.log)
                made.append(sock)
            sockets.append(sock)
        undo.pop_all()
    server.upgrade.note_files(made)
    return sockets


def _without(sockets: list[socket.socket], kept: list[socket.socket]) -> list[socket.socket]:
    return [sock for sock in sockets if sock not in kept]
