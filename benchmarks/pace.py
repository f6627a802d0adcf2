"""A client that asks at set times on kept connections, and keeps book about every request.

Each lane is a connection of its own. It asks when its time has come, whether or not the server
keeps up, or as soon as it has its answer where it has no period. What a request takes counts
from when it was due where the answer before it was still awaited then, so that a stall shows in all
requests that it kept back, and not only in the one that was under way; else it counts from when it
was sent, since all of it is one thread, which is late itself at times: ``Book.lag`` tells.
"""

from __future__ import annotations

import heapq
import math
import select
import socket
import time
from dataclasses import dataclass, field
from typing import NamedTuple

LINGER_SECONDS = 10.0  # how long answers are awaited once nothing more is asked


class Plan(NamedTuple):
    """What a lane asks for: ``path`` every ``period`` seconds from ``phase`` to ``until``.

    Without a period it asks as soon as it has its answer.
    """

    kind: str
    path: str
    period: float = 0.0
    phase: float = 0.0
    until: float = math.inf


class Asked(NamedTuple):
    """One request; times are ``time.monotonic()``, and ``status`` is 0 where no answer came."""

    kind: str
    since: float
    sent: float
    done: float
    status: int

    @property
    def taken(self) -> float:
        """Seconds from when it could have been sent to the end of its answer."""
        return self.done - self.since

    @property
    def wait(self) -> float:
        """Seconds from when it was sent to the end of its answer."""
        return self.done - self.sent


@dataclass(slots=True)
class Book:
    """What has been asked; ``misplaced`` counts answers that were another request's."""

    began: float = 0.0
    ended: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    misplaced: int = 0
    lag: float = 0.0

    @property
    def lost(self) -> int:
        """How many requests had no answer."""
        return sum(not one.status for one in self.asked)

    def taken(self, kind: str) -> list[float]:
        """Return the sorted times of the answered requests of one kind, in seconds."""
        return sorted(one.taken for one in self.asked if one.kind == kind and one.status)


class _Lane:
    def __init__(self, plan: Plan, port: int) -> None:
        self.plan = plan
        self.port = port
        self.due = self.since = 0.0
        self.sent = 0.0
        self.number = 0
        self.waits = False  # for an answer
        self.data = b""
        self.connection: socket.socket

    def connect(self) -> int:
        self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.setblocking(False)
        self.data = b""
        return self.connection.fileno()

    def ask(self, now: float) -> None:
        self.number += 1
        self.sent = now
        self.waits = True
        request = f"GET {self.plan.path}?{self.number} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.connection.send(request.encode())

    def parse(self) -> tuple[int, bytes] | None:
        """Return status and body once the answer is complete."""
        head, separator, rest = self.data.partition(b"\r\n\r\n")
        if not separator:
            return None
        _, _, after = head.lower().partition(b"\r\ncontent-length:")
        length = int(after.partition(b"\r\n")[0])
        if len(rest) < length:
            return None
        self.data = rest[length:]
        return int(head[9:12]), rest[:length]


class Pace:
    """One run: lanes, their timetable, and the book."""

    def __init__(self, port: int, plans: list[Plan]) -> None:
        self.book = Book()
        self._poller = select.epoll()
        self._lanes = {(lane := _Lane(plan, port)).connect(): lane for plan in plans}
        self._times: list[tuple[float, int]] = []
        for fd in self._lanes:
            self._poller.register(fd, select.EPOLLIN)

    def run(self, seconds: float) -> Book:
        """Ask for so long, then wait for what is still to come."""
        book = self.book
        book.began = time.monotonic()
        book.ended = book.began + seconds
        for fd, lane in self._lanes.items():
            lane.due = book.began + lane.plan.phase
            heapq.heappush(self._times, (lane.due, fd))
        while (now := time.monotonic()) < book.ended:
            self._ask_due(now)
            next_due = self._times[0][0] if self._times else book.ended
            self._receive(min(next_due, book.ended) - time.monotonic())
        self._times.clear()
        until = book.ended + LINGER_SECONDS
        while any(lane.waits for lane in self._lanes.values()) and time.monotonic() < until:
            self._receive(0.1)
        self._close()
        return book

    def _ask_due(self, now: float) -> None:
        while self._times and self._times[0][0] <= now:
            due, fd = heapq.heappop(self._times)
            self.book.lag = max(self.book.lag, now - due)
            self._ask(fd, self._lanes[fd], time.monotonic())

    def _ask(self, fd: int, lane: _Lane, since: float) -> None:
        """Send a request that counts from ``since``."""
        lane.since = since
        try:
            lane.ask(time.monotonic())
        except OSError:
            self._lose(fd, lane)

    def _receive(self, timeout: float) -> None:
        for fd, _ in self._poller.poll(max(0.0, timeout)):
            lane = self._lanes[fd]
            try:
                data = lane.connection.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                lane.data += data
                if lane.waits and (answer := lane.parse()) is not None:
                    self._note(fd, lane, *answer)
            else:
                self._lose(fd, lane)

    def _note(self, fd: int, lane: _Lane, status: int, body: bytes) -> None:
        now = time.monotonic()
        self.book.asked.append(Asked(lane.plan.kind, lane.since, lane.sent, now, status))
        if status == 200 and body != b"%d" % lane.number:
            self.book.misplaced += 1
        self._plan_next(fd, lane, now)

    def _lose(self, fd: int, lane: _Lane) -> None:
        """Connect anew; a request under way is lost."""
        now = time.monotonic()
        if lane.waits:
            self.book.asked.append(Asked(lane.plan.kind, lane.since, lane.sent, now, 0))
        del self._lanes[fd]
        lane.connection.close()
        new = lane.connect()
        self._lanes[new] = lane
        self._poller.register(new, select.EPOLLIN)
        self._times = [(due, new if owner == fd else owner) for due, owner in self._times]
        if lane.waits:
            self._plan_next(new, lane, now)

    def _plan_next(self, fd: int, lane: _Lane, now: float) -> None:
        lane.waits = False
        lane.due = lane.due + lane.plan.period if lane.plan.period else now
        if now >= self.book.ended or lane.due > self.book.began + lane.plan.until:
            return
        if lane.due <= now:
            self._ask(fd, lane, lane.due)
        else:
            heapq.heappush(self._times, (lane.due, fd))

    def _close(self) -> None:
        for lane in self._lanes.values():
            if lane.waits:
                self.book.asked.append(Asked(lane.plan.kind, lane.since, lane.sent, 0.0, 0))
            lane.connection.close()
        self._poller.close()


def percentile(times: list[float], part: float) -> float:
    """Return what so large a part of sorted times does not exceed, in milliseconds."""
    return 1000 * times[min(len(times) - 1, int(len(times) * part))] if times else 0.0
