"""Noticing that a thread has been at work for too long, in pure Python."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from monoceros.http.types import LATE_BATCH, LATE_CALL, QUIET, WOKEN
from monoceros.unpatched import poll

if TYPE_CHECKING:
    from monoceros.http._core_py import Core


class Watch:
    """One thread's look at the Core of another; see ``monoceros.http.protocols.Watch``."""

    __slots__ = ("_core", "_poller", "_seen")

    def __init__(self, fd: int, /) -> None:
        self._core: Core | None = None
        self._seen = 0.0  # when the batch began that the last look found
        self._poller = poll()
        self._poller.register(fd, select.POLLIN)

    def follow(self, core: Core, /) -> None:
        """Look at this Core from now on."""
        self._core = core

    def wait(self, tick_s: float, patience: int, looks: int = 1024, /) -> int:
        """Look once each tick until there is something to say."""
        quiet = 0
        for _ in range(looks):
            if self._poller.poll(tick_s * 1000):
                return WOKEN
            found = self.judge(tick_s)
            if found != QUIET:
                return found
            quiet = quiet + 1 if self.is_unchanged() else 0
            self._seen = self._core.ticked if self._core else 0.0
            if quiet == patience:
                break
        return QUIET

    def judge(self, tick_s: float, /) -> int:
        """Look once and now."""
        core = self._core
        if core is None or not core.running:
            return QUIET
        now_ns = time.monotonic_ns()
        if now_ns - core.started_ns > tick_s * 1e9:
            return LATE_CALL
        return LATE_BATCH if now_ns / 1e9 - core.ticked > tick_s else QUIET

    def is_unchanged(self) -> bool:
        """Whether no batch has begun since the last look of ``wait``, and none is under way."""
        core = self._core
        return core is None or (not core.running and core.ticked == self._seen)
