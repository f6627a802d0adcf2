"""What the arbiter does to its children once they are forked."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from monoceros.arbiter.backoff import SETTLED_S
from monoceros.arbiter.children import Child, Phase
from monoceros.arbiter.heartbeat import describe_in_hand, name_others
from monoceros.arbiter.obituary import REASONS, is_foreign_kill, write_obituary
from monoceros.arbiter.spawn import close_child
from monoceros.scoreboard import SlotPhase, State
from monoceros.unpatched import waitpid
from monoceros.workers import hooks
from monoceros.workers.news import News, listen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monoceros.arbiter.loop import Arbiter
    from monoceros.scoreboard import Record

SILENT_START_S = 5.0  # how long a worker class of others may take to its first sign of life
QUICK_S = 2.0  # what a quick stop allows
REMIND_S = 0.2  # from one word to a booting worker to the next


def receive_news(server: Arbiter, now: float) -> None:
    """Take in what workers tell."""
    for child in server.children:
        if child.news_fd < 0:
            continue
        news = listen(child.news_fd)
        if news is None:
            # The worker let go; its death will tell why.
            os.close(child.news_fd)
            child.news_fd = -1
            continue
        if News.ASGI in news:
            _note_asgi(server, child)
        if News.BOOTED in news or News.READY in news:
            child.remind_at = None
        if News.READY in news:
            _welcome(server, child, now)
        elif News.BOOTED in news and child.phase is Phase.BOOTING:
            child.presumed_at = now + SILENT_START_S
        if News.WORN_OUT in news:
            child.asks = "it has served max_requests"
        if News.LOST in news:
            child.asks = "its threads are lost to requests that have timed out"
        if News.LEAVING in news and child.is_ready:
            _let_leave(server, child, now)


def _note_asgi(server: Arbiter, child: Child) -> None:
    """Treat a worker as one of the class ``asgi``, which its application has made it."""
    if child.generation == server.current.number and not server.current.chose_asgi:
        server.current.chose_asgi = True
        # A reload need not say what is so already.
        if not any(worker.serves_asgi for worker in server.WORKERS.values()):
            _log_choice(server)
    server.WORKERS[child.pid].serves_asgi = True
    child.timeout_is_per_call = False


def _log_choice(server: Arbiter) -> None:
    aside = "; threads does not apply" if server.cfg.threads > 1 else ""
    server.log.info("Using worker: asgi, because the application is an ASGI one%s", aside)


def welcome_silent(server: Arbiter, now: float) -> None:
    """Take those for ready that have run for a while and not given a sign of life."""
    for child in server.children:
        if child.presumed_at is not None and now >= child.presumed_at:
            _welcome(server, child, now)


def _welcome(server: Arbiter, child: Child, now: float) -> None:
    if child.was_ready:
        return
    server.children.mark_ready(child, now)
    set_phase(server, child, SlotPhase[child.phase.name])
    server.was_ready = True
    server.log.debug("Worker (pid:%s) is ready", child.pid)
    timeout = server.WORKERS[child.pid].cfg.timeout
    child.check_at = now + timeout if timeout else None
    if child.owes_reopen:
        send(child, signal.SIGUSR1)


def _let_leave(server: Arbiter, child: Child, now: float) -> None:
    """Replace a worker that leaves although the arbiter did not ask it to."""
    server.log.info("Worker (pid:%s) leaves, unasked", child.pid)
    _mark_draining(server, child, now + server.WORKERS[child.pid].cfg.graceful_timeout)
    server.notifier.count_death()
    # Now, because its successor is forked now: later would be too late to hold the place.
    _judge_death(server, child, 0, _has_worked(read_records(server, child)), now)


def kill_late(server: Arbiter, now: float) -> None:
    """Send SIGKILL to those whose time to leave is over."""
    for child in server.children:
        if child.kill_at is not None and now >= child.kill_at:
            child.kill_at = None
            child.killed = True
            if not (child.aborted or server.stopping.is_quick):
                _log_cut(server, child)
            send(child, signal.SIGKILL)


def _log_cut(server: Arbiter, child: Child) -> None:
    records = [record for record in read_records(server, child) if record]
    # Workers count now and then; the requests in hand may have come since.
    running = sum(record.state is State.RUNNING for record in records)
    count = max(running, sum(record.connections for record in records))
    server.log.warning(
        "Cut off at the end of graceful_timeout: worker (pid:%s) with %s connection%s",
        child.pid,
        count,
        "" if count == 1 else "s",
    )


def retire(server: Arbiter, child: Child, *, quick: bool = False) -> None:
    """Ask a child to leave, within ``graceful_timeout`` or, when quick, ``QUICK_S``."""
    now = time.monotonic()
    grace = QUICK_S if quick else server.WORKERS[child.pid].cfg.graceful_timeout
    if child.phase is Phase.BOOTING and child.presumed_at is None:
        child.remind_at = now + REMIND_S
    _mark_draining(server, child, now + grace)
    send(child, signal.SIGQUIT if quick else signal.SIGTERM)


def remind_booting(server: Arbiter, now: float) -> None:
    """Tell those once more that were to leave while they booted.

    The word may be lost on them: what its handler raises is caught by the import of an application,
    or the handler does not run because the import began to wait the instant before.
    """
    for child in server.children:
        if child.remind_at is not None and now >= child.remind_at:
            child.remind_at = now + REMIND_S
            send(child, signal.SIGTERM)


def _mark_draining(server: Arbiter, child: Child, deadline: float) -> None:
    server.children.mark_draining(child, deadline)
    set_phase(server, child, SlotPhase.DRAINING)
    server.WORKERS[child.pid].alive = False


def reopen_logs(server: Arbiter) -> None:
    """Have all workers open their logs again."""
    for child in server.children:
        if child.was_ready:
            send(child, signal.SIGUSR1)
        else:
            # It may not have its handlers yet, and the default action is death.
            child.owes_reopen = True


def reap(server: Arbiter, children: Iterable[Child], now: float) -> None:
    """Take leave of those that are dead."""
    for child in children:
        try:
            pid, status = waitpid(child.pid, os.WNOHANG)
        except ChildProcessError:
            _bury(server, child, None, now)  # a hook waited for any child
        else:
            if pid:
                _bury(server, child, status, now)


def reap_adopted(server: Arbiter) -> None:
    """As process 1 of a container, also reap what other processes left behind."""
    with contextlib.suppress(ChildProcessError):
        while info := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if info.si_pid in server.children or info.si_pid == server.reexec_pid:
                return  # its own signal is on the way
            waitpid(info.si_pid, os.WNOHANG)


def _bury(server: Arbiter, child: Child, status: int | None, now: float) -> None:
    records = read_records(server, child)
    # What ends a worker early logs what it was doing then.
    doing = "" if child.aborted else describe_in_hand(records, now)
    killing = server.oom.explain(now) if is_foreign_kill(child, status) else ""
    obituary = write_obituary(child, status, killing, doing)
    server.scoreboard.release(child.slot, child.records)
    last_stacks = server.stacks.forget(child)
    close_child(child)
    planned = child.phase is Phase.DRAINING or child.aborted
    server.children.remove(child)
    worker = server.WORKERS.pop(child.pid)
    worker.close_tmp()
    if last_stacks:
        log_stacks(server, child, last_stacks, now)
    # That none can start has been said of the first: the application's own words stay in sight.
    is_one_more = server.stopping.is_halting and obituary.code in REASONS
    if obituary.message and not is_one_more:
        server.log.log(obituary.level, "%s", obituary.message)
        if doing:
            log_others(server, obituary.level, child, records, now)
    if not planned:
        server.notifier.count_death()
        # Classes of others count no requests.
        has_worked = not worker.is_ready_to_run or _has_worked(records)
        _judge_death(server, child, obituary.code, has_worked, now)
    if not server.stopping.is_halting:
        hooks.try_call(server.cfg, server.log, "child_exit", server, worker)


def read_records(server: Arbiter, child: Child) -> list[Record | None]:
    """Return what the scoreboard has of a child, its main thread first."""
    return server.scoreboard.read_run(child.slot, child.records)


def set_phase(server: Arbiter, child: Child, phase: SlotPhase) -> None:
    """Tell everybody who looks at the scoreboard how a child is."""
    server.scoreboard.set_phase(child.slot, phase, child.records)


def _has_worked(records: Iterable[Record | None]) -> bool:
    return any(record.requests for record in records if record)


def log_others(
    server: Arbiter, level: int, child: Child, records: Sequence[Record | None], now: float
) -> None:
    """Log the requests in flight that found no room in the line before."""
    for request in name_others(records, now):
        server.log.log(level, "Worker (pid:%s), too: %s", child.pid, request)


def log_stacks(server: Arbiter, child: Child, text: str, now: float) -> None:
    """Log where a child was that was asked, unless it has become ready since."""
    if child.aborted:
        server.log.error("Stacks of worker (pid:%s)\n%s", child.pid, text)
    elif not child.was_ready:
        age = now - child.born
        server.log.warning("Worker (pid:%s) is still booting after %.0fs\n%s", child.pid, age, text)


def _judge_death(
    server: Arbiter, child: Child, code: int | None, has_worked: bool, now: float
) -> None:
    if child.generation != server.current.number:
        return  # its successors are booting
    if child.ready_at is None:
        is_first = not server.was_ready and not server.reload.covers(child)
        if is_first and code in REASONS:
            server.stopping.halt(code)
        else:
            judge_failed_boot(server, child, now)
    elif now - child.ready_at < SETTLED_S and not (code == 0 and has_worked):
        _hold_place(server, child, now)


def judge_failed_boot(server: Arbiter, child: Child, now: float) -> None:
    """Draw the consequences of a worker that did not become ready; the server goes on."""
    if child.generation != server.current.number:
        return  # its successors are booting
    if server.reload.covers(child):
        server.reload.roll_back("a new worker did not boot")
    else:
        _hold_place(server, child, now)


def _hold_place(server: Arbiter, child: Child, now: float) -> None:
    delay = server.backoff.record_crash(child.born, now, was_ready=child.was_ready)
    if delay:
        server.log.warning("The next worker is started in %.1f seconds", delay)


def send(child: Child, signum: int) -> None:
    """Send a signal to a child that has not been reaped."""
    # Gone only where somebody else reaped it; the next look at it finds out.
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signum)
