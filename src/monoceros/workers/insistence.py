"""Ending a worker where exceptions get lost.

A signal handler runs wherever the main thread happens to be, and what it raises in a destructor or
in the callback of a weak reference is reported and dropped; the machinery of imports has such
callbacks. The exception is raised again then, a moment later, until it comes through.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

from monoceros.errors import StopWorker

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_S = 0.01


def insist_on_stopping(signum: signal.Signals) -> None:
    """Send the main thread ``signum`` whenever a StopWorker got lost, and report none of these.

    The signal's handler is expected to raise it again.
    """
    report = sys.unraisablehook

    def hook(lost: UnraisableHookArgs, /) -> None:
        if not isinstance(lost.exc_value, StopWorker):
            report(lost)
            return
        main = threading.main_thread().ident
        timer = threading.Timer(_AGAIN_S, signal.pthread_kill, (main, signum))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
