"""Waiting for descriptors: epoll where there is one, the best of ``selectors`` elsewhere."""

from __future__ import annotations

import select
import selectors
from typing import TYPE_CHECKING, Protocol

from monoceros.unpatched import epoll, poll

if TYPE_CHECKING:
    from collections.abc import Iterable

_BATCH = 64  # descriptors dealt with before signals, timeouts and new connections get a look


class Poller(Protocol):
    """A set of descriptors, each watched for one thing."""

    def add(self, fd: int) -> None:
        """Watch a descriptor of this process for input."""

    def add_output(self, fd: int) -> None:
        """Watch a descriptor of this process for room for output."""

    def add_shared(self, fd: int) -> None:
        """Watch a listener that other processes watch too for connections."""

    def watch_input(self, fd: int) -> None:
        """Watch for input, and for nothing else."""

    def watch_output(self, fd: int) -> None:
        """Watch for room for output, and for nothing else."""

    def remove(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""

    def fileno(self) -> int:
        """Return the descriptor that is readable while something is ready."""

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return what is ready, waiting for at most ``timeout_s`` seconds."""

    def close(self) -> None:
        """Let go of the descriptors."""


class WidePoller(Poller, Protocol):
    """One whose descriptors may be watched for both."""

    OUTPUT: int  # among the events of ``poll``; all others are of input, or of the end

    def watch(self, fd: int, reads: bool, writes: bool) -> None:
        """Watch for input, for room for output, for both, or for nothing but the end."""


class EpollPoller:
    """Level-triggered epoll(7): no system call per request beyond the poll itself."""

    OUTPUT = getattr(select, "EPOLLOUT", 0)

    def __init__(self) -> None:
        self._epoll = epoll()

    def add(self, fd: int) -> None:
        """Watch a descriptor of this process for input."""
        self._epoll.register(fd, select.EPOLLIN)

    def add_output(self, fd: int) -> None:
        """Watch a descriptor of this process for room for output."""
        self._epoll.register(fd, select.EPOLLOUT)

    def add_shared(self, fd: int) -> None:
        """Watch a listener that other processes watch too for connections."""
        # One connection wakes one process that is waiting, not all of them.
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def watch_input(self, fd: int) -> None:
        """Watch for input, and for nothing else."""
        self._epoll.modify(fd, select.EPOLLIN)

    def watch_output(self, fd: int) -> None:
        """Watch for room for output, and for nothing else."""
        self._epoll.modify(fd, select.EPOLLOUT)

    def watch(self, fd: int, reads: bool, writes: bool) -> None:
        """Watch for input, for room for output, for both, or for nothing but the end."""
        self._epoll.modify(fd, select.EPOLLIN * reads | select.EPOLLOUT * writes)

    def remove(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        self._epoll.unregister(fd)

    def fileno(self) -> int:
        """Return the descriptor that is readable while something is ready."""
        return self._epoll.fileno()

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return what is ready, waiting for at most ``timeout_s`` seconds."""
        return self._epoll.poll(timeout_s, _BATCH)

    def close(self) -> None:
        """Let go of the descriptors."""
        self._epoll.close()


class SelectorPoller:
    """The same by ``selectors``, for systems without epoll."""

    OUTPUT = selectors.EVENT_WRITE

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def add(self, fd: int) -> None:
        """Watch a descriptor of this process for input."""
        self._selector.register(fd, selectors.EVENT_READ)

    def add_output(self, fd: int) -> None:
        """Watch a descriptor of this process for room for output."""
        self._selector.register(fd, selectors.EVENT_WRITE)

    def add_shared(self, fd: int) -> None:
        """Watch a listener that other processes watch too for connections."""
        self.add(fd)

    def watch_input(self, fd: int) -> None:
        """Watch for input, and for nothing else."""
        self._selector.modify(fd, selectors.EVENT_READ)

    def watch_output(self, fd: int) -> None:
        """Watch for room for output, and for nothing else."""
        self._selector.modify(fd, selectors.EVENT_WRITE)

    def watch(self, fd: int, reads: bool, writes: bool) -> None:
        """Watch for input, for room for output, for both, or for nothing."""
        events = selectors.EVENT_READ * reads | selectors.EVENT_WRITE * writes
        if fd not in self._selector.get_map():
            if events:
                self._selector.register(fd, events)
        elif events:
            self._selector.modify(fd, events)
        else:
            self._selector.unregister(fd)

    def remove(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def fileno(self) -> int:
        """Return the descriptor that is readable while something is ready."""
        return self._selector.fileno()

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return what is ready, waiting for at most ``timeout_s`` seconds."""
        return [(key.fd, events) for key, events in self._selector.select(timeout_s)]

    def close(self) -> None:
        """Let go of the descriptors."""
        self._selector.close()


def ready_now(wanted: Iterable[tuple[int, int]]) -> list[int]:
    """Return those descriptors that are ready for the events of poll(2) given with them."""
    poller = poll()
    for fd, events in wanted:
        poller.register(fd, events)
    return [fd for fd, _ in poller.poll(0)]


def make_poller() -> WidePoller:
    """Return the best poller of this system."""
    return EpollPoller() if hasattr(select, "EPOLLEXCLUSIVE") else SelectorPoller()
