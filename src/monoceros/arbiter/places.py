"""Sockets of each worker's own, which ``reuse_port`` asks for.

Theory of operation. The kernel spreads the newcomers of a port over all sockets that listen there
with SO_REUSEPORT, and what waits in the queue of one is lost when it is closed. So sockets belong
to places, of which there are as many as workers are wanted, and not to workers: whoever follows a
worker gets its place, be it after a reload, a recycling or a death, and both have its sockets
while one replaces the other. The arbiter keeps them open, so that a queue outlives its worker.

Place 0 has the sockets that every server has, those of its ``Generation``. The sockets of
another place are made when a worker is forked for it, and begin to listen when that is ready: the
kernel passes them over until then. A place that is not wanted any more loses its sockets as any
listener does, see ``net.closing``: newcomers are refused, and its last worker empties the queue.

A socket is shared by all places where it has no port, where somebody else will go on to use it,
and where it was opened without SO_REUSEPORT, by another master or another configuration.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from monoceros.net import listeners
from monoceros.net.inherited import Borrowed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.arbiter.children import Child
    from monoceros.arbiter.loop import Arbiter


class Places:
    """Which sockets the worker of which place has."""

    def __init__(self, server: Arbiter) -> None:
        self._server = server
        # By the socket of place 0, and then by the place.
        self._own: dict[socket.socket, dict[int, socket.socket]] = {}

    @property
    def sockets(self) -> list[socket.socket]:
        """The sockets of all places but the first, in the order of the places."""
        return [own[place] for own in self._own.values() for place in sorted(own)]

    def choose(self) -> int:
        """Return the place of the next worker: the lowest that is free or about to be."""
        if not self._is_spreading():
            return 0
        serving = self._server.children.serving(self._server.current.number)
        taken = {child.place for child in serving}
        return next(place for place in range(len(taken) + 1) if place not in taken)

    def equip(self, place: int) -> list[socket.socket]:
        """Return the sockets for a worker, in the order of its generation's."""
        return [self._find(sock, place) for sock in self._server.LISTENERS]

    def adopt(self, given: Iterable[socket.socket]) -> None:
        """Take over the sockets of another master's places; what has no use is closed."""
        for sock in given:
            first = self._find_first(sock)
            if first is None:
                sock.close()
            else:
                own = self._own.setdefault(first, {})
                own[len(own) + 1] = sock

    def release(self, first: socket.socket) -> list[socket.socket]:
        """Forget the sockets that belong to one of place 0, and return them to be closed."""
        own = self._own.pop(first, {})
        return [own[place] for place in sorted(own)]

    def tidy(self, leavers: Iterable[Child]) -> None:
        """Give up the places that nobody holds and nobody will, before these are told to leave."""
        if not self._own:
            return
        server = self._server
        wanted = max(1, server.num_workers) if self._is_spreading() else 1
        going = {child.pid for child in leavers}
        staying = [c for c in server.children if c.is_serving and c.pid not in going]
        held = {child.place for child in staying}
        for own in self._own.values():
            for place in [one for one in own if one >= wanted and one not in held]:
                server.close_listeners([own.pop(place)])
        self._move_down(staying, wanted)

    def _move_down(self, staying: Iterable[Child], wanted: int) -> None:
        """Have workers replaced that hold a place beyond those wanted, since a lower one is free.

        So it is where the number of workers was lowered while one was missing.
        """
        server = self._server
        if server.reload.previous is None:
            for child in staying:
                if child.place >= wanted and child.is_ready:
                    child.is_replaced = True

    def _is_spreading(self) -> bool:
        return any(map(self._is_divisible, self._server.LISTENERS))

    def _is_divisible(self, sock: socket.socket) -> bool:
        """Whether there may be more sockets like this one of place 0."""
        return (
            self._server.cfg.reuse_port
            # Elsewhere the last one to listen may get all connections.
            and sys.platform == "linux"
            and sock.family != socket.AF_UNIX
            and not isinstance(sock, Borrowed)
            and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
        )

    def _find(self, first: socket.socket, place: int) -> socket.socket:
        if not place or not self._is_divisible(first):
            return first
        own = self._own.setdefault(first, {})
        if place not in own:
            try:
                own[place] = listeners.join(first)
            except OSError as error:
                where = listeners.format_address(first)
                self._server.log.warning("A worker shares %s with others: %s", where, error)
                return first
        return own[place]

    def _find_first(self, sock: socket.socket) -> socket.socket | None:
        if sock.fileno() < 0:
            return None
        key = (sock.family, sock.getsockname())
        return next(
            (
                first
                for first in self._server.LISTENERS
                if self._is_divisible(first) and (first.family, first.getsockname()) == key
            ),
            None,
        )
