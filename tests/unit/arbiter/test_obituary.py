"""What wait statuses mean."""

from __future__ import annotations

import logging
import signal

import pytest

from monoceros.arbiter.children import Child, Phase
from monoceros.arbiter.obituary import Obituary, is_foreign_kill, write_obituary

DOING = "running GET / from ::1 for 2.0s"


def make(phase: Phase = Phase.READY, *, killed: bool = False) -> Child:
    """Return the child that died."""
    child = Child(7, 1, 1, 0, born=0.0)
    child.phase, child.killed = phase, killed
    child.ready_at = None if phase is Phase.BOOTING else 1.0
    return child


@pytest.mark.parametrize(
    ("child", "status", "code", "message"),
    [
        (make(Phase.DRAINING), 0, 0, ""),
        (make(Phase.BOOTING), 0, 0, "Worker (pid:7) exited before it was ready."),
        (make(), 3 << 8, 3, "Worker (pid:7) exited with code 3."),
        (make(), 255 << 8, 255, "Worker (pid:7) exited with code 255."),
        (make(), 9, None, "Worker (pid:7) was sent SIGKILL! Why."),
        (make(Phase.DRAINING), 9, None, "Worker (pid:7) was sent SIGKILL! Why."),
        (make(killed=True), 9, None, "Worker (pid:7) was sent SIGKILL! It had not left in time."),
        (make(), 11 | 0x80, None, "Worker (pid:7) was sent SIGSEGV!"),
        (make(), 15, None, "Worker (pid:7) was sent SIGTERM!"),
        (make(Phase.DRAINING), signal.SIGTERM, None, ""),
        (make(Phase.DRAINING), signal.SIGQUIT, None, ""),
        (make(Phase.DRAINING), 11, None, "Worker (pid:7) was sent SIGSEGV!"),
        (make(), 63, None, "Worker (pid:7) was sent signal 63!"),
        (make(), None, None, "Worker (pid:7) is gone; its exit status is unknown."),
    ],
)
def test_obituary(child: Child, status: int | None, code: int | None, message: str) -> None:
    assert write_obituary(child, status, " Why.") == Obituary(code, message, logging.ERROR)


@pytest.mark.parametrize("status", [1 << 8, 11, 9, None])
def test_requests_in_hand_are_named(status: int | None) -> None:
    message = write_obituary(make(), status, doing=DOING).message

    assert message.startswith("Worker (pid:7) ")
    assert message.endswith(f" It was {DOING}.")


@pytest.mark.parametrize(("doing", "level"), [("", logging.INFO), (DOING, logging.ERROR)])
def test_worker_that_leaves_by_itself(doing: str, level: int) -> None:
    obituary = write_obituary(make(), 0, doing=doing)

    assert obituary.message.startswith("Worker (pid:7) exited with code 0, unasked.")
    assert obituary.message.endswith(doing + "." if doing else "unasked.")
    assert (obituary.code, obituary.level) == (0, level)


@pytest.mark.parametrize(
    ("child", "status", "expected"),
    [
        (make(), 9, True),
        (make(Phase.DRAINING), 9, True),
        (make(killed=True), 9, False),
        (make(), 11, False),
        (make(), 9 << 8, False),
        (make(), None, False),
    ],
)
def test_kills_that_are_not_ours(child: Child, status: int | None, expected: bool) -> None:
    assert is_foreign_kill(child, status) is expected
