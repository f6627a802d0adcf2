"""Signals that come at the moment of a fork.

A new process has the handlers of the one it was forked from until it lets go of them, and a
signal in that time would be taken by a handler that no longer means anything: the process whose
application has just ended it would live on. So signals wait until the child is itself.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def hold_signals(signums: Iterable[int], let_go: Callable[[], None]) -> None:
    """Block signals around every fork from now on, whoever forks; the child calls ``let_go``.

    There is no way back, in children neither, where ``let_go`` is called once more for each fork.
    """
    held = frozenset(signums)
    masks: dict[int, Iterable[int]] = {}  # of threads that fork right now

    def block() -> None:
        masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, held)

    def restore() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop(threading.get_ident()))

    def restore_in_child() -> None:
        try:
            let_go()
        finally:
            restore()

    os.register_at_fork(before=block, after_in_parent=restore, after_in_child=restore_in_child)
