"""The registry of child processes: plain data, no system calls, times passed in.

A child goes ``BOOTING -> READY -> DRAINING -> GONE``, and may skip any but the last. Children
carry the number of the generation (one configuration, one code) that they were forked for. One
of an earlier generation, or one that is to be replaced for a reason of its own, is outdated: it
serves on until a successor is ready.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.arbiter.stacks import StackFile


class Phase(enum.Enum):
    """Where a child is in its life."""

    BOOTING = "booting"
    READY = "ready"
    DRAINING = "draining"
    GONE = "gone"


class Child:
    """The arbiter's view of one worker; times are ``time.monotonic()`` seconds.

    ``age`` is the order of forks, from 1. ``slot`` is the first of its scoreboard records, its main
    thread's, and ``records`` how many it has. ``news_fd`` is the read end of the pipe of its
    ``News``. ``pidfd`` is readable once the child is dead, and -1 where the system has none.
    ``stack_file`` takes its stacks, ``place`` says which sockets it has, and
    ``timeout_is_per_call`` is what its worker class says.
    """

    def __init__(
        self,
        pid: int,
        age: int,
        generation: int,
        slot: int,
        born: float,
        *,
        records: int = 1,
        news_fd: int = -1,
        pidfd: int = -1,
        stack_file: StackFile | None = None,
        place: int = 0,
        timeout_is_per_call: bool = True,
    ) -> None:
        self.pid = pid
        self.age = age
        self.generation = generation
        self.slot = slot
        self.records = records
        self.born = born
        self.phase = Phase.BOOTING
        self.ready_at: float | None = None
        self.news_fd = news_fd
        self.pidfd = pidfd
        self.stack_file = stack_file
        self.place = place
        self.timeout_is_per_call = timeout_is_per_call
        self.check_at: float | None = None  # when its progress has to be looked at
        self.kill_at: float | None = None  # when it gets SIGKILL unless it has left
        self.remind_at: float | None = None  # when it is told to leave once more, while it boots
        self.aborted = False  # a timeout is over: it is asked for its stacks, then gets SIGABRT
        self.asks = ""  # why it is to be replaced, from itself or from what was measured
        self.is_replaced = False  # a successor is wanted or there already
        self.expires_at: float | None = None  # the end of its longest life
        self.killed = False  # has had SIGKILL from us
        self.killed_for = "It had not left in time."  # what is said about that
        self.torn = 0  # how often in a row its scoreboard record could not be read
        self.presumed_at: float | None = None  # when it counts as ready without having told
        self.owes_reopen = False  # logs were reopened while it could not take the signal

    @property
    def is_serving(self) -> bool:
        """Whether it counts as one of the workers that are wanted."""
        return self.phase in (Phase.BOOTING, Phase.READY) and not self.aborted

    @property
    def is_ready(self) -> bool:
        """Whether it serves and is to go on with it."""
        return self.phase is Phase.READY and not self.aborted

    @property
    def was_ready(self) -> bool:
        """Whether it ever got as far as serving."""
        return self.ready_at is not None

    def hurry(self, deadline: float) -> None:
        """Bring forward, never put off, the time of its SIGKILL."""
        if not self.killed:
            self.kill_at = deadline if self.kill_at is None else min(self.kill_at, deadline)


class Children:
    """All children that have not been reaped."""

    def __init__(self) -> None:
        self._by_pid: dict[int, Child] = {}

    def __len__(self) -> int:
        return len(self._by_pid)

    def __iter__(self) -> Iterator[Child]:
        """Oldest first; children may be removed on the way."""
        return iter(tuple(self._by_pid.values()))

    def __contains__(self, pid: int) -> bool:
        return pid in self._by_pid

    def find(self, pid: int) -> Child | None:
        """Return the child with a process id."""
        return self._by_pid.get(pid)

    def add(self, child: Child) -> None:
        """Take in a child that was just forked."""
        self._by_pid[child.pid] = child

    def mark_ready(self, child: Child, now: float) -> None:
        """A booting child has told that it serves; a draining one stays what it is."""
        child.ready_at = now
        child.presumed_at = None
        if child.phase is Phase.BOOTING:
            child.phase = Phase.READY

    def mark_draining(self, child: Child, deadline: float) -> None:
        """A child was asked to leave and gets SIGKILL at ``deadline``."""
        child.phase = Phase.DRAINING
        child.presumed_at = None
        child.hurry(deadline)

    def remove(self, child: Child) -> None:
        """A child is dead and reaped."""
        child.phase = Phase.GONE
        del self._by_pid[child.pid]

    def serving(self, generation: int) -> list[Child]:
        """Return the children of a generation that boot or serve, oldest first."""
        return [c for c in self._by_pid.values() if c.is_serving and _is_current(c, generation)]

    def outdated(self, generation: int) -> list[Child]:
        """Return the other children that boot or serve, oldest first."""
        return [c for c in self._by_pid.values() if c.is_serving and not _is_current(c, generation)]

    def draining(self) -> list[Child]:
        """Return those that are on their way out, oldest first."""
        return [c for c in self._by_pid.values() if c.phase is Phase.DRAINING]

    def count_ready(self, generation: int) -> int:
        """Return how many children of a generation are ready to serve."""
        return sum(child.is_ready for child in self.serving(generation))

    def longest_boot(self) -> float | None:
        """Return how long the slowest of those that are ready took for that, None without any."""
        times = [c.ready_at - c.born for c in self._by_pid.values() if c.is_ready and c.ready_at]
        return max(times, default=None)

    def free_run(self, records: int, slots: int) -> int | None:
        """Return the first of so many consecutive scoreboard records without an owner."""
        first = 0
        for slot, end in sorted((c.slot, c.slot + c.records) for c in self._by_pid.values()):
            if slot - first >= records:
                break
            first = end
        return first if first + records <= slots else None

    def next_due(self) -> float | None:
        """Return when the first child has to be looked at or killed, None for never."""
        times = [
            due
            for child in self._by_pid.values()
            for due in (child.check_at, child.kill_at, child.remind_at, child.presumed_at)
            if due is not None
        ]
        return min(times, default=None)


def _is_current(child: Child, generation: int) -> bool:
    return child.generation == generation and not child.is_replaced
