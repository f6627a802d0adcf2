"""The end of the server: from the signal that asks for it to the exit of the process.

Theory of operation. A graceful stop has three phases. For ``shutdown_delay`` the server is a lame
duck: it accepts and answers as before, but each answer ends its connection, so that whoever
sends requests here has time to learn that it should not. Then the listeners refuse newcomers,
and workers are told to empty the queues, to answer what they have, and to leave (see
``net.closing`` and ``workers.sync``). At the end of ``graceful_timeout`` those that are still
there are killed. INT and QUIT do without the first phase and give workers a moment only; once
more, and workers are killed at once. Those that not even this ends, because a system call never
returns, are then left behind.

A listener that somebody else uses too is closed and nothing else, see ``Arbiter.owns``: what
waits in its queue is for the others, or for the next server on it.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from monoceros.arbiter import supervision
from monoceros.arbiter.obituary import REASONS
from monoceros.workers import hooks

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter


LEAVE_S = 2.0  # from the last word to the end: what dies has died by then


class Stop(NamedTuple):
    """How the server ends."""

    code: int
    reason: str


class Stopping:
    """The way out, of which there is one; it may get quicker, never slower."""

    def __init__(self, server: Arbiter) -> None:
        self._server = server
        self._stop: Stop | None = None
        self._delay_until: float | None = None  # while the server is a lame duck
        self._leave_at: float | None = None  # whoever is still there
        self.is_quick = False  # workers get a moment only

    @property
    def is_under_way(self) -> bool:
        """Whether the server is on its way out, be it as a lame duck."""
        return self.is_final or self._delay_until is not None

    @property
    def is_final(self) -> bool:
        """Whether workers have been told to leave and no others are wanted."""
        return self._stop is not None

    @property
    def is_halting(self) -> bool:
        """Whether the server is stopping because its workers cannot start."""
        return self._stop is not None and self._stop.code in REASONS

    def begin(self, *, quick: bool = False, code: int = 0, reason: str = "") -> None:
        """Have all workers leave; the loop ends when they are gone. Quick overrides graceful.

        A graceful stop begins with ``shutdown_delay``; asked for again, it ends that.
        """
        if self._stop is None:
            delay = 0 if quick or self.is_under_way else self._server.cfg.shutdown_delay
            if delay and any(child.was_ready for child in self._server.children):
                self._become_lame_duck(delay)
            else:
                self._dismiss(Stop(code, reason), quick)
        elif quick and not self.is_quick:
            self.is_quick = True
            self._retire_all()

    def interrupt(self) -> None:
        """Stop quickly; once more, or when that was of no use, and workers are killed and left."""
        children = self._server.children
        is_stuck = self.is_final and all(child.killed for child in children)
        if not (self.is_quick or is_stuck):
            self.begin(quick=True)
            return
        now = time.monotonic()
        if self._leave_at is None:
            self._leave_at = now + LEAVE_S
        for child in children:
            child.hurry(now)

    def halt(self, code: int) -> None:
        """Give up: no worker was ever able to start."""
        self.begin(quick=True, code=code, reason=REASONS[code])

    def advance(self, now: float) -> None:
        """Go a step further; exits the process once all workers are gone."""
        if self._stop is not None:
            is_over = self._leave_at is not None and now >= self._leave_at
            if is_over or not self._server.children:
                self._exit(self._stop)
        elif self._delay_until is not None and now >= self._delay_until:
            self._dismiss(Stop(0, ""), quick=False)

    def next_due(self) -> float | None:
        """Return when to go on, None where only an event can tell."""
        if self._stop is None:
            return self._delay_until
        return self._leave_at if self._server.children else 0.0

    def abandon(self, code: int) -> NoReturn:
        """Leave although even stopping failed."""
        for child in self._server.children:
            supervision.send(child, signal.SIGKILL)
        self._server.remove_pidfile()
        sys.exit(code)

    def _become_lame_duck(self, seconds: int) -> None:
        server = self._server
        self._delay_until = time.monotonic() + seconds
        server.notifier.stop_began(seconds + server.cfg.graceful_timeout)
        server.watching.stop()
        if server.reload.previous is not None:
            server.reload.roll_back("the server is about to stop")
        server.scoreboard.lame_duck = True
        server.log.info(
            "Serving for another %s seconds (shutdown_delay); answers end their connections",
            seconds,
        )

    def _dismiss(self, stop: Stop, quick: bool) -> None:
        server = self._server
        self._stop = stop
        self.is_quick = quick
        seconds = supervision.QUICK_S if quick else server.cfg.graceful_timeout
        server.notifier.stop_began(seconds, stop.reason)
        server.watching.stop()
        # First of all: workers look at the listeners when they are told to leave.
        server.close_listeners(server.all_sockets())
        self._retire_all()

    def _retire_all(self) -> None:
        for child in self._server.children:
            supervision.retire(self._server, child, quick=self.is_quick)

    def _exit(self, stop: Stop) -> NoReturn:
        server = self._server
        for child in server.children:
            server.log.error(
                "Leaving worker (pid:%s) behind, which SIGKILL does not end", child.pid
            )
        if stop.code:
            server.log.error("Shutting down: %s", server.master_name)
            if stop.reason:
                server.log.error("Reason: %s", stop.reason)
        else:
            server.log.info("Shutting down: %s", server.master_name)
        server.handoff.end()
        server.remove_pidfile()
        hooks.try_call(server.cfg, server.log, "on_exit", server)
        server.notifier.leave()
        sys.exit(stop.code)
