"""Where a worker's connections come from: the listeners, and siblings that are too busy.

Theory of operation. Listeners are shared with the other workers, and whoever the kernel wakes
accepts at once: an exclusive wake-up that is not followed by an accept is lost for everybody. A
process whose threads are all at work steps aside: it watches nothing of this, so that the kernel
wakes others, after it has taken in what was waiting already and may have been announced to nobody
else. When it steps back, the poller looks anew, and finds whatever was missed meanwhile.
"""

from __future__ import annotations

import errno
import heapq
import select
import time
from functools import partial
from typing import TYPE_CHECKING

from monoceros.http import accept
from monoceros.http.types import AGAIN
from monoceros.net.closing import is_ending, is_shut
from monoceros.scoreboard import count_moves
from monoceros.workers.lateness import ready_among
from monoceros.workers.poller import ready_now
from monoceros.workers.timeouts import is_idle

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from monoceros.http import Core
    from monoceros.net.overflow import Moved, Overflow
    from monoceros.workers.poller import Poller
    from monoceros.workers.reactor import Reactor

_ACCEPT_PAUSE_S = 1.0
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CROWDED = 64  # the part of all connections that makes room at a time
FULL_PAUSE_S = 0.05  # how often a full worker looks whether one more would find room
_ALL = 1 << 31


class Intake:
    """Takes at most ``burst`` connections per wake-up off the listeners, and moved ones singly."""

    def __init__(
        self,
        reactor: Reactor,
        poller: Poller,
        listeners: list[socket.socket],
        overflow: Overflow | None,
        *,
        limit: int,
        burst: int,
        shares_listeners: bool,
        warn: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._poller = poller
        self._overflow = overflow
        self._limit = limit
        self._burst = burst
        self._shares_listeners = shares_listeners
        self._warn = warn
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._acceptors = {
            fd: self._make_acceptor(listener) for fd, listener in self._listeners.items()
        }
        self._watched: set[int] = set()
        self._is_aside = False
        self._takes_moved = False  # without the listeners
        self.is_held_up = False
        self._accept_after = 0.0
        for fd in self._listeners:
            reactor.handlers[fd] = partial(self._accept, fd)
        if overflow is not None:
            reactor.handlers[overflow.fileno()] = self._take
        self.start()

    @property
    def listens(self) -> bool:
        """Whether there are listeners that this worker may still take connections from."""
        return bool(self._listeners)

    def _fds(self) -> list[int]:
        return [*self._listeners, *([] if self._overflow is None else [self._overflow.fileno()])]

    # -- watching ----------------------------------------------------------------------------

    def start(self) -> None:
        """Watch, as far as this process is there for newcomers."""
        for fd in self._fds():
            if fd not in self._watched and not (self._is_aside and self._is_shared(fd)):
                self._watched.add(fd)
                self._poller.add_shared(fd)

    def stop(self) -> None:
        """Stop watching; what waits is the siblings'."""
        for fd in self._watched:
            self._poller.remove(fd)
        self._watched.clear()

    def _is_shared(self, fd: int) -> bool:
        """Whether siblings take from it too."""
        return self._shares_listeners or fd not in self._listeners

    def step_aside(self, core: Core) -> None:
        """Leave newcomers to others, but those that have come, and those to a place of its own."""
        if self._watched and not self._is_aside:
            self.stop()
            self._is_aside = True
            self.start()
            self.take_in(core)

    def take_in(self, core: Core) -> None:
        """Take in what has come since, where nobody else can see to it either."""
        if self._is_aside and not self.is_held_up:
            for fd in self._listeners:
                self._acceptors[fd](core, _ALL)
            while self._take_one(core):
                pass

    def step_back(self) -> None:
        """Be there for newcomers again."""
        if self._is_aside:
            self._is_aside = False
            if not self.is_held_up:
                self.start()

    def hold_up(self) -> None:
        """Leave newcomers alone until there is room."""
        self.is_held_up = True
        self.stop()

    def resume(self, now: float) -> None:
        """Watch again, as soon as a connection would find room."""
        if now >= self._accept_after and self._has_room():
            self.is_held_up = False
            self.start()

    # -- taking ------------------------------------------------------------------------------

    def _accept(self, fd: int, core: Core) -> int:
        self._acceptors[fd](core, self._burst)
        return AGAIN

    def _make_acceptor(self, listener: socket.socket) -> Callable[[Core, int], int]:
        """Return what accepts up to so many connections, and tells how many they were."""
        local = listener.getsockname()
        reactor = self._reactor

        def accept_some(core: Core, most: int) -> int:
            for taken in range(most):
                if self._is_full() and not self._make_room(listener):
                    return taken
                try:
                    accepted = accept(listener)
                except OSError as error:
                    if error.errno in _EXHAUSTED and self._make_room(listener):
                        continue
                    if _is_awaited(listener):
                        self._pause(error)
                    return taken
                if accepted is None:
                    if not taken and is_shut(listener):
                        self.stop()  # its events would not end
                    return taken
                reactor.admit(core, accepted[0], accepted[1], local)
            return most

        return accept_some

    def _pause(self, error: object) -> None:
        """Leave the queue alone for a moment: out of descriptors, most likely."""
        self._warn(f"Cannot accept a connection, trying again in a second: {error}")
        self._accept_after = time.monotonic() + _ACCEPT_PAUSE_S
        self.hold_up()

    def _make_room(self, listener: socket.socket) -> bool:
        """Have a connection closed if somebody waits; False where none was."""
        if not _is_awaited(listener):
            return False
        if self._close_oldest():
            return True
        self.hold_up()
        return False

    def _take(self, core: Core) -> int:
        self._take_one(core)
        return AGAIN

    def _take_one(self, core: Core) -> Moved | None:
        """Take over a connection that a sibling has no thread for."""
        overflow = self._overflow
        if overflow is None:
            return None
        if self._is_full() and not self._close_oldest():
            self.hold_up()
            return None
        moved = overflow.take()
        if moved is None:
            if overflow.lacks_descriptors:
                self._pause("no descriptor is free")
            return None
        if core.scoreboard_record is not None:
            count_moves(core.scoreboard_record, given=0, taken=1)
        self._reactor.admit_moved(core, moved)
        return moved

    # -- room --------------------------------------------------------------------------------

    def _is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self._reactor) >= self._limit

    def _has_room(self) -> bool:
        """Whether one more connection would find room, or somebody's who is idle."""
        return not self._is_full() or any(map(is_idle, list(self._reactor.conns.values())))

    def _close_oldest(self) -> bool:
        """Close what has been idle for longest; False where nothing closes."""
        conns = self._reactor.conns
        idle = [(conn.since, fd) for fd, conn in list(conns.items()) if is_idle(conn)]
        oldest = [fd for _, fd in heapq.nsmallest(1 + self._limit // _CROWDED, idle)]
        # What a thread has closed since is none of these.
        here = [(fd, conn) for fd in oldest if (conn := conns.get(fd)) is not None]
        busy = set(ready_among(here))
        quiet = [one for one in here if one[0] not in busy]
        for one in quiet:
            self._reactor.close_one(*one)
        return bool(quiet)

    # -- the end -----------------------------------------------------------------------------

    def drain(self, *, abandoned: bool) -> None:
        """Leave the listeners that others go on with; the rest is taken from by hand.

        ``abandoned`` by the arbiter, there are no others as far as one can know.
        """
        self.is_held_up = False
        self.stop()
        self._is_aside = False
        for fd, listener in list(self._listeners.items()):
            if not abandoned and not is_ending(listener):
                self._leave(fd)

    def take_moved(self, *, wanted: bool) -> None:
        """Go on to take what siblings have given away, or leave it to those that stay."""
        if self._overflow is not None and wanted != self._takes_moved:
            self._takes_moved = wanted
            if wanted:
                self._poller.add_shared(self._overflow.fileno())
            else:
                self._poller.remove(self._overflow.fileno())

    def take_last(self, core: Core) -> bool:
        """Whether there was still something in the queue that siblings gave it to."""
        return self._takes_moved and self._take_one(core) is not None

    def take_from_queues(self, core: Core, most: int) -> int:
        """Accept up to ``most`` connections from each queue; tells how many they were."""
        if time.monotonic() < self._accept_after:
            return 0
        return sum([self._acceptors[fd](core, most) for fd in tuple(self._listeners)])

    def take_all_and_leave(self, core: Core) -> None:
        """Take in what has come, and close the listeners in this process."""
        self.stop()
        if self._listeners:
            self.take_from_queues(core, _ALL)
            self.leave_listeners()

    def leave_listeners(self) -> None:
        """Close the listeners in this process."""
        for fd in tuple(self._listeners):
            self._leave(fd)

    def abandon(self) -> None:
        """Close the listeners in a child that the application forked."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._watched.clear()
        self._is_aside = False

    def _leave(self, fd: int) -> None:
        del self._reactor.handlers[fd], self._acceptors[fd]
        self._listeners.pop(fd).close()


def _is_awaited(listener: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    return bool(ready_now([(listener.fileno(), select.POLLIN)]))
