"""What the kernel's counter of out-of-memory kills proves, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.arbiter.oom import NOT_BY_US, SAME_MOMENT_S, UNKNOWN, Oom

if TYPE_CHECKING:
    from pathlib import Path

V1_MOUNT = "36 32 0:31 / /cg/memory rw - cgroup cgroup rw,memory\n"
V2_MOUNT = "30 23 0:26 / /cg rw - cgroup2 cgroup rw\n"


class Tree:
    """A file system with a control group that this process is in."""

    def __init__(self, root: Path, mount: str, group: str, directory: str, counter: str) -> None:
        self.root = root
        self._group = root / directory
        self._counter = self._group / counter
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text(group)
        (root / "proc/self/mountinfo").write_text(mount)
        self._group.mkdir(parents=True)

    def count(self, kills: int) -> None:
        """Set the counter."""
        self._counter.write_text(f"oom_kill_disable 0\nmax 9\noom_kill {kills}\noom_group_kill 7\n")

    def limit(self, name: str, value: str) -> None:
        """Set a limit."""
        (self._group / name).write_text(f"{value}\n")


@pytest.fixture(params=["v2 local", "v2", "v1"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """Return a group without a kill so far and with a limit of 64 MiB."""
    if request.param == "v1":
        tree = Tree(tmp_path, V1_MOUNT, "4:memory:/a\n0::/\n", "cg/memory/a", "memory.oom_control")
        tree.limit("memory.limit_in_bytes", str(64 << 20))
    else:
        counter = "memory.events.local" if "local" in request.param else "memory.events"
        tree = Tree(tmp_path, V2_MOUNT, "0::/a/b\n", "cg/a/b", counter)
        tree.limit("memory.max", str(64 << 20))
    tree.count(0)
    return tree


def test_counter_that_rose_is_proof(tree: Tree) -> None:
    tree.count(3)
    oom = Oom(tree.root)
    tree.count(4)

    assert oom.explain(10.0) == (
        " Out of memory: the kernel killed it "
        "(oom_kill of its cgroup rose from 3 to 4; the limit is 64 MiB)."
    )


def test_counter_that_stands_still_is_proof_of_the_contrary(tree: Tree) -> None:
    oom = Oom(tree.root)

    assert oom.explain(10.0) == NOT_BY_US


def test_one_kill_explains_one_death(tree: Tree) -> None:
    oom = Oom(tree.root)
    tree.count(2)
    later = 10.0 + SAME_MOMENT_S / 2

    assert "Out of memory" in oom.explain(10.0)
    assert "rose from 0 to 2" in oom.explain(later)
    assert oom.explain(later) == NOT_BY_US


def test_kill_of_somebody_else_is_forgotten(tree: Tree) -> None:
    oom = Oom(tree.root)
    tree.count(2)
    assert "Out of memory" in oom.explain(10.0)
    assert oom.explain(10.1 + SAME_MOMENT_S) == NOT_BY_US

    tree.count(3)
    assert "rose from 2 to 3" in oom.explain(99.0)
    assert oom.explain(99.0) == NOT_BY_US


def test_local_counter_is_the_one_of_two(tmp_path: Path) -> None:
    tree = Tree(tmp_path, V2_MOUNT, "0::/a\n", "cg/a", "memory.events.local")
    tree.count(0)
    all_groups = tmp_path / "cg/a/memory.events"
    all_groups.write_text("oom_kill 0\n")
    oom = Oom(tree.root)
    all_groups.write_text("oom_kill 1\n")

    assert oom.explain(10.0) == NOT_BY_US


def test_no_limit_of_our_own(tmp_path: Path) -> None:
    tree = Tree(tmp_path, V2_MOUNT, "0::/a\n", "cg/a", "memory.events")
    tree.count(0)
    oom = Oom(tree.root)
    tree.count(1)

    assert oom.explain(10.0).endswith("; no limit is set here).")


def test_no_counter_no_verdict(tmp_path: Path) -> None:
    assert Oom(tmp_path).explain(10.0) == UNKNOWN

    tree = Tree(tmp_path, V1_MOUNT, "4:memory:/a\n", "cg/memory/a", "memory.oom_control")
    (tmp_path / "cg/memory/a/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\n")
    assert Oom(tree.root).explain(10.0) == UNKNOWN


def test_counter_that_vanishes_no_verdict(tree: Tree, tmp_path: Path) -> None:
    oom = Oom(tree.root)
    for path in tmp_path.rglob("memory.*"):
        path.unlink()

    assert oom.explain(10.0) == UNKNOWN
