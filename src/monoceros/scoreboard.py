"""The scoreboard: what every worker is doing and has done, in memory shared with the arbiter.

An anonymous mapping made before the first fork holds fixed-size records behind a header. A worker
has a run of consecutive ones: the first is its main thread's, the others are for threads that run
the application or watch connections, and each of them claims its own once. Whoever has the
mapping may read all of it at any time: the arbiter, every worker, what they fork. Each part has
exactly one writer and no lock is involved: a sequence number is odd while its part is being
written, so a reader sees a torn read and tries again. The thread is its record's writer, the
arbiter that of everything else; it resets a record only before its owner lives and after it died.
Nothing of it is ever a file.

Record layout (native byte order, ``RECORD_SIZE`` bytes):

======  ======  ===================================================================
offset  type    meaning
======  ======  ===================================================================
0       u64     sequence number, odd while a writer is at work
8       u32     process id of the owner, 0 where no thread has claimed the record
12      u32     state, see ``State``
16      i64     heartbeat: CLOCK_MONOTONIC in nanoseconds at the last sign of life
24      i64     CLOCK_MONOTONIC in nanoseconds when the request in flight began
32      24 u64  counters, see ``Counters``:
32      u64       requests started
40      u64       nanoseconds that finished calls took
48      5 u64     final responses with a status of 1xx (101) to 5xx
88      17 u64    finished calls by duration, see ``BUCKETS_S``
224     u64     connections open
232     u16     length of the request text
234     u16     length of the peer text
236             unused
240     u64     connections given to siblings
248     u64     connections taken from siblings
256     64s     peer address of the request in flight
320     384s    request in flight: method, space, target (cut to fit)
======  ======  ===================================================================

In front of the records, written by the arbiter only:

======  ======  ===================================================================
offset  type    meaning
======  ======  ===================================================================
0       u64     1 while the server is a lame duck: it serves on and is about to stop
8       u64     sequence number, odd while counters move from a record to here
16      26 u64  counters of all workers that are gone, given and taken connections last
224     u64     how many slots, from the first, have ever had an owner: all others are free
256     u32     for each slot its phase, see ``SlotPhase``; then, after as many as there are
                slots, for each one the first slot of its run; filled up to 64 octets
======  ======  ===================================================================
"""

from __future__ import annotations

import enum
import mmap
import struct
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Upper bounds in seconds, inclusive; one more bucket takes what lasts longer.
BUCKETS_S = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
BUCKETS_NS = tuple(round(bound * 1e9) for bound in BUCKETS_S)
RESPONSE_CLASSES = 5

RECORD_SIZE = 704
DURATION_OFFSET = 40
RESPONSES_OFFSET = 48
HISTOGRAM_OFFSET = 88
SIZES_OFFSET = 232
PEER_OFFSET = 256
PEER_SIZE = 64
REQUEST_OFFSET = 320
REQUEST_SIZE = RECORD_SIZE - REQUEST_OFFSET

_SEQUENCE_MASK = (1 << 64) - 1
_SEQUENCE = struct.Struct("=Q")
_OWNER = struct.Struct("=QIIqq")  # all before the counters
_STATE = struct.Struct("=Iqq")  # state, heartbeat, start of the request
_STATE_OFFSET = 12
_BEAT = struct.Struct("=q")
_BEAT_OFFSET = 16
_COUNTERS = struct.Struct(f"={2 + RESPONSE_CLASSES + len(BUCKETS_S) + 1}Q")
_COUNTERS_OFFSET = 32
_MOVES = struct.Struct("=2Q")
_MOVES_OFFSET = 240
_SUMS = struct.Struct(f"={_COUNTERS.size // 8 + 2}Q")
_CONNECTIONS = struct.Struct("=Q")
_CONNECTIONS_OFFSET = 224
_CONNECTIONS_AND_SIZES = struct.Struct("=QHH")
_STATES_END = 4  # the first number that is no State

_LAME_DUCK = 0
_HEADER_SEQUENCE_OFFSET = 8
_RETIRED_OFFSET = 16
_SUMS_OFFSET = _RETIRED_OFFSET - _HEADER_SEQUENCE_OFFSET
_USED_OFFSET = 224
_KEEPS_OFFSET = 232
_PHASES_OFFSET = 256
_ALIGNMENT = 64


class State(enum.IntEnum):
    """What the owner of a record is doing; ``TENDING`` ones watch connections and run nothing."""

    FREE = 0
    IDLE = 1
    RUNNING = 2
    TENDING = 3


class SlotPhase(enum.IntEnum):
    """How the arbiter sees the owner of a slot."""

    FREE = 0
    BOOTING = 1
    READY = 2
    DRAINING = 3


_FREE_FOR_WORK = (SlotPhase.READY, State.IDLE)


class Record(NamedTuple):
    """One consistent reading of a slot; times are CLOCK_MONOTONIC nanoseconds."""

    pid: int
    state: State
    beat_ns: int
    started_ns: int
    requests: int
    connections: int
    peer: str
    request: str


class Counters(NamedTuple):
    """What one owner, or all of them, have done so far; none of it ever goes down.

    ``requests`` are those that were begun. A call counts in ``duration_ns`` and ``histogram``
    once it has ended, which is after the last octet of its response was written, not
    received. ``responses`` are by the first digit of their status, from 1xx to 5xx, with the
    server's own refusals among them; ``histogram`` has one number for each of ``BUCKETS_S``
    and one for what lasted longer. ``given`` and ``taken`` are connections that moved to and
    from siblings.
    """

    requests: int
    duration_ns: int
    responses: tuple[int, ...]
    histogram: tuple[int, ...]
    given: int = 0
    taken: int = 0

    @property
    def finished(self) -> int:
        """How many calls have ended."""
        return sum(self.histogram)

    def cumulative(self) -> tuple[int, ...]:
        """Return for each bound how many calls took no longer; the last one is ``finished``."""
        return tuple(accumulate(self.histogram))


class Thread(NamedTuple):
    """A slot with an owner; ``record`` is None where its owner stopped in the midst of a write.

    ``worker`` is the slot of its worker's main thread, which is the same one in all threads of a
    worker. The main thread of a worker that was only just forked has a record without pid.
    """

    slot: int
    phase: SlotPhase
    record: Record | None
    counters: Counters
    worker: int


class Scoreboard:
    """A fixed number of records in one anonymous shared mapping."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        count = max(1, slots)
        self._start = _align(_PHASES_OFFSET + 8 * count)
        self._map = mmap.mmap(-1, self._start + count * RECORD_SIZE)
        self._view = memoryview(self._map)
        self._flags = self._view[:_HEADER_SEQUENCE_OFFSET].cast("Q")
        self._retired = self._view[_HEADER_SEQUENCE_OFFSET:_PHASES_OFFSET]
        self._used = self._view[_USED_OFFSET : _USED_OFFSET + 8].cast("Q")
        self._keeps = self._view[_KEEPS_OFFSET : _KEEPS_OFFSET + 8].cast("Q")
        words = self._view.cast("I")
        first = _PHASES_OFFSET // 4
        self._phases = words[first : first + count]
        self._firsts = words[first + count : first + 2 * count]
        self._states = words[(self._start + _STATE_OFFSET) // 4 :: RECORD_SIZE // 4]

    def slot(self, index: int) -> memoryview:
        """Return the writable record of one owner."""
        start = self._start + index * RECORD_SIZE
        return self._view[start : start + RECORD_SIZE]

    # -- what the arbiter writes

    @property
    def lame_duck(self) -> bool:
        """Whether the server is about to stop, and wants to be sent nothing more."""
        return self._flags[_LAME_DUCK] != 0

    @lame_duck.setter
    def lame_duck(self, value: bool) -> None:
        self._flags[_LAME_DUCK] = int(value)

    @property
    def keeps_connections(self) -> bool:
        """Whether no worker gives connections away any more, though older ones have the queue."""
        return self._keeps[0] != 0

    @keeps_connections.setter
    def keeps_connections(self, value: bool) -> None:
        self._keeps[0] = int(value)

    def set_phase(self, first: int, phase: SlotPhase, records: int = 1) -> None:
        """Tell everybody how a worker is that has so many records from ``first`` on.

        Any phase but FREE gives them an owner.
        """
        for index in range(first, first + records):
            self._firsts[index] = first
            self._phases[index] = phase
        self._used[0] = max(self._used[0], first + records)

    def phase(self, index: int) -> SlotPhase:
        """Return how the owner of a slot is."""
        return SlotPhase(self._phases[index])

    def release(self, first: int, records: int = 1) -> None:
        """Mark the slots of a worker as free once it is gone, and keep what it has counted."""
        odd = _open(self._retired)
        sums = list(_SUMS.unpack_from(self._retired, _SUMS_OFFSET))
        for index in range(first, first + records):
            record = self.slot(index)
            sums = list(map(add, sums, _counted(record)))
            _reset(record)
            self._phases[index] = SlotPhase.FREE
        # Whatever an application scribbled there must not end the arbiter.
        _SUMS.pack_into(self._retired, _SUMS_OFFSET, *[total & _SEQUENCE_MASK for total in sums])
        _close(self._retired, odd)

    # -- what owners write

    def claim(self, index: int, pid: int, beat_ns: int, state: State = State.IDLE) -> None:
        """Reset a slot for a new owner, which may do so once: what was counted there is lost."""
        _reset(self.slot(index), pid, state, beat_ns)

    # -- reading

    def read(self, index: int, attempts: int = 100) -> Record | None:
        """Return a consistent reading, or None where the owner keeps writing or died in a write."""
        return read_record(self.slot(index), attempts)

    def read_run(self, first: int, records: int) -> list[Record | None]:
        """Return a reading of each record of a worker, its main thread's first."""
        return [self.read(index) for index in range(first, first + records)]

    def count_idle(self, own: range) -> int:
        """Return how many threads of other workers that are ready have nothing to do.

        ``own`` are the slots that do not count. This is a snapshot without any guarantee, and
        cheap enough for every tick of a busy worker.
        """
        used = self._used[0]
        both = list(zip(self._phases[:used].tolist(), self._states[:used].tolist(), strict=True))
        return both.count(_FREE_FOR_WORK) - both[own.start : own.stop].count(_FREE_FOR_WORK)

    def has_ready(self, own: range) -> bool:
        """Whether another worker than the one with the slots ``own`` is ready and stays."""
        phases = self._phases[: self._used[0]].tolist()
        ready = phases.count(SlotPhase.READY)
        return ready > phases[own.start : own.stop].count(SlotPhase.READY)

    def threads(self) -> list[Thread]:
        """Return a reading of every record that a thread has claimed, whatever that is doing."""
        found = []
        for index, phase in self._claimed():
            copy, is_whole = _copy(self.slot(index))
            if self._phases[index] == SlotPhase.FREE:
                continue  # released meanwhile
            record = _decode(copy) if is_whole else None
            counters = _group(_counted(copy))
            found.append(Thread(index, SlotPhase(phase), record, counters, self._firsts[index]))
        return found

    def totals(self, attempts: int = 100) -> Counters:
        """Return the sums over all owners there are and ever were.

        They never go down while one of so many attempts meets no worker's burial. The result is
        that of the last attempt where the arbiter died in one, or buries without a pause.
        """
        while True:
            attempts -= 1
            copy, is_whole = _copy(self._retired, 1)
            sums: list[int] = list(_SUMS.unpack_from(copy, _SUMS_OFFSET))
            for index, _ in self._claimed():
                owner, _ = _copy(self.slot(index))
                sums = list(map(add, sums, _counted(owner)))
            # Unchanged: no owner has died meanwhile, which would be missing or there twice.
            is_whole = is_whole and copy[:8] == bytes(self._retired[:8])
            if is_whole or attempts <= 0:
                return _group(sums)

    def _claimed(self) -> list[tuple[int, int]]:
        """Return slots and phases of all main threads, and of others that are there by now."""
        used = self._used[0]
        phases, firsts = self._phases[:used].tolist(), self._firsts[:used].tolist()
        states = self._states[:used].tolist()
        return [
            (index, phase)
            for index, phase in enumerate(phases)
            if phase != SlotPhase.FREE and (states[index] or firsts[index] == index)
        ]


def beat(slot: memoryview, now_ns: int) -> None:
    """Record a sign of life in the owner's own slot; only its owner may call this."""
    _write(slot, _BEAT, _BEAT_OFFSET, now_ns)


def count_connections(slot: memoryview, connections: int) -> None:
    """Record the number of open connections; only the owner of the slot may call this."""
    _write(slot, _CONNECTIONS, _CONNECTIONS_OFFSET, connections)


def count_moves(slot: memoryview, given: int, taken: int) -> None:
    """Add to the numbers of connections that moved; only the owner of the slot may call this."""
    sums = map(add, _MOVES.unpack_from(slot, _MOVES_OFFSET), (given, taken))
    _write(slot, _MOVES, _MOVES_OFFSET, *[total & _SEQUENCE_MASK for total in sums])


def rest(slot: memoryview, now_ns: int, state: State = State.IDLE) -> None:
    """Record that no request is in flight; for owners that a signal took out of one.

    TENDING is for a record that nobody works with for a time, and counts as nobody who is free.
    """
    _write(slot, _STATE, _STATE_OFFSET, state, now_ns, 0)


def read_record(slot: memoryview, attempts: int = 100) -> Record | None:
    """Return a consistent reading of a record, as ``Scoreboard.read`` does."""
    copy, is_whole = _copy(slot, attempts)
    return _decode(copy) if is_whole else None


def _write(slot: memoryview, kind: struct.Struct, offset: int, *values: int) -> None:
    odd = _open(slot)
    kind.pack_into(slot, offset, *values)
    _close(slot, odd)


def _open(part: memoryview) -> int:
    """Begin to write what has a sequence number at its start; returns that number."""
    (sequence,) = _SEQUENCE.unpack_from(part)
    # A signal handler's exception may have left the number odd: the next write heals it.
    odd = int(sequence) | 1
    _SEQUENCE.pack_into(part, 0, odd)
    return odd


def _close(part: memoryview, odd: int) -> None:
    _SEQUENCE.pack_into(part, 0, (odd + 1) & _SEQUENCE_MASK)


def _reset(record: memoryview, pid: int = 0, state: State = State.FREE, beat_ns: int = 0) -> None:
    odd = _open(record)
    record[_SEQUENCE.size :] = bytes(RECORD_SIZE - _SEQUENCE.size)
    _OWNER.pack_into(record, 0, odd, pid, state, beat_ns, 0)
    _close(record, odd)


def _copy(part: memoryview, attempts: int = 100) -> tuple[bytes, bool]:
    """Return a copy, and whether nobody wrote while it was made."""
    while True:
        attempts -= 1
        (before,) = _SEQUENCE.unpack_from(part)
        copy = bytes(part)
        (after,) = _SEQUENCE.unpack_from(part)
        is_whole = before == after and not before & 1
        if is_whole or attempts <= 0:
            return copy, is_whole


def _decode(copy: bytes) -> Record | None:
    _, pid, state, beat_ns, started_ns = _OWNER.unpack_from(copy)
    if state >= _STATES_END:
        return None
    (requests,) = _SEQUENCE.unpack_from(copy, _COUNTERS_OFFSET)
    connections, size, peer_size = _CONNECTIONS_AND_SIZES.unpack_from(copy, _CONNECTIONS_OFFSET)
    peer = copy[PEER_OFFSET : PEER_OFFSET + min(peer_size, PEER_SIZE)]
    request = copy[REQUEST_OFFSET : REQUEST_OFFSET + size]
    return Record(
        pid,
        State(state),
        beat_ns,
        started_ns,
        requests,
        connections,
        peer.decode("latin-1"),
        request.decode("latin-1"),
    )


def _counted(record: bytes | memoryview) -> tuple[int, ...]:
    """Return the counters of a record as they stand in the header."""
    counters = _COUNTERS.unpack_from(record, _COUNTERS_OFFSET)
    return (*counters, *_MOVES.unpack_from(record, _MOVES_OFFSET))


def _group(words: Sequence[int]) -> Counters:
    end = 2 + RESPONSE_CLASSES
    *words, given, taken = words
    return Counters(words[0], words[1], tuple(words[2:end]), tuple(words[end:]), given, taken)


def _align(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
