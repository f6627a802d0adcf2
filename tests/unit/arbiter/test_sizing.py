"""The number of workers that follows from a plan."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from monoceros.arbiter import sizing
from monoceros.arbiter.children import Child, Children
from monoceros.arbiter.memory import measure_private

if TYPE_CHECKING:
    from pathlib import Path

    from monoceros.arbiter.loop import Arbiter

ROOM = 1 << 40


@dataclass
class Plan:
    """A machine with room for eight workers, or ``room`` octets of them."""

    needs_measuring: bool
    room: int = ROOM
    workers: int = 8

    def fit(self, worker_bytes: int) -> int:
        return max(1, min(self.workers, self.room // worker_bytes))

    def explain(self, count: int, worker_bytes: int | None) -> str:
        return f"{count} workers, {'measured' if worker_bytes else 'not measured'}"


@dataclass
class Server:
    """What sizing uses of the arbiter."""

    plan: Plan | None
    lines: list[str] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    children: Children = field(default_factory=Children)

    def __post_init__(self) -> None:
        self.cfg = SimpleNamespace(plan=self.plan, workers=8 if self.plan else 3)
        self.current = SimpleNamespace(number=1, unmeasured=False)
        self.log = SimpleNamespace(info=lambda msg, *args: self.lines.append(msg % args))
        self._wanted = 0

    @property
    def num_workers(self) -> int:
        return self._wanted

    @num_workers.setter
    def num_workers(self, value: int) -> None:
        self._wanted = value
        self.changes.append(value)

    def begin(self, living: Children | None = None) -> None:
        self._wanted = sizing.begin(cast("Arbiter", self), living or ())

    def advance(self) -> None:
        sizing.advance(cast("Arbiter", self))


def add_child(children: Children, pid: int, *, ready: bool) -> Child:
    """Register a child that in truth is another process."""
    children.add(child := Child(pid, 1, 1, 0, 0.0))
    if ready:
        children.mark_ready(child, 1.0)
    return child


def test_a_given_number_is_not_explained() -> None:
    server = Server(None)
    server.begin()
    server.advance()

    assert (server.num_workers, server.lines, server.changes) == (3, [], [])


def test_a_plan_without_a_limit_is_explained_at_once() -> None:
    server = Server(Plan(needs_measuring=False))
    server.begin()
    server.advance()

    assert (server.num_workers, server.lines) == (8, ["8 workers, not measured"])


def test_the_first_worker_is_measured_when_it_is_ready() -> None:
    size = measure_private(os.getpid())
    assert size
    server = Server(Plan(needs_measuring=True, room=5 * size // 2))
    server.begin()
    assert (server.num_workers, server.lines) == (1, [])
    child = add_child(server.children, os.getpid(), ready=False)
    server.advance()
    assert (server.num_workers, server.lines) == (1, [])
    server.children.mark_ready(child, 1.0)
    server.advance()
    assert server.changes == [2]
    server.advance()

    assert server.changes == [2]
    assert server.lines == ["2 workers, measured"]


def test_room_for_one_changes_nothing() -> None:
    server = Server(Plan(needs_measuring=True, room=1))
    server.begin()
    add_child(server.children, os.getpid(), ready=True)
    server.advance()

    assert (server.changes, server.lines) == ([], ["1 workers, measured"])


def test_where_nothing_can_be_measured_the_processors_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sizing, "measure_private", lambda pid: None)
    server = Server(Plan(needs_measuring=True, room=1))
    server.begin()
    add_child(server.children, os.getpid(), ready=True)
    server.advance()

    assert (server.changes, server.lines) == ([8], ["8 workers, not measured"])


def test_a_reload_measures_the_largest_that_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {11: 100, 12: 300, 13: 999}
    monkeypatch.setattr(sizing, "measure_private", sizes.get)
    living = Children()
    for pid in sizes:
        add_child(living, pid, ready=pid != 13)
    server = Server(Plan(needs_measuring=True, room=1000))
    server.begin(living)

    assert (server.num_workers, server.lines) == (3, ["3 workers, measured"])
    assert not server.current.unmeasured


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({"smaps_rollup": "Rss: 9 kB\nPrivate_Clean: 2 kB\nPrivate_Dirty:  3 kB\n"}, 5 * 1024),
        ({"statm": "100 7 3 1 0 1 0\n"}, 7 * os.sysconf("SC_PAGE_SIZE")),
        ({"smaps_rollup": "Private_Dirty:\n", "statm": ""}, None),
        ({}, None),
    ],
)
def test_memory_of_a_process(tmp_path: Path, files: dict[str, str], size: int | None) -> None:
    (tmp_path / "4321").mkdir()
    for name, text in files.items():
        (tmp_path / "4321" / name).write_text(text)

    assert measure_private(4321, tmp_path) == size
