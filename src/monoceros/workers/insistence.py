"""Ending a worker where exceptions get lost.

A signal handler runs wherever the main thread happens to be, and what it raises may not come
through: in a destructor or in the callback of a weak reference, of which imports have some, it is
reported and dropped. So the signal is sent again, and its handler raises again. Where an import
catches whatever comes, the arbiter repeats itself (``supervision.remind_booting``).

A worker with a loop of its own is told in there, and interrupted only where that does not hear.

Threads are started past ``threading``, whose locks the main thread may hold at that moment.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from monoceros.errors import StopWorker
from monoceros.unpatched import get_ident, sleep, start_new_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from sys import UnraisableHookArgs

_SOON_S = 0.01


def end_after(seconds: float, say: Callable[[], None]) -> None:
    """Kill this process if it is still there then, as an arbiter would; says so before."""

    def end() -> None:
        sleep(seconds)
        say()
        os.kill(os.getpid(), signal.SIGKILL)

    start_new_thread(end, ())


def raise_again(signum: signal.Signals) -> None:
    """Have a StopWorker that was dropped raised once more by ``signum``, and not reported.

    To be called on the main thread.
    """
    main = get_ident()
    report = sys.unraisablehook

    def hook(lost: UnraisableHookArgs, /) -> None:
        if isinstance(lost.exc_value, StopWorker):
            _send_later(main, signum, _SOON_S)
        else:
            report(lost)

    sys.unraisablehook = hook


def repeat_later(signum: int, seconds: float) -> None:
    """Have a signal come to the main thread, which calls this, once more."""
    _send_later(get_ident(), signum, seconds)


def _send_later(thread: int, signum: int, seconds: float) -> None:
    def send() -> None:
        sleep(seconds)
        signal.pthread_kill(thread, signum)

    start_new_thread(send, ())
