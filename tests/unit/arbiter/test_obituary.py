"""What wait statuses mean."""

from __future__ import annotations

import signal

import pytest

from monoceros.arbiter.children import Child, Phase
from monoceros.arbiter.obituary import write_obituary


def make(phase: Phase = Phase.READY, *, killed: bool = False) -> Child:
    """Return the child that died."""
    child = Child(7, 1, 1, 0, born=0.0)
    child.phase, child.killed = phase, killed
    child.ready_at = None if phase is Phase.BOOTING else 1.0
    return child


@pytest.mark.parametrize(
    ("child", "status", "code", "message"),
    [
        (make(), 0, 0, ""),
        (make(Phase.DRAINING), 0, 0, ""),
        (make(Phase.BOOTING), 0, 0, "Worker (pid:7) exited before it was ready."),
        (make(), 3 << 8, 3, "Worker (pid:7) exited with code 3."),
        (make(), 255 << 8, 255, "Worker (pid:7) exited with code 255."),
        (make(), 9, None, "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?"),
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
    assert write_obituary(child, status) == (code, message)
