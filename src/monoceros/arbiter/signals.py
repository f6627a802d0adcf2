"""The arbiter's signals.

Theory of operation. A handler only notes the signal in the memory of its own process; a
descriptor only wakes the loop (see ``net.wakeup``). All signals are blocked from before a fork
until the child, whoever forks it, has let go of handlers and descriptor: ``os.register_at_fork``
does that inside ``os.fork``, so it holds for children of hooks and preloaded applications too.
"""

from __future__ import annotations

import contextlib
import signal
from collections import deque
from typing import TYPE_CHECKING

from monoceros.net.forks import hold_signals
from monoceros.net.wakeup import Wakeup
from monoceros.unpatched import get_handler, set_handler
from monoceros.workers import stacks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

HANDLED = (
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCHLD,
)
COUNTED = frozenset({signal.SIGTTIN, signal.SIGTTOU})


class Signals:
    """Notes the signals of this process for a loop that polls ``wakeup``."""

    def __init__(self) -> None:
        self.wakeup = Wakeup()
        self._noted: deque[int] = deque()
        self._installed = False

    def install(self) -> None:
        """Handle the signals from now on; called once, in the main thread."""
        self.wakeup.claim()
        for signum in HANDLED:
            set_handler(signum, self._note)
        self._installed = True
        hold_signals(HANDLED, self._let_go)

    def take(self) -> list[int]:
        """Return and forget what has come, in order; once each save those that count."""
        self.wakeup.drain()
        taken: list[int] = []
        while self._noted:
            signum = self._noted.popleft()
            if signum in COUNTED or signum not in taken:
                taken.append(signum)
        return taken

    def has(self, *signums: int) -> bool:
        """Whether one of these, or any where none is named, has come and was not taken."""
        return any(not signums or signum in signums for signum in tuple(self._noted))

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """Hold back the signals, in this process and in what it forks, until the end."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (*HANDLED, *stacks.SIGNALS))
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._noted.append(signum)

    def _let_go(self) -> None:
        if not self._installed:
            return
        self._installed = False
        self.wakeup.release()
        for signum in HANDLED:
            if get_handler(signum) == self._note:
                set_handler(signum, signal.SIG_DFL)
        self._noted.clear()
