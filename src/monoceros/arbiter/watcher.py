"""The watcher: a process that looks at the files of all workers and tells the arbiter of changes.

Theory of operation. One loop of one thread: wait for a report of the workers, for an event of
the system where there is an engine for them, or for the next look; look; and when something has
changed, wait until nothing changes any more, and tell. It looks with either engine, only less
often where the system is expected to tell: events get lost on network and container mounts.
How often depends on what a look costs. The process ends when its parent is gone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.arbiter.watchevents import Events
from monoceros.arbiter.watchlist import Watchlist
from monoceros.arbiter.watchnews import CHANGED, WARNING, send_news
from monoceros.unpatched import poll as make_poll
from monoceros.unpatched import read, sleep
from monoceros.workers.modules import decode

if TYPE_CHECKING:
    from monoceros.arbiter.watchnews import Plan

SHARE = 0.006  # of a processor, which looking at files may take,
SHARE_WITH_EVENTS = 0.003  # and where the system is expected to tell of changes
BUSY_S = 0.05  # the shortest time between two looks while somebody edits,
IDLE_S = 0.25  # when nothing has changed for a while,
IDLE_AFTER_S = 60.0
WITH_EVENTS_S = 1.0  # and where the system is expected to tell of changes
LONGEST_S = 10.0
PARENT_S = 2.0  # how often to ask for the parent, whatever the pipes say
QUIET_S = 0.05  # without a change, and a burst of them is over
BURST_S = 1.0  # the longest burst that is waited for
SETTLE_S = 0.3  # from asking for events to the look at what may have happened meanwhile
REPORTS_SIZE = 1 << 20

_BYTE_CODE_HEAD = 16


class Watcher:
    """The loop; ``since_ns`` is the time from which a predecessor may have missed changes."""

    def __init__(
        self, plan: Plan, parent: int, reports: int, news: int, since_ns: int | None
    ) -> None:
        self._parent = parent
        self._reports, self._news = reports, news
        self._list = Watchlist(plan.entries)
        self._changed: list[str] = []
        self._events = self._open_events(plan.engine)
        self._reported_at = 0.0
        self._changed_at = self._look_at = time.monotonic()
        self._look_whole = False
        if since_ns is not None:
            self._changed += self._list.check_since(since_ns)
        else:
            for pattern in self._list.empty_patterns():
                self._tell(WARNING, f"reload_extra_files: no file matches {pattern!r}")

    def run(self) -> None:
        """Watch until the parent is gone; may raise BrokenPipeError then."""
        while True:
            self._wait()
            if self._is_orphan():
                return
            self._receive()
            self._look()
            self._follow_folders()
            if self._changed:
                self._announce()

    def _is_orphan(self) -> bool:
        if os.getppid() != self._parent:
            return True
        # The parent is the one that reads: the pipe is broken a moment before it is gone.
        poll = make_poll()
        poll.register(self._news, 0)
        return bool(poll.poll(0))

    def _open_events(self, engine: str) -> Events | None:
        if engine == "poll":
            return None
        try:
            return Events(self._list.is_watched)
        except ImportError:
            return None

    # -- waiting

    def _wait(self) -> None:
        poll = make_poll()
        poll.register(self._reports, select.POLLIN)
        poll.register(self._news, 0)  # an error once nobody reads it
        if self._events is not None:
            poll.register(self._events, select.POLLIN)
        left = min(self._look_at - time.monotonic(), PARENT_S)
        poll.poll(max(0.0, left) * 1000)

    # -- reports

    def _receive(self) -> None:
        try:
            data = read(self._reports, REPORTS_SIZE)
        except BlockingIOError:
            return
        for since_ns, path in decode(data):
            if self._list.add(path, since_ns):
                self._changed.append(path)
        self._reported_at = time.monotonic()

    # -- looking

    def _look(self) -> None:
        events = self._events
        woken = events is not None and events.drain()
        if events is not None and events.failure is not None:
            self._tell(WARNING, f"The files are polled, watchfiles failed: {events.failure}")
            self._events = None
        if not woken and time.monotonic() < self._look_at:
            return
        began = time.process_time()
        changed = self._list.scan(whole=woken or self._look_whole)
        cost = time.process_time() - began
        self._look_whole = False
        self._look_at = time.monotonic() + self._interval(cost)
        self._changed += changed
        if events is not None and changed and not woken:
            # No event told of it: perhaps its folder was replaced by another of that name.
            events.folders = frozenset()

    def _interval(self, cost: float) -> float:
        if self._events is not None:
            return min(max(cost / SHARE_WITH_EVENTS, WITH_EVENTS_S), LONGEST_S)
        busy = time.monotonic() - self._changed_at < IDLE_AFTER_S
        return min(max(cost / SHARE, BUSY_S if busy else IDLE_S), LONGEST_S)

    def _follow_folders(self) -> None:
        """Have events for all folders, once the reports pause."""
        if self._events is None or len(self._events.folders) == len(self._list.folders):
            return
        now = time.monotonic()
        if now - self._reported_at < QUIET_S:
            self._look_at = min(self._look_at, now + QUIET_S)
            return
        self._events.follow(frozenset(self._list.folders))
        self._look_at, self._look_whole = now + SETTLE_S, True

    # -- telling

    def _announce(self) -> None:
        """Wait for the end of the burst, then tell what has changed."""
        end = time.monotonic() + BURST_S
        while time.monotonic() < end:
            sleep(QUIET_S)
            more = self._list.scan()
            if not more:
                break
            self._changed += more
        self._changed_at = time.monotonic()
        paths = list(dict.fromkeys(self._changed))
        self._changed = []
        for path in paths:
            discard_byte_code(path)
        self._tell(CHANGED, f"{len(paths)} {paths[0]}")

    def _tell(self, kind: str, text: str) -> None:
        send_news(self._news, kind, text)


def discard_byte_code(path: str) -> None:
    """Remove what is cached of a changed source where the interpreter would take it for new.

    It tells by the second of the change and the size, which two edits may have in common.
    """
    if not path.endswith(".py"):
        return
    with contextlib.suppress(OSError, NotImplementedError):
        cached = Path(importlib.util.cache_from_source(path))
        with cached.open("rb") as file:
            head = file.read(_BYTE_CODE_HEAD)
        stat = Path(path).stat()
        words = [int.from_bytes(head[at : at + 4], "little") for at in (4, 8, 12)]
        if words == [0, int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF]:
            cached.unlink()


def watch(plan: Plan, parent: int, reports: int, news: int, since_ns: int | None) -> None:
    """Be the watcher until the arbiter is gone; runs in a process of its own."""
    # The configuration may have set up the log of the package behind the events.
    logging.disable()
    with contextlib.suppress(BrokenPipeError):
        Watcher(plan, parent, reports, news, since_ns).run()
