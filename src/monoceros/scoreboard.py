"""The scoreboard: what every worker is doing right now, in memory shared with the arbiter.

An anonymous mapping made before the first fork holds one fixed-size record per thread that
runs applications. The worker is a record's only writer, the arbiter its only reader, and no
lock is involved: a sequence number is odd while the record is being written, so a reader
sees a torn read and tries again. Nothing of it is ever a file.

Record layout (native byte order, ``RECORD_SIZE`` bytes):

======  ====  =====================================================================
offset  type  meaning
======  ====  =====================================================================
0       u64   sequence number, odd while a writer is at work
8       u32   process id of the owner, 0 where the slot is free
12      u32   state, see ``State``
16      i64   heartbeat: CLOCK_MONOTONIC in nanoseconds at the last sign of life
24      i64   CLOCK_MONOTONIC in nanoseconds when the request in flight began
32      u64   requests started
40      u64   connections open
48      u16   length of the request text
50      u16   length of the peer text
64      64s   peer address of the request in flight
128     384s  request in flight: method, space, target (cut to fit)
======  ====  =====================================================================
"""

from __future__ import annotations

import enum
import mmap
import struct
from typing import NamedTuple

RECORD_SIZE = 512
PEER_OFFSET = 64
PEER_SIZE = 64
REQUEST_OFFSET = 128
REQUEST_SIZE = RECORD_SIZE - REQUEST_OFFSET

_RECORD = struct.Struct("=QIIqqQQHH")
_SEQUENCE = struct.Struct("=Q")
_BEAT = struct.Struct("=q")
_BEAT_OFFSET = 16
_CONNECTIONS = struct.Struct("=Q")
_CONNECTIONS_OFFSET = 40
_SEQUENCE_MASK = (1 << 64) - 1
_STATES_END = 3  # the first number that is no State


class State(enum.IntEnum):
    """What the owner of a record is doing."""

    FREE = 0
    IDLE = 1
    RUNNING = 2


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


class Scoreboard:
    """A fixed number of records in one anonymous shared mapping."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._map = mmap.mmap(-1, max(1, slots) * RECORD_SIZE)
        self._view = memoryview(self._map)

    def slot(self, index: int) -> memoryview:
        """Return the writable record of one owner."""
        start = index * RECORD_SIZE
        return self._view[start : start + RECORD_SIZE]

    def claim(self, index: int, pid: int, beat_ns: int) -> None:
        """Reset a slot for a new owner."""
        record = self.slot(index)
        record[:] = bytes(RECORD_SIZE)
        _RECORD.pack_into(record, 0, 0, pid, State.IDLE, beat_ns, 0, 0, 0, 0, 0)

    def release(self, index: int) -> None:
        """Mark a slot as free once its owner is gone."""
        self.slot(index)[:] = bytes(RECORD_SIZE)

    def read(self, index: int, attempts: int = 100) -> Record | None:
        """Return a consistent reading, or None where the owner keeps writing or died in a write."""
        view = self.slot(index)
        for _ in range(attempts):
            (before,) = _SEQUENCE.unpack_from(view)
            copy = bytes(view)
            (after,) = _SEQUENCE.unpack_from(view)
            if before == after and not before & 1:
                return _decode(copy)
        return None


def beat(slot: memoryview, now_ns: int) -> None:
    """Record a sign of life in the owner's own slot; only its owner may call this."""
    _write(slot, _BEAT, _BEAT_OFFSET, now_ns)


def count_connections(slot: memoryview, connections: int) -> None:
    """Record the number of open connections; only the owner of the slot may call this."""
    _write(slot, _CONNECTIONS, _CONNECTIONS_OFFSET, connections)


def _write(slot: memoryview, kind: struct.Struct, offset: int, value: int) -> None:
    (sequence,) = _SEQUENCE.unpack_from(slot)
    # A signal handler's exception may have left the number odd: the next write heals it.
    odd = (sequence | 1) & _SEQUENCE_MASK
    _SEQUENCE.pack_into(slot, 0, odd)
    kind.pack_into(slot, offset, value)
    _SEQUENCE.pack_into(slot, 0, (odd + 1) & _SEQUENCE_MASK)


def _decode(copy: bytes) -> Record | None:
    _, pid, state, beat_ns, started_ns, requests, connections, size, peer_size = (
        _RECORD.unpack_from(copy)
    )
    if state >= _STATES_END:
        return None
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
