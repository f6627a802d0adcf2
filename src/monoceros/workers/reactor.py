"""The event loop of a WSGI worker.

Theory of operation. One thread polls the listeners and all connections. A connection's own
``ready`` does everything that its input makes possible, the application call included, and
answers what to wait for next; this loop only follows that answer. It never looks into HTTP.

A connection is in the poller for exactly one thing: input, or room for output while its client
is slow to take a response. It leaves the poller before its descriptor is closed, because a
description that an application's child still holds would go on reporting events.

Listeners are shared with the other workers. Whoever the kernel wakes accepts at once: an
exclusive wake-up that is not followed by an accept is lost for everybody.
"""

from __future__ import annotations

import errno
import heapq
import select
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from monoceros.http import Conn, accept
from monoceros.http.types import (
    AGAIN,
    BODY,
    CLOSE,
    HEAD,
    IDLE,
    LINGER,
    LINGERING,
    MORE,
    UPGRADE,
    WANT_WRITE,
    WRITE,
)
from monoceros.net.closing import is_ending, is_shut
from monoceros.workers.descriptors import move_up, shut_sending
from monoceros.workers.lateness import ready_among
from monoceros.workers.poller import READ, make_poller, ready_now
from monoceros.workers.timeouts import is_idle

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from monoceros.http import Core
    from monoceros.log.access import AccessSink
    from monoceros.net.trust import Trusted
    from monoceros.net.wakeup import Wakeup
    from monoceros.workers.lateness import Lateness

_ACCEPT_PAUSE_S = 1.0
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_FULL_PAUSE_S = 0.05  # how often a full worker looks whether one more would find room
_PARTING_S = 0.5  # how long an idle connection that was shut down is read
_CROWDED = 64  # the part of all connections that makes room at a time


class Reactor:
    """Connections of one worker, and the listeners they come from.

    At most ``limit`` connections are held, and at most ``burst`` accepted per wake-up.
    """

    def __init__(
        self,
        core: Core,
        listeners: list[socket.socket],
        *,
        limit: int,
        burst: int,
        lateness: Lateness,
        trusted: Trusted,
        access: AccessSink | None,
        wakeup: Wakeup,
        warn: Callable[[str], None],
        report: Callable[[str], None],
    ) -> None:
        self._core = core
        self._limit = limit
        self._burst = burst
        self._lateness = lateness
        self._trusted = trusted
        self._access = access
        self._wakeup = wakeup
        self._warn = warn
        self._report = report
        self._poller = make_poller()
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._accepting = False
        self._is_held_up = False
        self._accept_after = 0.0
        self._handlers: dict[int, Callable[[], int]] = {}
        self._conns: dict[int, Conn] = {}
        self._more: dict[int, None] = {}
        self._parting: dict[int, float] = {}  # idle connections, and when they were shut down
        self._acceptors: dict[int, Callable[[int], int]] = {}
        core.policy.release = self._poller.remove
        core.flush_log = self.write_log
        self._poller.add(wakeup.fileno())
        self._handlers[wakeup.fileno()] = self._wake
        for fd in self._listeners:
            self._acceptors[fd] = self._make_acceptor(self._listeners[fd])
            self._handlers[fd] = partial(self._accept, fd)
        self.start_accepting()

    def __len__(self) -> int:
        return len(self._conns)

    # -- the loop ----------------------------------------------------------------------------

    def run_once(self, timeout_s: float) -> None:
        """Wait for events, at most ``timeout_s`` seconds, and deal with them."""
        if self._is_held_up:
            timeout_s = min(timeout_s, _FULL_PAUSE_S)
        events = self._poller.poll(0 if self._more else timeout_s)
        now = time.monotonic()
        self._core.tick(now)
        if self._more:
            # Connections with unused input get another turn.
            events = [(fd, READ) for fd in self._more] + events
            self._more = {}
        handlers = self._handlers
        for fd, _ in events:
            # A descriptor may have gone since the poll, by a connection that made room.
            handler = handlers.get(fd)
            if handler is None:
                continue
            try:
                code = handler()
            except Exception:  # border: a fault of ours costs a connection, not the worker
                code = self._give_up()
            if code:
                self._follow(fd, code)
        self.write_log()
        if self._is_held_up:
            self._resume_accepting(now)

    def _handle(self, fd: int) -> None:
        """Give a connection its turn outside of a poll."""
        handler = self._handlers.get(fd)
        if handler is None:
            return
        try:
            code = handler()
        except Exception:  # border: as in run_once
            code = self._give_up()
        self._follow(fd, code)

    def _give_up(self) -> int:
        """Deal with an exception out of a handler; nothing of its output may reach another."""
        self._report("Unexpected error on a connection")
        self._core.drop_output()
        return CLOSE

    def write_log(self) -> None:
        """Write the access log's lines so far."""
        if self._access is not None:
            lines = self._core.drain_log()
            if lines:
                self._access.write(lines)

    def _wake(self) -> int:
        self._wakeup.drain()
        return AGAIN

    def _follow(self, fd: int, code: int) -> None:
        """Do what a connection asked for."""
        conn = self._conns.get(fd)
        if conn is None:
            return
        if code == WANT_WRITE:
            self._await_output(fd, conn)
        elif code == MORE:
            self._more[fd] = None
        elif code == LINGER:
            self._handlers[fd] = conn.discard
        elif code == UPGRADE:
            self._forget(fd)
            conn.close()
        elif code == CLOSE:
            self._close(fd, conn)

    def _await_output(self, fd: int, conn: Conn) -> None:
        self._poller.watch_output(fd)
        self._handlers[fd] = partial(self._send, fd, conn)

    def _send(self, fd: int, conn: Conn) -> int:
        """Send what waits; once all is gone, go back to input and answer what comes next."""
        code = conn.writable()
        if code == WANT_WRITE:
            return AGAIN
        self._poller.watch_input(fd)
        self._handlers[fd] = conn.ready
        return code

    # -- connections -------------------------------------------------------------------------

    def start_accepting(self) -> None:
        """Watch the listeners."""
        if not self._accepting:
            self._accepting = True
            for fd in self._listeners:
                self._poller.add_shared(fd)

    def stop_accepting(self) -> None:
        """Stop watching the listeners; what waits in their queues is the siblings'."""
        if self._accepting:
            self._accepting = False
            for fd in self._listeners:
                self._poller.remove(fd)

    def _hold_up(self) -> None:
        """Leave the listeners alone until there is room."""
        self._is_held_up = True
        self.stop_accepting()

    def _resume_accepting(self, now: float) -> None:
        """Watch the listeners again, as soon as a connection would find room."""
        if now >= self._accept_after and (
            len(self._conns) < self._limit or any(map(is_idle, self._conns.values()))
        ):
            self._is_held_up = False
            self.start_accepting()

    def _accept(self, fd: int) -> int:
        self._acceptors[fd](self._burst)
        return AGAIN

    def _make_acceptor(self, listener: socket.socket) -> Callable[[int], int]:
        """Return what accepts up to so many connections, and tells how many they were."""
        local = listener.getsockname()

        def accept_some(most: int) -> int:
            for taken in range(most):
                if len(self._conns) >= self._limit and not self._make_room(listener):
                    return taken
                try:
                    accepted = accept(listener)
                except OSError as error:
                    if error.errno in _EXHAUSTED and self._make_room(listener):
                        continue
                    if _is_awaited(listener):
                        self._pause_accepting(error)
                    return taken
                if accepted is None:
                    if not taken and is_shut(listener):
                        self.stop_accepting()  # its events would not end
                    return taken
                self._admit(accepted[0], accepted[1], local)
            return most

        return accept_some

    def _admit(self, fd: int, remote: Any, local: Any) -> None:
        fd = move_up(fd)
        trusted = (remote[0] if isinstance(remote, tuple) else "") in self._trusted
        conn = Conn(self._core, fd, remote, local, "http", trusted)
        self._conns[fd] = conn
        self._handlers[fd] = conn.ready
        self._poller.add(fd)

    def _pause_accepting(self, error: OSError) -> None:
        """Leave the queue alone for a moment: out of descriptors, most likely."""
        self._warn(f"Cannot accept a connection, trying again in a second: {error}")
        self._accept_after = time.monotonic() + _ACCEPT_PAUSE_S
        self._hold_up()

    def _make_room(self, listener: socket.socket) -> bool:
        """Close what has been idle for longest, if somebody waits; False where nothing closes."""
        if not _is_awaited(listener):
            return False
        idle = [(conn.since, fd) for fd, conn in self._conns.items() if is_idle(conn)]
        oldest = heapq.nsmallest(1 + self._limit // _CROWDED, idle)
        if self._close_quiet([fd for _, fd in oldest]):
            return True
        self._hold_up()
        return False

    def _close_quiet(self, fds: list[int]) -> int:
        """Close connections, save those on which something has come; returns how many."""
        busy = set(ready_among((fd, self._conns[fd]) for fd in fds))
        quiet = [fd for fd in fds if fd not in busy]
        for fd in quiet:
            self._close(fd, self._conns[fd])
        return len(quiet)

    def _forget(self, fd: int) -> None:
        del self._conns[fd]
        del self._handlers[fd]
        self._parting.pop(fd, None)

    def _close(self, fd: int, conn: Conn) -> None:
        self._forget(fd)
        self._poller.remove(fd)
        conn.close()

    # -- time --------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Deal with connections that have been in their state for too long; about once a second."""
        self._end_parting(now)
        late = self._lateness.find(self._conns, now)
        if late:
            for fd in ready_among(late):
                self._handle(fd)
        for fd, conn in late:
            if self._conns.get(fd) is conn and self._lateness.is_late(fd, conn, now):
                self._expire(fd, conn)

    def _expire(self, fd: int, conn: Conn) -> None:
        unfinished = conn.state == BODY or (conn.state == HEAD and conn.pending > 0)
        if unfinished:
            self._follow(fd, conn.reject(408))
        elif conn.state == IDLE or conn.state == HEAD:
            self._part(fd, conn)
        else:
            self._close(fd, conn)

    def _part(self, fd: int, conn: Conn) -> None:
        """Take leave of an idle connection, unless something has come by now.

        It is read on for a moment, so that a request which crosses with our end meets no reset.
        """
        if fd in self._parting or conn.pending:
            return
        if not ready_among([(fd, conn)]):
            shut_sending(fd)
            self._handlers[fd] = conn.discard
            self._parting[fd] = time.monotonic()

    def _end_parting(self, now: float) -> None:
        for fd, parted in list(self._parting.items()):
            if now - parted >= _PARTING_S:
                self._close(fd, self._conns[fd])

    # -- the end -----------------------------------------------------------------------------

    @property
    def listens(self) -> bool:
        """Whether there are listeners that this worker may still take connections from."""
        return bool(self._listeners)

    def drain(self, *, abandoned: bool) -> None:
        """Answer the last requests, and leave the listeners that others go on with.

        ``abandoned`` by the arbiter, there are no others as far as one can know.
        """
        self._core.closing = True
        self._is_held_up = False
        self.stop_accepting()
        for fd, listener in list(self._listeners.items()):
            if not abandoned and not is_ending(listener):
                self._leave_listener(fd)

    def take_from_queues(self, most: int) -> int:
        """Accept up to ``most`` connections from each queue; tells how many they were."""
        if time.monotonic() < self._accept_after:
            return 0
        return sum([self._acceptors[fd](most) for fd in tuple(self._listeners)])

    @property
    def is_held_up(self) -> bool:
        """Whether more may wait in the queues than there is room for now."""
        return self._is_held_up

    def leave_listeners(self) -> None:
        """Close the listeners in this process."""
        for fd in tuple(self._listeners):
            self._leave_listener(fd)

    def _leave_listener(self, fd: int) -> None:
        if self._accepting:
            self._poller.remove(fd)
        del self._handlers[fd], self._acceptors[fd]
        self._listeners.pop(fd).close()

    def close_idle(self, since: float) -> None:
        """Take leave of connections that no request has come on since then."""
        self._end_parting(time.monotonic())
        for fd, conn in self._conns.items():
            if (conn.state == IDLE or conn.state == HEAD) and conn.since <= since:
                self._part(fd, conn)

    def unfinished(self) -> tuple[int, int]:
        """Count the requests that have come in part, and the answers that were taken in part."""
        parts = sum(conn.state == BODY or conn.pending > 0 for conn in self._conns.values())
        return parts, sum(conn.state == WRITE for conn in self._conns.values())

    def close(self) -> None:
        """Close all connections and the poller."""
        for fd, conn in list(self._conns.items()):
            if conn.state == LINGERING:
                conn.discard()  # input that nobody has read would turn the end into a reset
            self._close(fd, conn)
        self._poller.close()


def _is_awaited(listener: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    return bool(ready_now([(listener.fileno(), select.POLLIN)]))
