"""Workers whose time is up: what the log says about them, and how they end.

Theory of operation, on the clock of a worker that is overdue. At once: a log line names its
requests, it is asked for its stacks, and it no longer counts, so that its successor boots
meanwhile. When the stacks are there, or after a second: they are logged, and it gets SIGABRT,
which calls the hook ``worker_abort`` and, where the main thread can still run Python, answers 500
to a request that nothing was sent for. A second later: SIGKILL.

An arbiter that finds itself late has not run for a while: a container was frozen, a terminal's job
stopped. Its workers did not run either, and get a moment to show that they do again.
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

from monoceros.arbiter import heartbeat, stacks, supervision
from monoceros.arbiter.children import Child, Phase
from monoceros.scoreboard import SlotPhase

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter

ABORT_GRACE_S = 1.0  # from SIGABRT to SIGKILL
LATE_S = 1.0  # so long after its time no look is taken for granted


def advance(server: Arbiter, now: float) -> None:
    """Look at the workers that are due, and go on with those that are being ended."""
    for child in server.children:
        if child.check_at is None or now < child.check_at:
            continue
        if now - child.check_at > LATE_S:
            child.check_at = now + heartbeat.SHORTEST_SILENCE_S
        elif child.phase is Phase.BOOTING:
            _check_boot(server, child, now)
        else:
            _check_heartbeat(server, child, now)
    for report in server.stacks.collect(now):
        _tell(server, report, now)


def ask_booting(server: Arbiter, generation: int, now: float) -> None:
    """Have the log tell where the workers are that do not become ready."""
    for child in server.children.serving(generation):
        if child.phase is Phase.BOOTING:
            server.stacks.ask(child, now, all_threads=False)


def _check_heartbeat(server: Arbiter, child: Child, now: float) -> None:
    records = supervision.read_records(server, child)
    child.torn = 0 if records[0] else child.torn + 1
    worker = server.WORKERS[child.pid]
    timeout = worker.cfg.timeout
    overdue, child.check_at = heartbeat.judge(child, records, timeout, now)
    if overdue and not worker.is_ready_to_run and (age := worker.tmp.age()) < timeout:
        child.check_at = now + timeout - age
    elif overdue:
        _expire(server, child, heartbeat.describe(records, now), now)
        supervision.log_others(server, logging.CRITICAL, child, records, now)


def _check_boot(server: Arbiter, child: Child, now: float) -> None:
    cfg = server.WORKERS[child.pid].cfg
    overdue, child.check_at = heartbeat.judge_boot(child, cfg.boot_timeout, cfg.timeout, now)
    if not overdue:
        server.stacks.ask(child, now, all_threads=False)
        return
    _expire(server, child, f"not ready after {now - child.born:.1f}s (boot_timeout)", now)
    # Now, because its successor is forked now: later would be too late to hold the place.
    supervision.judge_failed_boot(server, child, now)


def _expire(server: Arbiter, child: Child, doing: str, now: float) -> None:
    server.log.critical("WORKER TIMEOUT (pid:%s) %s", child.pid, doing)
    child.aborted = True
    supervision.set_phase(server, child, SlotPhase.DRAINING)
    child.hurry(now + stacks.PATIENCE_S + ABORT_GRACE_S)
    server.stacks.ask(child, now, all_threads=True)


def _tell(server: Arbiter, report: stacks.Report, now: float) -> None:
    child = report.child
    supervision.log_stacks(server, child, report.text, now)
    if child.aborted:
        child.hurry(now + ABORT_GRACE_S)
        supervision.send(child, signal.SIGABRT)
