"""What the connections of one worker may keep together, whichever thread tends them."""

from __future__ import annotations

from _thread import get_ident


class Room:
    """Octets that are left of a limit.

    Each thread adds to a part of its own, and what is left is the sum of the parts. A lock would
    do as well, but for a child that an application forks while another thread holds it. Two
    threads that take the last octets at the same instant may both get them.
    """

    __slots__ = ("_parts",)

    def __init__(self, octets: int) -> None:
        self._parts = {0: octets}  # by thread; 0 is none's

    @property
    def left(self) -> int:
        """How much may still be taken; below 0 where somebody had to take more."""
        # A copy, because another thread may bring a new part at any time.
        return sum(self._parts.copy().values())

    def take(self, octets: int) -> None:
        """Take so many octets, whether they are there or not."""
        self.give(-octets)

    def give(self, octets: int) -> None:
        """Give so many octets back."""
        parts, thread = self._parts, get_ident()
        parts[thread] = parts.get(thread, 0) + octets


class Budget:
    """What the connections of one worker may keep in memory and in files, in octets.

    ``memory`` and ``spool`` are for requests, ``output`` and ``output_spool`` for what clients
    have not taken of responses.
    """

    __slots__ = ("memory", "output", "output_spool", "spool")

    def __init__(
        self,
        memory: int = 256 << 20,
        spool: int = 4 << 30,
        output: int = 64 << 20,
        output_spool: int = 8 << 30,
    ) -> None:
        self.memory = Room(memory)
        self.spool = Room(spool)
        self.output = Room(output)
        self.output_spool = Room(output_spool)
