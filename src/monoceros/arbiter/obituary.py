"""What a dead worker's wait status means, in words and for the arbiter."""

from __future__ import annotations

import logging
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
    level: int = logging.ERROR


def write_obituary(
    child: Child, status: int | None, killing: str = "", doing: str = ""
) -> Obituary:
    """Judge a wait status; None is a child whose status somebody else took.

    ``killing`` is what is known about a SIGKILL that was not ours, and ``doing`` names the
    requests that the worker had in hand.
    """
    who = f"Worker (pid:{child.pid})"
    in_hand = f" It was {doing}." if doing else ""
    if status is None:
        return Obituary(None, f"{who} is gone; its exit status is unknown.{in_hand}")
    if os.WIFSIGNALED(status):
        message = _describe_signal(child, os.WTERMSIG(status), killing)
        return Obituary(None, message and f"{who} {message}{in_hand}")
    code = os.WEXITSTATUS(status)
    if code:
        return Obituary(code, f"{who} exited with code {code}.{in_hand}")
    if child.phase is Phase.DRAINING:
        return Obituary(code, "")
    if not child.was_ready:
        return Obituary(code, f"{who} exited before it was ready.")
    # A worker class may count its requests and leave by itself; with a request in hand it was
    # the application that left, and a client has no answer.
    level = logging.ERROR if doing else logging.INFO
    return Obituary(code, f"{who} exited with code 0, unasked.{in_hand}", level)


def is_foreign_kill(child: Child, status: int | None) -> bool:
    """Whether a wait status tells of a SIGKILL that did not come from the arbiter."""
    if status is None or child.killed:
        return False
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _describe_signal(child: Child, signum: int, killing: str) -> str:
    if child.phase is Phase.DRAINING and signum in (signal.SIGTERM, signal.SIGQUIT):
        return ""  # it was asked to leave before it had its signal handlers
    try:
        name = signal.Signals(signum).name
    except ValueError:
        name = f"signal {signum}"
    if signum != signal.SIGKILL:
        why = ""
    elif child.killed:
        why = f" {child.killed_for}"
    else:
        why = killing
    return f"was sent {name}!{why}"
