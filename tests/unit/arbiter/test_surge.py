"""How many workers more there may be at a replacement, by setting and by memory."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from monoceros.arbiter import surge
from monoceros.arbiter.children import Child, Children
from monoceros.arbiter.memory import measure_private

if TYPE_CHECKING:
    from pathlib import Path

    from monoceros.arbiter.loop import Arbiter


def decide(root: Path, asked: int | str, wanted: int = 3) -> tuple[int, list[str]]:
    """Ask for a server with one ready worker, which is this process."""
    lines: list[str] = []
    children = Children()
    children.add(child := Child(os.getpid(), 1, 1, 0, 0.0))
    children.mark_ready(child, 1.0)
    server = SimpleNamespace(
        cfg=SimpleNamespace(reload_surge=asked),
        num_workers=wanted,
        children=children,
        log=SimpleNamespace(info=lambda msg, *args: lines.append(msg % args)),
    )
    return surge.decide(cast("Arbiter", server), root), lines


def make_group(root: Path, free_workers: float) -> None:
    """Make a container whose memory has room for so many more processes like this one."""
    size = measure_private(os.getpid())
    assert size is not None
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "1 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/memory.max": f"{int(size * (2 + free_workers))}\n",
        "sys/fs/cgroup/memory.current": f"{size * 3}\n",
        "sys/fs/cgroup/memory.stat": f"anon 17\ninactive_file {size}\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_without_a_limit_all_at_once(tmp_path: Path) -> None:
    assert decide(tmp_path, "auto") == (3, [])


def test_a_number_is_taken_as_it_is(tmp_path: Path) -> None:
    make_group(tmp_path, 0)
    assert decide(tmp_path, 2) == (2, [])
    assert decide(tmp_path, 0) == (0, [])


@pytest.mark.parametrize(
    ("free", "surge", "how"),
    [(5.5, 3, ""), (2.5, 2, "2 at a time"), (0.5, 0, "each leaves before its successor starts")],
)
def test_limit_bounds(tmp_path: Path, free: float, surge: int, how: str) -> None:
    make_group(tmp_path, free)
    decided, lines = decide(tmp_path, "auto")
    assert decided == surge
    assert [how in line for line in lines] == ([True] if how else [])


def test_more_than_the_limit_in_use(tmp_path: Path) -> None:
    make_group(tmp_path, -1)
    assert decide(tmp_path, "auto")[0] == 0
