"""Taking connections off the listeners of an ASGI worker."""

from __future__ import annotations

import errno
import select
import socket
from typing import TYPE_CHECKING, Any

from monoceros.http import accept
from monoceros.net.closing import is_ending, is_shut
from monoceros.workers.descriptors import move_up
from monoceros.workers.intake import FULL_PAUSE_S
from monoceros.workers.poller import ready_now

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from monoceros.asgi.connection import Connection
    from monoceros.asgi.service import Service
    from monoceros.workers.asgi.sockets import Sockets

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_S = 1.0
_FRESH_S = 1.0  # within which a client sends what it has come for
_ALL = 1 << 31


def _only_name(listener: socket.socket) -> Any:
    """Return the address that all connections have here; None where they have several."""
    name = listener.getsockname()
    return None if name and name[0] in ("0.0.0.0", "::") else name


class Intake:
    """Takes at most ``burst`` connections at a time, and has at most ``limit`` of them.

    With siblings one at a time is right: whoever has least to do comes back first.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sockets,
        make: Callable[[], Connection],
        listeners: list[socket.socket],
        *,
        limit: int,
        burst: int,
        warn: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._make = make
        self._listeners = list(listeners)
        self._limit = limit
        self._burst = burst
        self._warn = warn
        self._names = {one: name for one in listeners if (name := _only_name(one))}
        self._is_watching = False
        self._is_resting = False  # there was no descriptor a moment ago
        self._is_over = False
        self.service: Service

    def __len__(self) -> int:
        return len(self.service.connections)

    def start(self) -> None:
        """Watch the listeners."""
        if not (self._is_watching or self._is_resting or self._is_over):
            self._is_watching = True
            for listener in self._listeners:
                self._loop.add_reader(listener.fileno(), self._accept, listener, self._burst)

    def stop(self) -> None:
        """Leave newcomers alone."""
        if self._is_watching:
            self._is_watching = False
            for listener in self._listeners:
                self._loop.remove_reader(listener.fileno())

    def has_room(self) -> None:
        """Hear that a connection has gone."""
        if len(self) < self._limit:
            self.start()

    # -- the end -----------------------------------------------------------------------------

    def leave(self) -> list[socket.socket]:
        """Close the listeners that others go on with; returns those that we have to empty."""
        self.stop()
        self._is_over = True
        ending = [one for one in self._listeners if is_ending(one)]
        for listener in self._listeners:
            if listener not in ending:
                listener.close()
        self._listeners = ending
        return ending

    def empty_queues(self) -> None:
        """Take in all who wait."""
        for listener in self._listeners:
            self._accept(listener, _ALL)

    def close(self) -> None:
        """Close the listeners in this process."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    # -- taking ------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket, most: int) -> None:
        for taken in range(most):
            if len(self) >= self._limit and not self._make_room(listener):
                return
            try:
                accepted = accept(listener)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                return
            if accepted is None:
                if not taken and is_shut(listener):
                    self.stop()  # its events would not end
                return
            self._admit(listener, *accepted)

    def _admit(self, listener: socket.socket, fd: int, remote: Any) -> None:
        kind = socket.SOCK_STREAM
        sock = socket.socket(listener.family, kind, listener.proto, fileno=move_up(fd))
        try:
            local = self._names.get(listener) or sock.getsockname()
        except OSError:  # its client has gone already
            sock.close()
            return
        self._sockets.open(sock, self._make(), remote, local)

    def _make_room(self, listener: socket.socket) -> bool:
        """Have an idle connection closed if somebody waits; False where none was."""
        if not ready_now([(listener.fileno(), select.POLLIN)]):
            return False
        if self._close_idle():
            return True
        self.stop()
        self._loop.call_later(FULL_PAUSE_S, self._look_again)
        return False

    def _close_idle(self) -> bool:
        """Close the connection that has been idle for longest, if any is."""
        idle = self._idle()
        if idle:
            min(idle, key=lambda one: one.since).abort()
        return bool(idle)

    def _idle(self) -> list[Connection]:
        """Return the connections that can be closed: no request has come, nor is one on its way."""
        since = self.service.time() - _FRESH_S
        idle = [one for one in self.service.connections if one.is_idle and not one.is_fresh(since)]
        ready = set(ready_now([(one.fileno(), select.POLLIN) for one in idle]))
        return [one for one in idle if one.fileno() not in ready]

    def _look_again(self) -> None:
        """Go on once there is room, or somebody who makes some."""
        if len(self) < self._limit or self._idle():
            self.start()
        elif not (self._is_watching or self._is_over):
            self._loop.call_later(FULL_PAUSE_S, self._look_again)

    def _pause(self, error: OSError) -> None:
        """Make room, or leave the queue alone for a moment: out of descriptors, most likely."""
        if not self._close_idle():
            self._warn(f"Cannot accept a connection, trying again in a second: {error}")
            self.stop()
            self._is_resting = True
            self._loop.call_later(_PAUSE_S, self._end_rest)

    def _end_rest(self) -> None:
        self._is_resting = False
        self.has_room()
