"""The plan for ``workers = auto``: fixture trees of the kernel's files in, numbers out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from monoceros.config import cgroups
from monoceros.config.machine import MIB, WorkerPlan, plan_workers, room_line, warn_oversized

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024 * MIB
MEMINFO = {"proc/meminfo": "MemTotal:        8388608 kB\nMemFree:  1 kB\n"}
V2 = {
    **MEMINFO,
    "proc/self/mountinfo": "22 27 0:21 / /proc rw - proc proc rw\n"
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
}
V1 = {
    **MEMINFO,
    "proc/self/mountinfo": "32 31 0:29 /docker/ab /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup"
    " rw,cpu,cpuacct\n35 31 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
    "proc/self/cgroup": "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n",
}
CPU1, MEMORY1 = "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory"

TREES = {
    "no /proc, as on macOS": ({}, 8, None),
    "no limits": (MEMINFO, 8, 8 * GIB),
    "v2, the container's own group is the root": (
        V2
        | {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
        },
        1.5,
        2 * GIB,
    ),
    "v2, nested: the lowest limit of all parents": (
        V2
        | {
            "proc/self/cgroup": "0::/system.slice/web.service\n",
            "sys/fs/cgroup/system.slice/web.service/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/system.slice/web.service/memory.max": "max\n",
            "sys/fs/cgroup/system.slice/cpu.max": "100000 50000\n",
            "sys/fs/cgroup/system.slice/memory.max": f"{GIB}\n",
        },
        2,
        GIB,
    ),
    "v2, memory.high": (
        V2
        | {
            "proc/self/cgroup": "0::/a\n",
            "sys/fs/cgroup/a/memory.max": f"{2 * GIB}\n",
            "sys/fs/cgroup/a/memory.high": f"{GIB}\n",
        },
        8,
        GIB,
    ),
    "v2, max": (
        V2
        | {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cpu.max": "max 100000\n",
            "sys/fs/cgroup/memory.max": "max\n",
        },
        8,
        8 * GIB,
    ),
    "v2, no period": (
        V2 | {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000"},
        0.5,
        8 * GIB,
    ),
    "v2, a group outside of the namespace": (
        V2 | {"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        1,
        8 * GIB,
    ),
    "v2, mounted from a group above, with blanks in the path": (
        MEMINFO
        | {
            "proc/self/mountinfo": "30 23 0:26 /pod /c\\040g rw shared:4 master:1 - cgroup2 c rw\n",
            "proc/self/cgroup": "0::/pod/app\n",
            "c g/cpu.max": "300000 100000\n",
            "c g/app/cpu.max": "200000 100000\n",
        },
        2,
        8 * GIB,
    ),
    "v2, a limit above the physical memory": (
        V2 | {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{64 * GIB}\n"},
        8,
        8 * GIB,
    ),
    "v1": (
        V1
        | {
            f"{CPU1}/cpu.cfs_quota_us": "50000\n",
            f"{CPU1}/cpu.cfs_period_us": "100000\n",
            f"{MEMORY1}/memory.limit_in_bytes": f"{512 * MIB}\n",
        },
        0.5,
        512 * MIB,
    ),
    "v1, unlimited": (
        V1
        | {
            f"{CPU1}/cpu.cfs_quota_us": "-1\n",
            f"{CPU1}/cpu.cfs_period_us": "100000\n",
            f"{MEMORY1}/memory.limit_in_bytes": "9223372036854771712\n",
        },
        8,
        8 * GIB,
    ),
    "v1, nested": (
        MEMINFO
        | {
            "proc/self/mountinfo": "35 31 0:32 / /m rw - cgroup cgroup rw,memory\n",
            "proc/self/cgroup": "5:memory:/a/b\n",
            "m/a/b/memory.limit_in_bytes": f"{4 * GIB}\n",
            "m/a/memory.limit_in_bytes": f"{3 * GIB}\n",
        },
        8,
        3 * GIB,
    ),
    "hybrid: memory in v1, the CPU in v2": (
        MEMINFO
        | {
            "proc/self/mountinfo": "35 31 0:32 / /m rw - cgroup cgroup rw,memory\n"
            "41 31 0:38 / /u rw - cgroup2 cgroup2 rw\n",
            "proc/self/cgroup": "5:memory:/x\n1:name=systemd:/y\n0::/z\n",
            "m/x/memory.limit_in_bytes": f"{GIB}\n",
            "u/z/cpu.max": "300000 100000\n",
        },
        3,
        GIB,
    ),
    "garbage": (
        {
            "proc/meminfo": "MemTotal: a lot\nMemTotal:\n\0\xff\n",
            "proc/self/mountinfo": "\n - \nx - cgroup2\n30 23 0:26 / /g rw - cgroup2 cgroup2 rw\n",
            "proc/self/cgroup": "0::/\n7\n::\n",
            "g/cpu.max": "many 0\n",
            "g/memory.max": "-5\n",
            "g/memory.high": "0\n",
        },
        8,
        None,
    ),
    "a period of nothing": (
        V2 | {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"},
        8,
        8 * GIB,
    ),
}


def grow(root: Path, files: dict[str, str]) -> Path:
    """Write files below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1")
    return root


@pytest.mark.parametrize("name", TREES)
def test_limits(name: str, tmp_path: Path) -> None:
    files, cpus, memory = TREES[name]
    plan = plan_workers(grow(tmp_path, files), affinity=8)
    assert (plan.cpus, plan.memory_limit) == (cpus, memory)
    assert plan.cpu_source == ("affinity" if cpus == 8 else "cgroup quota")
    assert plan.memory_source == ("machine" if memory in (None, 8 * GIB) else "cgroup limit")


def test_free_memory_of_the_old_groups(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/a/b\n",
        "proc/self/mountinfo": "1 1 0:1 / /m rw - cgroup cgroup rw,memory\n",
        "m/a/b/memory.limit_in_bytes": f"{4 * GIB}\n",
        "m/a/b/memory.usage_in_bytes": f"{GIB}\n",
        "m/a/memory.limit_in_bytes": f"{3 * GIB}\n",
        "m/a/memory.usage_in_bytes": f"{2 * GIB}\n",
        "m/a/memory.stat": f"cache 1\ntotal_inactive_file {GIB // 2}\n",
    }
    assert cgroups.read_free_memory(grow(tmp_path, files)) == GIB + GIB // 2


def test_files_that_cannot_be_read_set_no_limit(tmp_path: Path) -> None:
    root = grow(tmp_path, V2 | {"proc/self/cgroup": "0::/\n"})
    (root / "sys/fs/cgroup/cpu.max").mkdir(parents=True)
    assert plan_workers(root, affinity=3).cpus == 3


def test_affinity_below_the_quota_counts(tmp_path: Path) -> None:
    files = V2 | {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}
    plan = plan_workers(grow(tmp_path, files), affinity=1)
    assert (plan.cpus, plan.cpu_source, plan.workers) == (1, "affinity", 3)


def test_affinity_is_the_process_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 7}, raising=False)
    assert plan_workers(tmp_path).cpus == 2


def test_without_affinity_the_machine_s_cpus_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    plan = plan_workers(tmp_path)
    assert (plan.cpus, plan.cpu_source) == (6, "machine")


def test_this_machine() -> None:
    plan = plan_workers()
    assert 0 < plan.cpus <= (os.cpu_count() or 1)
    assert plan.workers >= 2


@pytest.mark.parametrize(
    ("cpus", "workers"),
    [
        (0.01, 2),
        (0.25, 2),
        (0.5, 2),
        (0.75, 3),
        (1, 3),
        (1.5, 4),
        (2, 5),
        (0.3 + 0.7, 3),
        (64, 129),
    ],
)
def test_workers_follow_from_the_cpus(cpus: float, workers: int) -> None:
    assert WorkerPlan(cpus, "affinity", None, "machine").workers == workers


@pytest.mark.parametrize(
    ("memory", "size", "count"),
    [
        (2 * GIB, 400 * MIB, 3),
        (2 * GIB, 100 * MIB, 5),
        (2 * GIB, 4 * GIB, 1),
        (2 * GIB, 0, 5),
        (None, 400 * MIB, 5),
    ],
)
def test_workers_fit_into_memory(memory: int | None, size: int, count: int) -> None:
    assert WorkerPlan(2, "affinity", memory, "cgroup limit").fit(size) == count


@pytest.mark.parametrize(
    ("memory", "needed"), [(None, False), (3413 * MIB, True), (3414 * MIB, False)]
)
def test_workers_are_measured_where_memory_may_be_short(memory: int | None, needed: bool) -> None:
    assert WorkerPlan(2, "affinity", memory, "machine").needs_measuring is needed


@pytest.mark.parametrize(
    ("plan", "count", "size", "line"),
    [
        (
            WorkerPlan(2, "affinity", 24064 * MIB, "machine"),
            5,
            None,
            "Workers: 5 = 2 x 2 CPUs (affinity) + 1; memory is no bound (24064 MiB)",
        ),
        (
            WorkerPlan(2, "cgroup quota", 2 * GIB, "cgroup limit"),
            3,
            400 * MIB,
            "Workers: 3 of 5 (2 x 2 CPUs (cgroup quota) + 1): "
            "0.75 x 2048 MiB (cgroup limit) / 400 MiB each",
        ),
        (
            WorkerPlan(2, "affinity", 2 * GIB, "cgroup limit"),
            5,
            100 * MIB,
            "Workers: 5 = 2 x 2 CPUs (affinity) + 1; "
            "memory has room: 0.75 x 2048 MiB (cgroup limit) / 100 MiB each",
        ),
        (
            WorkerPlan(1, "affinity", GIB, "cgroup limit"),
            3,
            None,
            "Workers: 3 = 2 x 1 CPU (affinity) + 1; "
            "memory leaves 256 MiB each (1024 MiB, cgroup limit)",
        ),
        (
            WorkerPlan(0.25, "cgroup quota", None, "machine"),
            2,
            None,
            "Workers: 2 = 2 x 0.25 CPUs (cgroup quota) + 1, rounded up; "
            "memory is no bound (limit unknown)",
        ),
    ],
)
def test_the_arithmetic_is_told(plan: WorkerPlan, count: int, size: int | None, line: str) -> None:
    assert plan.explain(count, size) == line


def test_room_beside_one_worker() -> None:
    assert room_line(WorkerPlan(2, "affinity", None, "machine")) == (
        "1 worker; this machine has room for 5 (2 x 2 CPUs (affinity) + 1): --workers auto"
    )


def test_room_where_memory_may_be_the_bound() -> None:
    assert room_line(WorkerPlan(1.5, "cgroup quota", 512 * MIB, "cgroup limit")) == (
        "1 worker; this machine has room for 4 (2 x 1.5 CPUs (cgroup quota) + 1) of at most 96 MiB "
        "each: --workers auto"
    )


@pytest.mark.parametrize(
    ("workers", "as_what"), [(129, "2 x 64 + 1"), (128, "2 x 64"), (65, "64 + 1"), (64, "64")]
)
def test_the_host_s_cpus_inside_of_a_container(workers: int, as_what: str) -> None:
    plan = WorkerPlan(1.5, "cgroup quota", None, "machine")
    assert warn_oversized(workers, plan, host=64) == (
        f"workers = {workers} looks like {as_what} for the 64 CPUs of the machine, but 1.5 may be "
        'used here (cgroup quota), which gives 4: --workers auto, or workers = "auto"'
    )


@pytest.mark.parametrize(
    ("workers", "cpus", "host"),
    [
        (40, 1.5, 64),  # chosen by somebody
        (5, 1.5, 2),  # as many CPUs as the quota needs
        (4, 2, 4),  # within what the container has room for
        (129, 64, 64),  # no container
    ],
)
def test_no_warning(workers: int, cpus: float, host: int) -> None:
    assert warn_oversized(workers, WorkerPlan(cpus, "cgroup quota", None, ""), host) is None
