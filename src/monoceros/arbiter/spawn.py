"""Forking a worker, and what happens around its life in the child.

The fork is called from the outermost frame of the arbiter, so that the child can return from
``run`` by ``sys.exit`` through no frame that catches anything: applications flush in
``atexit``, which only a normal interpreter exit runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from monoceros.arbiter.children import Child
from monoceros.arbiter.heartbeat import judge_boot
from monoceros.arbiter.obituary import APP_LOAD_ERROR, WORKER_BOOT_ERROR
from monoceros.arbiter.stacks import StackFile
from monoceros.arbiter.title import set_title
from monoceros.errors import AppImportError, LifespanFailed, StopWorker
from monoceros.identity import program
from monoceros.scoreboard import SlotPhase, State, rest
from monoceros.unpatched import fork, set_handler
from monoceros.workers import hooks, stacks
from monoceros.workers.failure import format_application_error

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter
    from monoceros.workers.base import Worker

UNHANDLED = 255
FORK_RETRY_S = 1.0


def fork_worker(server: Arbiter, worker: Worker) -> bool:
    """Fork; True in the child, False in the arbiter, which then knows the child."""
    try:
        return _fork(server, worker)
    except OSError as error:
        # No process, memory or descriptor left: those that are there go on.
        server.log.error("Cannot fork a worker: %s", error)
        server.backoff.hold(time.monotonic() + FORK_RETRY_S)
        return False


def _fork(server: Arbiter, worker: Worker) -> bool:
    read_end, worker.news_fd = os.pipe()
    stack_file: StackFile | None = None
    # What the configuration printed would else be printed once more by every child.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    try:
        stack_file = StackFile()
        with server.signals.blocked():
            pid = fork()
            if not pid:
                os.close(read_end)
                # While signals are blocked: a question that comes earlier would be deadly.
                stacks.register(stack_file.keep_target())
                return True
    except OSError:
        os.close(read_end)
        os.close(worker.news_fd)
        if stack_file is not None:
            stack_file.close()
        raise
    os.close(worker.news_fd)
    stack_file.let_go_of_target()
    os.set_blocking(read_end, False)
    worker.news_fd = -1
    worker.pid = pid
    server.WORKERS[pid] = worker
    child = Child(
        pid,
        worker.age,
        server.current.number,
        worker.slot_index,
        time.monotonic(),
        records=worker.records,
        news_fd=read_end,
        pidfd=open_pidfd(pid),
        stack_file=stack_file,
        place=worker.place,
        timeout_is_per_call=worker.timeout_is_per_call,
    )
    cfg = worker.cfg
    _, child.check_at = judge_boot(child, cfg.boot_timeout, cfg.timeout, child.born)
    server.children.add(child)
    server.scoreboard.set_phase(child.slot, SlotPhase.BOOTING, child.records)
    return False


def live(server: Arbiter, worker: Worker) -> NoReturn:
    """Be the worker until its end; runs in the child."""
    worker.pid = os.getpid()
    _close_arbiter_descriptors(server, worker)
    # Nobody gives connections to classes of others, which would not know what to do with them.
    state = State.IDLE if worker.is_ready_to_run else State.TENDING
    server.scoreboard.claim(worker.slot_index, worker.pid, time.monotonic_ns(), state)
    code = _work(server, worker)
    rest(worker.slot, time.monotonic_ns())
    _leave(server, worker)
    sys.exit(code)


def _work(server: Arbiter, worker: Worker) -> int:
    """Return the exit code."""
    try:
        set_title(program(worker.cfg.compat), "worker", server.proc_name)
        worker.log.info("Booting worker with pid: %s", worker.pid)
        hooks.call(worker.cfg, "post_fork", server, worker)
        worker.init_process()
        if worker.modules is not None and worker.modules.was_replaced():
            hooks.try_call(worker.cfg, worker.log, "worker_int", worker)
    except StopWorker as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except AppImportError as error:
        worker.log.error("%s", error)
        return APP_LOAD_ERROR
    except (hooks.HookError, LifespanFailed) as error:
        worker.log.error("%s", error)
        return WORKER_BOOT_ERROR
    except BaseException as error:
        # The border of the process: whatever the application raised ends here. Some of it, such as
        # a CancelledError, is no Exception.
        if not worker.booted and not worker.alive:
            # Told to leave while it imported; not every import lets StopWorker out as it is.
            return int(worker.aborted)
        if isinstance(error, SystemExit) and worker.booted:
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        worker.log.error("Exception in worker process\n%s", format_application_error(error))
        return UNHANDLED if worker.booted else WORKER_BOOT_ERROR
    return 0


def _leave(server: Arbiter, worker: Worker) -> None:
    # From here on the arbiter's only means is SIGKILL: an exception out of a signal handler
    # would cut the exit handlers short.
    for signum in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGUSR1):
        set_handler(signum, signal.SIG_IGN)
    set_handler(signal.SIGABRT, signal.SIG_DFL)
    worker.log.info("Worker exiting (pid: %s)", worker.pid)
    hooks.try_call(worker.cfg, worker.log, "worker_exit", server, worker)


def _close_arbiter_descriptors(server: Arbiter, worker: Worker) -> None:
    for child in server.children:
        close_child(child)
    for sibling in server.WORKERS.values():
        sibling.close_tmp()
    server.watching.release()
    server.upgrade.release()
    server.handoff.release(worker)
    for sock in server.all_sockets():
        if sock not in worker.sockets:
            sock.close()


def close_child(child: Child) -> None:
    """Close what the arbiter holds of a child."""
    for fd in (child.news_fd, child.pidfd):
        if fd >= 0:
            os.close(fd)
    child.news_fd = child.pidfd = -1
    if child.stack_file is not None:
        child.stack_file.close()


def open_pidfd(pid: int) -> int:
    """Return a descriptor that is readable once a process is dead, -1 where there is none."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            return os.pidfd_open(pid)
    return -1
