"""Who follows whom, without a process: a fake server that forks and buries as it is told."""

from __future__ import annotations

import itertools

import pytest

from monoceros.arbiter.children import Child, Children
from monoceros.arbiter.succession import Demand, choose_leavers, count_missing


class Fleet:
    """Children that boot, drain and die when the test says so."""

    def __init__(self, ready: int, generation: int = 1) -> None:
        self.children = Children()
        self._pids = itertools.count(1)
        for _ in range(ready):
            self.fork(generation)
        self.become_ready()

    def fork(self, generation: int) -> Child:
        """Take in one more that boots."""
        pid = next(self._pids)
        child = Child(pid, age=pid, generation=generation, slot=pid, born=0.0)
        self.children.add(child)
        return child

    def follow(self, demand: Demand) -> tuple[int, int]:
        """Do what is due; return how many were forked and how many told to leave."""
        missing = count_missing(self.children, demand)
        for _ in range(missing):
            self.fork(demand.generation)
        leavers = choose_leavers(self.children, demand)
        for child in leavers:
            self.children.mark_draining(child, 30.0)
        return missing, len(leavers)

    def become_ready(self) -> None:
        """Have those that boot come up."""
        for child in self.children:
            if child.phase.value == "booting":
                self.children.mark_ready(child, 1.0)

    def bury(self) -> None:
        """Have the draining ones go."""
        for child in self.children.draining():
            self.children.remove(child)

    @property
    def ready(self) -> int:
        """How many serve."""
        return sum(child.is_ready for child in self.children)

    def is_renewed(self, demand: Demand) -> bool:
        """Whether only what is wanted is left."""
        return len(self.children) == demand.wanted == len(self.children.serving(demand.generation))


@pytest.mark.parametrize(
    ("wanted", "surge", "is_atomic"),
    [
        (wanted, surge, is_atomic)
        for wanted in (1, 2, 5)
        for surge in (1, 2, 5)
        for is_atomic in (False, True)
        if surge >= wanted or not is_atomic
    ],
)
def test_successors_come_first(wanted: int, surge: int, is_atomic: bool) -> None:
    fleet = Fleet(wanted)
    demand = Demand(2, wanted, surge, is_atomic)
    most = 0
    for _ in range(20):
        fleet.follow(demand)
        serving = [child for child in fleet.children if child.is_serving]
        most = max(most, len(serving))
        assert fleet.ready >= wanted
        fleet.become_ready()
        assert fleet.ready >= wanted
        fleet.bury()
    assert fleet.is_renewed(demand)
    assert most == wanted + min(surge, wanted)


def test_without_surge_one_goes_first() -> None:
    fleet = Fleet(3)
    demand = Demand(2, 3, 0)
    for _ in range(3):
        assert fleet.follow(demand) == (0, 1)
        assert fleet.follow(demand) == (0, 0)  # it still takes memory
        fleet.bury()
        assert fleet.follow(demand) == (1, 0)
        assert fleet.follow(demand) == (0, 0)
        assert fleet.ready == 2
        fleet.become_ready()
    assert fleet.follow(demand) == (0, 0)
    assert fleet.is_renewed(demand)


def test_atomic_movement_keeps_all_until_the_last_successor_is_ready() -> None:
    fleet = Fleet(2)
    demand = Demand(2, 2, 2, is_atomic=True)
    assert fleet.follow(demand) == (2, 0)
    first, _ = fleet.children.serving(2)
    fleet.children.mark_ready(first, 1.0)
    assert fleet.follow(demand) == (0, 0)
    fleet.become_ready()
    assert fleet.follow(demand) == (0, 2)


def test_single_worker_is_replaced_within_its_generation() -> None:
    fleet = Fleet(2)
    demand = Demand(1, 2, 1)
    oldest = next(iter(fleet.children))
    oldest.is_replaced = True
    assert fleet.follow(demand) == (1, 0)
    fleet.become_ready()
    assert fleet.follow(demand) == (0, 1)
    assert oldest.phase.value == "draining"


def test_death_is_made_good_at_once_also_in_a_movement() -> None:
    fleet = Fleet(2)
    fleet.children.remove(next(iter(fleet.children)))
    assert count_missing(fleet.children, Demand(1, 2, 1)) == 1
    assert count_missing(fleet.children, Demand(1, 2, 0)) == 1
    assert count_missing(fleet.children, Demand(1, 2, 1), held=1) == 0
    assert count_missing(fleet.children, Demand(2, 2, 1)) == 2


def test_timed_out_worker_takes_no_place() -> None:
    fleet = Fleet(2)
    next(iter(fleet.children)).aborted = True
    assert fleet.follow(Demand(1, 2, 0)) == (1, 0)


def test_fewer_wanted_lets_those_go_first_that_boot() -> None:
    fleet = Fleet(2)
    booting = fleet.fork(1)
    assert choose_leavers(fleet.children, Demand(1, 2, 1)) == [booting]
    oldest = next(iter(fleet.children))
    assert choose_leavers(fleet.children, Demand(1, 1, 1)) == [booting, oldest]


def test_outdated_ones_are_enough_for_fewer_wanted() -> None:
    fleet = Fleet(3)
    demand = Demand(2, 1, 1)
    assert fleet.follow(demand) == (0, 2)  # down to the number that is wanted now
    assert fleet.follow(demand) == (1, 0)
    fleet.become_ready()
    assert fleet.follow(demand) == (0, 1)


@pytest.mark.parametrize("is_atomic", [False, True])
def test_outdated_one_that_boots_is_not_waited_for(is_atomic: bool) -> None:
    fleet = Fleet(1)
    stuck = fleet.fork(1)
    demand = Demand(2, 2, 2, is_atomic)
    assert fleet.follow(demand)[1] == 1
    assert stuck.phase.value == "draining"
    fleet.follow(demand)
    fleet.become_ready()
    fleet.follow(demand)
    fleet.bury()
    assert fleet.is_renewed(demand)


def test_atomic_movement_to_fewer_workers() -> None:
    fleet = Fleet(4)
    demand = Demand(2, 2, 2, is_atomic=True)
    assert fleet.follow(demand) == (2, 0)
    fleet.become_ready()
    assert fleet.follow(demand) == (0, 4)
