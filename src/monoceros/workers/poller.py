"""Waiting for descriptors: epoll where there is one, the best of ``selectors`` elsewhere."""

from __future__ import annotations

import select
import selectors
from typing import TYPE_CHECKING, Protocol

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

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return what is ready, waiting for at most ``timeout_s`` seconds."""

    def close(self) -> None:
        """Let go of the descriptors."""


class EpollPoller:
    """Level-triggered epoll(7): no system call per request beyond the poll itself."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

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

    def remove(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        self._epoll.unregister(fd)

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return what is ready, waiting for at most ``timeout_s`` seconds."""
        return self._epoll.poll(timeout_s, _BATCH)

    def close(self) -> None:
        """Let go of the descriptors."""
        self._epoll.close()


class SelectorPoller:
    """The same by ``selectors``, for systems without epoll."""

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

    def remove(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        self._selector.unregister(fd)

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Return what is ready, waiting for at most ``timeout_s`` seconds."""
        return [(key.fd, events) for key, events in self._selector.select(timeout_s)]

    def close(self) -> None:
        """Let go of the descriptors."""
        self._selector.close()


def ready_now(wanted: Iterable[tuple[int, int]]) -> list[int]:
    """Return those descriptors that are ready for the events of poll(2) given with them."""
    poller = select.poll()
    for fd, events in wanted:
        poller.register(fd, events)
    return [fd for fd, _ in poller.poll(0)]


def make_poller() -> Poller:
    """Return the best poller of this system."""
    return EpollPoller() if hasattr(select, "EPOLLEXCLUSIVE") else SelectorPoller()
