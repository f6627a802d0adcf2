"""The registry: a child's way through its phases, without a process."""

from __future__ import annotations

import pytest

from monoceros.arbiter.children import Child, Children, Phase


def make(pid: int, generation: int = 1, slot: int | None = None, records: int = 1) -> Child:
    """Return a child that was just forked."""
    slot = pid if slot is None else slot
    return Child(pid, pid, generation, slot, born=0.0, records=records)


@pytest.fixture
def children() -> Children:
    registry = Children()
    for pid in (1, 2, 3):
        registry.add(make(pid))
    return registry


def test_phases(children: Children) -> None:
    child = next(iter(children))
    assert child.phase is Phase.BOOTING
    assert not child.was_ready
    children.mark_ready(child, 5.0)
    assert (child.phase, child.ready_at, child.was_ready) == (Phase.READY, 5.0, True)
    children.mark_draining(child, 35.0)
    assert (child.phase, child.kill_at) == (Phase.DRAINING, 35.0)


def test_reaped_child_is_gone(children: Children) -> None:
    child = next(iter(children))
    children.remove(child)

    assert child.phase is Phase.GONE
    assert child.pid not in children
    assert len(children) == 2


def test_draining_child_that_becomes_ready_still_drains(children: Children) -> None:
    child = next(iter(children))
    children.mark_draining(child, 30.0)
    children.mark_ready(child, 5.0)

    assert child.phase is Phase.DRAINING
    assert child.was_ready


def test_booting_and_ready_children_serve(children: Children) -> None:
    first, second, third = children
    children.mark_ready(first, 1.0)
    children.mark_draining(second, 30.0)

    assert children.serving(1) == [first, third]
    first.aborted = True
    assert children.serving(1) == [third]
    assert children.serving(2) == []


def test_generations(children: Children) -> None:
    old = list(children)
    new = make(4, generation=2)
    children.add(new)

    assert children.serving(2) == [new]
    assert children.outdated(2) == old
    children.mark_draining(old[0], 30.0)
    assert children.outdated(2) == old[1:]


def test_ready_ones_are_counted_by_generation(children: Children) -> None:
    first, second, third = children
    children.mark_ready(first, 1.0)
    children.mark_ready(second, 1.0)

    assert children.count_ready(1) == 2
    children.mark_ready(third, 1.0)
    assert children.count_ready(1) == 3
    assert children.count_ready(2) == 0
    first.is_replaced = True
    second.aborted = True
    assert children.count_ready(1) == 1


def test_deadlines_are_never_put_off(children: Children) -> None:
    child = next(iter(children))
    child.hurry(10.0)
    child.hurry(20.0)
    assert child.kill_at == 10.0
    child.hurry(5.0)
    assert child.kill_at == 5.0
    child.kill_at, child.killed = None, True
    child.hurry(1.0)
    assert child.kill_at is None


def test_longest_boot(children: Children) -> None:
    first, second, third = children
    assert children.longest_boot() is None
    for child, moment in ((first, 9.0), (second, 5.0), (third, 2.0)):
        children.mark_ready(child, moment)
    first.aborted = True
    assert children.longest_boot() == 5.0


def test_lowest_free_run(children: Children) -> None:
    assert children.free_run(1, 10) == 0
    assert children.free_run(2, 10) == 4
    children.add(make(4, slot=0))
    assert children.free_run(1, 10) == 4
    assert children.free_run(1, 4) is None
    children.add(make(5, slot=6, records=3))
    assert [children.free_run(records, 12) for records in (1, 2, 3, 4)] == [4, 4, 9, None]
    assert Children().free_run(4, 4) == 0
    assert Children().free_run(5, 4) is None


def test_next_due(children: Children) -> None:
    first, second, _ = children
    assert children.next_due() is None
    first.check_at = 30.0
    second.kill_at = 20.0
    assert children.next_due() == 20.0


def test_children_may_go_while_they_are_looped_over(children: Children) -> None:
    for child in children:
        children.remove(child)

    assert len(children) == 0
