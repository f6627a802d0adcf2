"""Functions of the system as they are before gevent or eventlet puts its own in their place.

Those let other greenlets run while they wait. What is not a call of the application must not:
it would be in the midst of something when these get there. Whoever waits on behalf of an
application asks ``Policy.wait``, which is the worker's.

The patching may have come first, from a configuration file or a program that hosts the server.
"""

from __future__ import annotations

import sys
from importlib import import_module
from posix import fork, read, waitpid, write  # these are put into ``os``
from typing import TYPE_CHECKING, Any

__all__ = [
    "RLock",
    "Thread",
    "allocate_lock",
    "epoll",
    "fork",
    "get_handler",
    "get_ident",
    "poll",
    "read",
    "set_handler",
    "sleep",
    "socket",
    "socketpair",
    "start_new_thread",
    "waitpid",
    "write",
]


def _original(module: str, name: str) -> Any:
    """Return what a module had by that name before it was patched, None where it has nothing."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched(module):
        return gevent.get_original(module, name)
    if eventlet is not None and eventlet.is_monkey_patched(_EVENTLET_NAMES.get(module, module)):
        return getattr(eventlet.original(module), name, None)
    return getattr(import_module(module), name, None)


# What eventlet calls the patches of a module.
_EVENTLET_NAMES = {"_thread": "thread"}

if TYPE_CHECKING:
    from _thread import RLock, allocate_lock, get_ident, start_new_thread
    from collections.abc import Callable
    from select import epoll, poll
    from signal import getsignal as get_handler
    from signal import signal as set_handler
    from socket import socket, socketpair
    from time import sleep
else:
    epoll = _original("select", "epoll")
    poll = _original("select", "poll")
    set_handler = _original("signal", "signal")
    get_handler = _original("signal", "getsignal")
    sleep = _original("time", "sleep")
    socket = _original("socket", "socket")
    socketpair = _original("socket", "socketpair")
    RLock = _original("_thread", "RLock")
    allocate_lock = _original("_thread", "allocate_lock")
    get_ident = _original("_thread", "get_ident")
    start_new_thread = _original("_thread", "start_new_thread")


class Thread:
    """A thread of the system, which nothing in ``threading`` knows of, nor waits for."""

    def __init__(self, run: Callable[[], object]) -> None:
        self._target = run
        self._lives = allocate_lock()

    def start(self) -> None:
        """Begin."""
        self._lives.acquire()
        start_new_thread(self._run, ())

    def join(self, timeout_s: float) -> None:
        """Wait for its end, not longer than that."""
        if self._lives.acquire(timeout=timeout_s):
            self._lives.release()

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._lives.release()
