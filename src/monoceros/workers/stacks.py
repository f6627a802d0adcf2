"""The worker's half of stack dumps: what the signals of ``arbiter.stacks`` do.

``faulthandler`` writes from a handler in C, so stacks come out whatever the interpreter is doing,
also while an extension holds the GIL. They go to a descriptor that the arbiter opened, because
applications redirect their standard error. ``faulthandler.enable`` of an application is about
other signals.

Where the GIL is disabled, CPython dumps the current thread only.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal


def _pick() -> tuple[int, int] | None:
    """Choose two signals that neither the C library nor applications use."""
    first, last = getattr(signal, "SIGRTMIN", None), getattr(signal, "SIGRTMAX", None)
    if first is not None and last is not None and first + 12 <= last:
        return first + 11, first + 12
    others = getattr(signal, "SIGEMT", None), getattr(signal, "SIGINFO", None)
    return (others[0], others[1]) if others[0] and others[1] else None


_PICKED = _pick()
SIGNALS: tuple[int, ...] = _PICKED or ()

# The main thread only, which is the one that the kernel gives signals to. The frames of other
# threads may change while they are read, which has crashed interpreters: a process that is to
# live on is asked for no more than this.
MAIN_THREAD: int | None = _PICKED and _PICKED[0]
ALL_THREADS: int | None = _PICKED and _PICKED[1]


def register(fd: int) -> None:
    """Have the signals write stacks to ``fd``, which has to stay open.

    The default action is death: they have to be blocked from before the fork until now.
    """
    # A worker without stacks is better than none.
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        for signum in SIGNALS:
            faulthandler.register(signum, fd, all_threads=signum == ALL_THREADS, chain=False)
    # Processes that the application forks are none that anybody asks.
    os.register_at_fork(after_in_child=_let_go)


def _let_go() -> None:
    for signum in SIGNALS:
        faulthandler.unregister(signum)
