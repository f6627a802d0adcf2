"""How many workers this machine, or the container around this process, has room for."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

from monoceros.config import cgroups

MIB = 1 << 20
SHARE = 0.75  # of the memory is for workers; the rest is for the arbiter, page cache and peaks
ROOMY = 512 * MIB  # more than nearly any worker takes

_REMEDY = '--workers auto, or workers = "auto"'


class WorkerPlan(NamedTuple):
    """What bounds the number of workers, and the number that follows from it.

    ``cpus`` is how many CPUs may be used at once, ``memory_limit`` is in bytes and None where
    it is not known; the sources say in a word who sets each.
    """

    cpus: float
    cpu_source: str
    memory_limit: int | None
    memory_source: str

    @property
    def workers(self) -> int:
        """Gunicorn's advice for workers with one request at a time: twice the CPUs, and one."""
        return math.ceil(round(2 * self.cpus, 3)) + 1

    @property
    def needs_measuring(self) -> bool:
        """Whether memory may be the bound, so that the size of a worker must be known."""
        return self.memory_limit is not None and self._memory / self.workers < ROOMY

    def fit(self, worker_bytes: int) -> int:
        """Return how many workers of this size there is room for, at least one."""
        if self.memory_limit is None or worker_bytes <= 0:
            return self.workers
        return max(1, min(self.workers, int(self._memory // worker_bytes)))

    def explain(self, count: int, worker_bytes: int | None = None) -> str:
        """Return one line with the arithmetic behind ``count``."""
        if count < self.workers:
            return f"Workers: {count} of {self.workers} ({self.sum}): {self._divide(worker_bytes)}"
        if worker_bytes is not None and self.memory_limit is not None:
            room = f"memory has room: {self._divide(worker_bytes)}"
        elif self.needs_measuring:
            room = f"memory leaves {self.share} each ({self._limit})"
        else:
            room = f"memory is no bound ({self._limit})"
        return f"Workers: {count} = {self.sum}; {room}"

    @property
    def sum(self) -> str:
        """The arithmetic of ``workers``, such as ``2 x 2 CPUs (affinity) + 1``."""
        unit = "CPU" if self.cpus == 1 else "CPUs"
        rounded = "" if float(round(2 * self.cpus, 3)).is_integer() else ", rounded up"
        return f"2 x {self.cpus:.4g} {unit} ({self.cpu_source}) + 1{rounded}"

    @property
    def share(self) -> str:
        """The memory for each of ``workers``, such as ``96 MiB``."""
        return _mib(self._memory / self.workers)

    @property
    def _memory(self) -> float:
        return SHARE * (self.memory_limit or 0)

    @property
    def _limit(self) -> str:
        if self.memory_limit is None:
            return "limit unknown"
        source = "" if self.memory_source == MACHINE else f", {self.memory_source}"
        return f"{_mib(self.memory_limit)}{source}"

    def _divide(self, worker_bytes: int | None) -> str:
        source = f" ({self.memory_source})" if self.memory_limit else ""
        text = f"{SHARE:g} x {_mib(self.memory_limit or 0)}{source}"
        return text if worker_bytes is None else f"{text} / {_mib(worker_bytes)} each"


MACHINE = "machine"


def plan_workers(root: Path = Path("/"), affinity: int | None = None) -> WorkerPlan:
    """Read CPU affinity, quotas and memory limits; raises nothing.

    ``root`` is where the file system begins, ``affinity`` the number of CPUs this process may
    run on, asked of the system if None.
    """
    cpus, cpu_source = (affinity, AFFINITY) if affinity is not None else _count_cpus()
    quota = cgroups.read_cpus(root)
    if quota is not None and quota < cpus:
        cpus, cpu_source = quota, "cgroup quota"
    memory, memory_source = _read_physical_memory(root), MACHINE
    limit = cgroups.read_memory(root)
    if limit is not None and (memory is None or limit < memory):
        memory, memory_source = limit, "cgroup limit"
    return WorkerPlan(cpus, cpu_source, memory, memory_source)


AFFINITY = "affinity"


def _count_cpus() -> tuple[float, str]:
    try:
        return len(os.sched_getaffinity(0)), AFFINITY
    except (AttributeError, OSError):  # not every system can bind processes to CPUs
        return os.cpu_count() or 1, MACHINE


def _read_physical_memory(root: Path) -> int | None:
    for line in cgroups.read_text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == "MemTotal" and words and words[0].isdigit():
            return int(words[0]) * 1024
    return None


def room_line(plan: WorkerPlan) -> str:
    """Return the line for a server that runs one worker because nobody chose a number."""
    size = f" of at most {plan.share} each" if plan.needs_measuring else ""
    return f"1 worker; this machine has room for {plan.workers} ({plan.sum}){size}: --workers auto"


def warn_oversized(workers: int, plan: WorkerPlan, host: int | None = None) -> str | None:
    """Return a warning where ``workers`` follows from more CPUs than may be used here.

    ``host`` is the number of the machine's CPUs, which is what ``multiprocessing.cpu_count``
    in a configuration file sees from inside of a container, too.
    """
    cpus = host or os.cpu_count() or 1
    derived = {
        2 * cpus + 1: f"2 x {cpus} + 1",
        2 * cpus: f"2 x {cpus}",
        cpus + 1: f"{cpus} + 1",
        cpus: f"{cpus}",
    }
    if workers not in derived or workers <= plan.workers or cpus <= math.ceil(plan.cpus):
        return None
    return (
        f"workers = {workers} looks like {derived[workers]} for the {cpus} CPUs of the machine, "
        f"but {plan.cpus:.4g} may be used here ({plan.cpu_source}), which gives "
        f"{plan.workers}: {_REMEDY}"
    )


def _mib(size: float) -> str:
    return f"{size / MIB:.0f} MiB"
