"""What a dead worker's wait status means, in words and for the arbiter."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from monoceros.arbiter.children import Child, Phase

WORKER_BOOT_ERROR = 3
APP_LOAD_ERROR = 4

REASONS = {WORKER_BOOT_ERROR: "Worker failed to boot.", APP_LOAD_ERROR: "App failed to load."}


class Obituary(NamedTuple):
    """How a worker ended; ``message`` is empty where there is nothing to report."""

    code: int | None  # exit code, None where a signal ended it
    message: str


def write_obituary(child: Child, status: int | None) -> Obituary:
    """Judge a wait status; None is a child whose status somebody else took."""
    if status is None:
        return Obituary(None, f"Worker (pid:{child.pid}) is gone; its exit status is unknown.")
    if os.WIFSIGNALED(status):
        return Obituary(None, _describe_signal(child, os.WTERMSIG(status)))
    code = os.WEXITSTATUS(status)
    if code:
        return Obituary(code, f"Worker (pid:{child.pid}) exited with code {code}.")
    if child.was_ready or child.phase is Phase.DRAINING:
        return Obituary(code, "")
    return Obituary(code, f"Worker (pid:{child.pid}) exited before it was ready.")


def _describe_signal(child: Child, signum: int) -> str:
    if child.phase is Phase.DRAINING and signum in (signal.SIGTERM, signal.SIGQUIT):
        return ""  # it was asked to leave before it had its signal handlers
    try:
        name = signal.Signals(signum).name
    except ValueError:
        name = f"signal {signum}"
    if signum != signal.SIGKILL:
        why = ""
    elif child.killed:
        why = " It had not left in time."
    else:
        why = " Perhaps out of memory?"
    return f"Worker (pid:{child.pid}) was sent {name}!{why}"
