"""The event loop of a WSGI worker.

Theory of operation. One thread at a time leads: it polls, and all that is here is its own. A
connection's ``ready`` does everything that its input makes possible, the application call
included, and answers what to wait for next; the loop only follows that answer. It never looks into
HTTP. While the application has the thread, it touches nothing here, so that somebody else can take
the lead in the midst of a call (``workers.monitor``): the connection that the call is for is lifted
out, and put back by its own thread, which learns that it no longer leads when the call returns.
Events that it had not come to yet are reported to the new leader again.

A connection is in the poller for exactly one thing: input, or room for output while its client
is slow to take a response. It leaves the poller before its descriptor is closed, because a
description that an application's child still holds would go on reporting events.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from monoceros.errors import CallExpired
from monoceros.http import Conn
from monoceros.http.types import (
    AGAIN,
    BODY,
    CLOSE,
    HANDOFF,
    HEAD,
    IDLE,
    LINGER,
    LINGERING,
    MORE,
    UPGRADE,
    WANT_WRITE,
    WRITE,
)
from monoceros.unpatched import RLock
from monoceros.workers.descriptors import move_up
from monoceros.workers.intake import FULL_PAUSE_S, Intake
from monoceros.workers.poller import make_poller
from monoceros.workers.strays import end_stray
from monoceros.workers.sweeping import Sweeper
from monoceros.workers.waiting import AT_HAND, TICK_S, Waiting

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from monoceros.http import Core, Watch
    from monoceros.log.access import AccessSink
    from monoceros.net.overflow import Moved, Overflow
    from monoceros.net.trust import Trusted
    from monoceros.net.wakeup import Wakeup
    from monoceros.workers.lateness import Lateness
    from monoceros.workers.overload import Overload
    from monoceros.workers.poller import Poller


class Reactor:
    """Connections of one worker, and the listeners they come from.

    A thread that comes back from a call puts its connection back, whoever leads meanwhile, so that
    the dictionaries are looked through in copies, which are made in one step.

    At most ``limit`` connections are held, and at most ``burst`` accepted per wake-up. The thread
    of ``leader`` may call what is here; others hold ``lock`` and make sure that the leader is
    inside a call of the application.
    """

    def __init__(
        self,
        leader: Core,
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
        note: Callable[[str], None],
        overflow: Overflow | None = None,
        shares_listeners: bool = True,
        poller: Poller | None = None,
    ) -> None:
        self.lock = RLock()
        # Whoever is not it has lost the lead, or is asked to look.
        self.leader: Core | None = leader
        self.led_by = leader
        self.stand_in: Core | None = None  # leads without calling the application
        self.watch: Watch | None = None
        self.poller = poller or make_poller()
        self.handlers: dict[int, Callable[[Core], int]] = {}
        self.conns: dict[int, Conn] = {}
        # Lifted out while their call goes on: an application may close a descriptor that it took.
        self.away: dict[Core, Conn] = {}
        self.lost: dict[Core, Conn] = {}  # answered for, or cut, while their call goes on
        # Asked whether a thread is to end whose call has been answered for.
        self.dismisses: Callable[[Core], bool] | None = None
        self.waiting: dict[int, Waiting] = {}  # out of the poller until a thread is free
        self.more: dict[int, Waiting] = {}  # connections with input at hand
        self.rouse: Callable[[], object] | None = None  # wakes a monitor that sleeps
        self.is_leaving = False  # newcomers are no longer this worker's business
        self.is_alone = False  # without an arbiter: there may be nobody else for them
        self.overload: Overload | None = None
        self.shed: Callable[[Core, Iterator[tuple[int, int]]], None] | None = None
        self._is_abandoned = False  # this is a child that the application forked
        self._current = -1  # the descriptor that is being dealt with
        self._trusted = trusted
        self._access = access
        self._wakeup = wakeup
        self._warn = warn
        self.report = report
        self._note = note
        self.sweeper = Sweeper(self, lateness)
        self.poller.add(wakeup.fileno())
        self.handlers[wakeup.fileno()] = self._wake
        self.intake = Intake(
            self,
            self.poller,
            listeners,
            overflow,
            limit=limit,
            burst=burst,
            shares_listeners=shares_listeners,
            warn=warn,
        )
        self.adopt(leader)

    def __len__(self) -> int:
        return len(self.conns) + len(self.away)

    def adopt(self, core: Core) -> None:
        """Make a Core one of those that this loop's connections are served with."""
        core.policy.release = self._release
        core.flush_log = partial(self.write_log, core)

    # -- the loop ----------------------------------------------------------------------------

    def run_once(self, core: Core, timeout_s: float) -> None:
        """Wait for events, at most ``timeout_s`` seconds, and deal with them as the leader."""
        if self.intake.is_held_up:
            timeout_s = min(timeout_s, FULL_PAUSE_S)
        events = self.poller.poll(0 if self.more else timeout_s)
        core.tick(time.monotonic())
        rouse = self.rouse
        if rouse is not None and (events or self.more):
            rouse()
        if self.more and not self._run_more(core):
            return
        handlers = self.handlers
        rest = iter(events)
        for fd, _ in rest:
            # A descriptor may have gone since the poll, by a connection that made room.
            handler = handlers.get(fd)
            if handler is None:
                continue
            self._current = fd
            try:
                code = handler(core)
            except Exception:  # border: a fault of ours costs a connection, not the worker
                code = self.give_up(core)
            except CallExpired:  # a moment too late for the application
                code = CLOSE
            if self.leader is not core:
                if not self._come_back(core, fd, code, rest):
                    return
            elif code:
                self.follow(fd, code)
        self.write_log(core)
        if self.intake.is_held_up:
            self.intake.resume(core.now)

    def _run_more(self, core: Core) -> bool:
        """Give connections with input at hand their turn; False where the lead was lost."""
        # Threads that come back add to it.
        for first in list(self.more):
            if not self.more:
                break
            fd = first if self.overload is None else self.overload.pick(core.now)
            one = self.more.pop(fd, None)
            if one is None:
                continue
            if one.is_aside:
                self.poller.add(fd)
            self._current = fd
            has_waited = core.now - one.since > TICK_S
            code = self._call_late(core, fd, one) if has_waited else self._call(core, fd)
            if self.leader is not core:
                if not self._come_back(core, fd, code, iter(())):
                    return False
            else:
                self.follow(fd, code)
        return True

    def _call(self, core: Core, fd: int) -> int:
        """Give a connection its turn outside of a poll."""
        handler = self.handlers.get(fd)
        if handler is None:
            return AGAIN
        try:
            return handler(core)
        except Exception:  # border: as in run_once
            return self.give_up(core)
        except CallExpired:
            return CLOSE

    def _call_late(self, core: Core, fd: int, one: Waiting) -> int:
        """Give a connection its turn whose client may not wait any longer."""
        conn = self.conns.get(fd)
        if conn is None or not (conn.has_request or self.is_between_requests(fd, conn)):
            return self._call(core, fd)
        try:
            code = conn.collect(core)
            if code != HANDOFF:
                return code
            if conn.is_gone():
                self._note("Closing a connection: its client has gone before its turn came")
                return CLOSE
            if self.overload is not None and self.overload.is_over(one.since, core.now):
                return self.overload.refuse(conn, core, one.since)
            return conn.ready(core)
        except Exception:  # border: as in run_once
            return self.give_up(core)

    def give_up(self, core: Core) -> int:
        """Deal with an exception out of a handler; nothing of its output may reach another."""
        self.report("Unexpected error on a connection")
        core.drop_output()
        conn = self.away.get(core)
        return UPGRADE if conn is not None and conn.fd < 0 else CLOSE

    def write_log(self, core: Core) -> None:
        """Write the access log's lines so far."""
        if self._access is not None:
            lines = core.drain_log()
            if lines:
                self._access.write(lines)

    def _wake(self, core: Core) -> int:
        self._wakeup.drain()
        return AGAIN

    def follow(self, fd: int, code: int) -> None:
        """Do what a connection asked for."""
        conn = self.conns.get(fd)
        if conn is None:
            if code == UPGRADE:
                self._forget_taken(self.led_by)
        elif code == WANT_WRITE:
            self._await_output(fd, conn)
        elif code == MORE:
            self.more[fd] = AT_HAND
        elif code == LINGER:
            self.handlers[fd] = conn.discard
        elif code == CLOSE:
            self.close_one(fd, conn)

    def _await_output(self, fd: int, conn: Conn) -> None:
        self.poller.watch_output(fd)
        self.handlers[fd] = partial(self._send, fd, conn)

    def _send(self, fd: int, conn: Conn, core: Core) -> int:
        """Send what waits; once all is gone, go back to input and answer what comes next."""
        code = conn.writable(core)
        if code == WANT_WRITE:
            return AGAIN
        self.poller.watch_input(fd)
        self.handlers[fd] = self._handler(fd, conn)
        return code

    # -- the lead ----------------------------------------------------------------------------

    def lift(self) -> None:
        """Take out the connection that the leader is busy with, which puts it back itself."""
        self._lift(self._current)

    def lead(self, core: Core) -> None:
        """Let the thread of a Core lead from now on, which sees to all that has waited."""
        self.leader = self.led_by = core
        if self.watch is not None:
            self.watch.follow(core)
        self.more = {**self.waiting, **self.more}
        self.waiting.clear()
        self.intake.step_back()

    def is_led_by(self, core: Core) -> bool:
        """Whether the thread of a Core leads, be it that it is asked to look."""
        return self.leader is core or (self.leader is None and self.led_by is core)

    def regain(self, core: Core) -> bool:
        """Whether a thread that has nothing to do leads, as it does where nobody else can."""
        with self.lock:
            if self.leader is self.stand_in:
                self.lead(core)
            elif self.leader is None and self.led_by is core:
                # It was to give some of a batch away, which was over by then.
                self.leader = core
            return self.leader is core

    def wait_on(self) -> None:
        """Leave alone what the last leader has not come to; for one that calls no application."""
        for fd, one in tuple(self.more.items()):
            if one.is_aside:
                self.waiting[fd] = self.more.pop(fd)

    def set_aside(self, fd: int, waiting: Waiting) -> None:
        """Leave a complete request alone until somebody leads who can answer it."""
        self.more.pop(fd, None)
        if fd not in self.waiting:
            self.poller.remove(fd)
            self.waiting[fd] = waiting

    def bring_back(self, fd: int) -> Conn:
        """Take up again what was set aside; returns its connection."""
        del self.waiting[fd]
        self.poller.add(fd)
        return self.conns[fd]

    def _release(self, fd: int) -> None:
        """The application takes over a descriptor; called inside its call."""
        with self.lock:
            self._lift(fd)

    def _lift(self, fd: int) -> None:
        conn = self.conns.get(fd)
        if conn is not None:
            # In this order: whoever forks now closes it in the child.
            self.away[conn.core] = conn
            del self.conns[fd], self.handlers[fd]
            self.poller.remove(fd)
            self.more.pop(fd, None)

    def _forget_taken(self, core: Core) -> None:
        """Be done with a connection that the application took in a call that is over."""
        conn = self.away.pop(core, None)
        if conn is not None:
            conn.close()

    def _come_back(self, core: Core, fd: int, code: int, rest: Iterator[tuple[int, int]]) -> bool:
        """Put back what was lifted out; True where its thread goes on with the ``rest``.

        Where another one has led meanwhile, that may have been dealt with, or set aside.
        """
        if self._is_abandoned:
            end_stray(self._warn)
        with self.lock:
            lost = self.lost.pop(core, None)
            if lost is not None:
                lost.close()
                if self.dismisses is not None and self.dismisses(core):
                    return False
            elif code == UPGRADE:
                self._forget_taken(core)
            else:
                self._put_back(core, fd, code)
            self.write_log(core)
            if self.leader is None and self.led_by is core:
                # A monitor wants to have some of the rest given away.
                self.leader = core
                if self.shed is not None:
                    self.shed(core, rest)
            elif self.leader is self.stand_in:
                self.lead(core)
                return False
            return self.leader is core

    def expire(self, core: Core, late: Core) -> bool | None:
        """Answer for a call that takes too long; see ``Conn.expire``. With the lock."""
        told = self.away[late].expire(core)
        if told is not None:
            self.lost[late] = self.away.pop(late)
            self.write_log(core)
        return told

    def _put_back(self, core: Core, fd: int, code: int) -> None:
        """Do what a connection asked for, which may have been lifted out."""
        conn = self.away.pop(core, None)
        if conn is None:
            self.follow(fd, code)
        elif code == CLOSE:
            conn.close()
        else:
            self._take_in(fd, conn, code)
            if code == MORE and self.leader is not core:
                self._wakeup.wake()  # whoever leads may be waiting for events

    def _take_in(self, fd: int, conn: Conn, code: int = AGAIN) -> None:
        """Have a connection here, and wait for what it asks for.

        In this order: as soon as it is in the poller, whoever leads may deal with it.
        """
        self.conns[fd] = conn
        if code == WANT_WRITE:
            self.handlers[fd] = partial(self._send, fd, conn)
            self.poller.add_output(fd)
            return
        self.handlers[fd] = conn.discard if code == LINGER else self._handler(fd, conn)
        self.poller.add(fd)
        if code == MORE:
            self.more[fd] = AT_HAND

    def _handler(self, fd: int, conn: Conn) -> Callable[[Core], int]:
        """Return what deals with a connection's input."""
        return conn.ready if self.overload is None else partial(self.overload.ready, fd, conn)

    # -- connections -------------------------------------------------------------------------

    def admit(self, core: Core, fd: int, remote: Any, local: Any) -> None:
        """Take in a connection that was just accepted."""
        fd = move_up(fd)
        trusted = (remote[0] if isinstance(remote, tuple) else "") in self._trusted
        self._take_in(fd, Conn(core, fd, remote, local, "http", trusted))

    def admit_moved(self, core: Core, moved: Moved) -> None:
        """Take in a connection from a sibling, with what has come on it so far."""
        fd = move_up(moved.fd)
        conn = Conn(core, fd, moved.remote, moved.local, moved.scheme, moved.trusted)
        conn.unread(moved.data)
        self._take_in(fd, conn)
        self.more[fd] = AT_HAND._replace(since=moved.since, hops=moved.hops)

    def remove(self, fd: int) -> Conn:
        """Give up a connection that goes on elsewhere, or for which nothing is left to do."""
        conn = self.conns.pop(fd)
        del self.handlers[fd]
        self.sweeper.parting.pop(fd, None)
        one = self.waiting.pop(fd, None) or self.more.pop(fd, None)
        if one is None or not one.is_aside:
            self.poller.remove(fd)
        return conn

    def close_one(self, fd: int, conn: Conn) -> None:
        """Close a connection."""
        self.remove(fd)
        conn.close()

    def collect(self, core: Core, fd: int, conn: Conn) -> int:
        """Do what can be done for a connection without calling the application."""
        if self.is_between_requests(fd, conn) or conn.state == BODY:
            return conn.collect(core)
        return self._call(core, fd)

    def is_between_requests(self, fd: int, conn: Conn) -> bool:
        """Whether the next octets are a head's, and whoever comes to them may do with them."""
        return (conn.state == IDLE or conn.state == HEAD) and fd not in self.sweeper.parting

    # -- the end -----------------------------------------------------------------------------

    def unfinished(self) -> tuple[int, int]:
        """Count the requests that have come in part, and the answers that were taken in part."""
        parts = sum(conn.state == BODY or conn.pending > 0 for conn in list(self.conns.values()))
        return parts, sum(conn.state == WRITE for conn in list(self.conns.values()))

    def close(self) -> None:
        """Close all connections, save those in a call that goes on, and the poller."""
        for conn in self.away.values():
            if not conn.core.running:
                conn.close()
        for fd, conn in list(self.conns.items()):
            if conn.state == LINGERING:
                conn.discard()  # input that nobody has read would turn the end into a reset
            self.close_one(fd, conn)
        self.poller.close()

    def abandon(self) -> None:
        """Close the descriptors in a child that the application forked; clients notice nothing."""
        for conn in (*self.conns.values(), *self.away.values(), *self.lost.values()):
            fd, _ = conn.detach()
            if fd >= 0:
                os.close(fd)
        self.conns.clear()
        self.away.clear()
        self.lost.clear()
        self.handlers.clear()
        self.intake.abandon()
        self.poller.close()
        self._is_abandoned = True
        self.leader = None
