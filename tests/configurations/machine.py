"""The machine that all cases run on: what they compute from it is the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.config.machine import WorkerPlan

if TYPE_CHECKING:
    from collections.abc import Callable

CPUS = 2


def plan() -> WorkerPlan:
    """Say what there is room for."""
    return WorkerPlan(float(CPUS), "affinity", 8 << 30, "machine")


def pretend(put: Callable[[str, object], None]) -> None:
    """Put this machine in place of the real one; ``put`` takes dotted names and values."""
    put("os.cpu_count", lambda: CPUS)
    put("os.sched_getaffinity", lambda _pid: set(range(CPUS)))
    put("monoceros.config.machine.plan_workers", plan)
