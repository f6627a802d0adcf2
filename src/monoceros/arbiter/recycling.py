"""Workers that have served for long enough: by requests, by time, or by the memory they take.

Theory of operation. A worker counts its requests and tells when they are enough; time and memory
are looked at here, from outside, so that the worker does nothing for it. Whoever is to go
serves on until its successor is ready (see ``succession``), a few at a time: what wears out
together is not renewed together, which would cost twice the memory. Above the hard limit of
memory nothing is waited for.
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

from monoceros.arbiter import heartbeat, supervision, surge
from monoceros.arbiter.memory import measure_resident
from monoceros.config.machine import MIB

if TYPE_CHECKING:
    from monoceros.arbiter.children import Child
    from monoceros.arbiter.loop import Arbiter

PERIOD_S = 1.0  # between two looks at the memory
JITTER = 0.1  # up to this part of the longest life is taken off at random
PART = 4  # of the workers one in so many is replaced at the same time


class Recycling:
    """Finds workers that are to be replaced, and has them replaced."""

    def __init__(self, server: Arbiter) -> None:
        self._server = server
        self._measure_at: float | None = None

    def advance(self, now: float) -> None:
        """Look at what is due, and begin as many replacements as there may be."""
        cfg = self._server.cfg
        for child in self._server.children:
            self._limit_life(child, cfg.max_worker_lifetime, now)
        if not cfg.max_memory and not cfg.max_memory_hard:
            self._measure_at = None
        elif self._measure_at is None or now >= self._measure_at:
            self._measure_at = now + PERIOD_S
            for child in self._server.children:
                self._limit_memory(child, cfg.max_memory, cfg.max_memory_hard, now)
        if self._server.reload.previous is None:
            self._begin()

    def next_due(self) -> float | None:
        """Return when to look next, None for never."""
        due = [child.expires_at for child in self._server.children if not child.asks]
        times = [moment for moment in (*due, self._measure_at) if moment is not None]
        return min(times, default=None)

    def _limit_life(self, child: Child, longest: int, now: float) -> None:
        if not longest:
            child.expires_at = None
        elif child.ready_at is not None:
            if child.expires_at is None:
                import random  # most servers do without

                child.expires_at = child.ready_at + longest * (1 - JITTER * random.random())
            if now >= child.expires_at and not child.asks:
                child.asks = f"it has lived for {now - child.ready_at:.0f}s"

    def _limit_memory(self, child: Child, soft: int, hard: int, now: float) -> None:
        if child.killed or (child.asks and not hard):
            return
        size = measure_resident(child.pid)
        if size is None:
            return
        if hard and size > hard:
            self._kill(child, size, now)
        elif soft and size > soft and not child.asks:
            child.asks = f"it takes {size / MIB:.0f} MiB of memory, more than max_memory"

    def _kill(self, child: Child, size: int, now: float) -> None:
        server = self._server
        records = supervision.read_records(server, child)
        server.log.error(
            "Worker (pid:%s) takes %d MiB of memory, more than max_memory_hard, and is killed: %s",
            child.pid,
            size // MIB,
            heartbeat.describe(records, now),
        )
        supervision.log_others(server, logging.ERROR, child, records, now)
        # Its successor need not wait for its end.
        child.aborted = child.killed = True
        child.killed_for = "It took more memory than it may."
        child.kill_at = None
        supervision.send(child, signal.SIGKILL)
        if not child.was_ready:
            supervision.judge_failed_boot(server, child, now)

    def _begin(self) -> None:
        server = self._server
        serving = server.children.serving(server.current.number)
        asking = [child for child in serving if child.asks and child.is_ready]
        if not asking:
            return
        under_way = len(server.children.outdated(server.current.number))
        most = max(1, server.num_workers // PART)
        if not under_way:
            server.current.surge = surge.decide(server)
        for child in asking[: max(0, most - under_way)]:
            server.log.info("Replacing worker (pid:%s): %s", child.pid, child.asks)
            child.is_replaced = True
