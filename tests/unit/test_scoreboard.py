"""The scoreboard: records are read whole or not at all."""

from __future__ import annotations

import os
import struct

import pytest

from monoceros import scoreboard
from monoceros.scoreboard import Record, Scoreboard, State, beat, count_connections

OWNER = struct.Struct("=QIIqq")
COUNTERS = struct.Struct("=24Q")
SIZES = struct.Struct("=QHH")
NUMBERS = (7, *range(101, 124))
REQUEST = b"GET /caf\xe9 HTTP/1.1"
PEER = b"127.0.0.1"


def fill(slot: memoryview, sequence: int = 0, state: int = 2) -> None:
    """Write a record the way a worker does."""
    OWNER.pack_into(slot, 0, sequence, 42, state, 1_000, 2_000)
    COUNTERS.pack_into(slot, 32, *NUMBERS)
    SIZES.pack_into(slot, 224, 3, len(REQUEST), len(PEER))
    slot[256 : 256 + len(PEER)] = PEER
    slot[320 : 320 + len(REQUEST)] = REQUEST


def test_record_comes_back() -> None:
    board = Scoreboard(2)
    fill(board.slot(1))

    assert board.read(1) == Record(
        42, State.RUNNING, 1_000, 2_000, 7, 3, "127.0.0.1", "GET /caf\xe9 HTTP/1.1"
    )
    assert board.read(0) == Record(0, State.FREE, 0, 0, 0, 0, "", "")


@pytest.mark.parametrize("sequence", [1, 0xFF, 0xFF01, (1 << 64) - 1])
def test_odd_sequence_is_no_reading(sequence: int) -> None:
    board = Scoreboard(1)
    fill(board.slot(0), sequence)

    assert board.read(0) is None


@pytest.mark.parametrize("sequence", [2, 0x100, 0x0100_0000_0000_0000, (1 << 64) - 2])
def test_even_sequence_is_a_reading_whatever_its_bytes(sequence: int) -> None:
    # The bytes at either end may be odd: only the number counts, in any byte order.
    board = Scoreboard(1)
    fill(board.slot(0), sequence)

    assert board.read(0) is not None


def test_unknown_state_is_no_reading() -> None:
    board = Scoreboard(1)
    fill(board.slot(0), state=77)

    assert board.read(0) is None


def test_lengths_beyond_the_record_are_cut() -> None:
    board = Scoreboard(1)
    slot = board.slot(0)
    fill(slot)
    struct.pack_into("=HH", slot, 232, 0xFFFF, 0xFFFF)
    record = board.read(0)

    assert record is not None
    assert len(record.request) == scoreboard.REQUEST_SIZE
    assert len(record.peer) == scoreboard.PEER_SIZE


def test_claim_and_release() -> None:
    board = Scoreboard(2)
    fill(board.slot(0))
    fill(board.slot(1))
    board.claim(0, 99, 5_000)

    assert board.read(0) == Record(99, State.IDLE, 5_000, 0, 0, 0, "", "")
    board.release(0)
    assert board.read(0) == Record(0, State.FREE, 0, 0, 0, 0, "", "")
    assert board.read(1) is not None
    assert bytes(board.slot(1)) != bytes(scoreboard.RECORD_SIZE)


def test_beat_changes_the_heartbeat_only() -> None:
    board = Scoreboard(1)
    fill(board.slot(0), sequence=4)
    before = board.read(0)
    beat(board.slot(0), 9_000)

    assert before is not None
    assert board.read(0) == before._replace(beat_ns=9_000)
    assert struct.unpack_from("=Q", board.slot(0)) == (6,)


def test_counting_connections_changes_nothing_else() -> None:
    board = Scoreboard(1)
    fill(board.slot(0), sequence=4)
    before = board.read(0)
    count_connections(board.slot(0), 77)

    assert before is not None
    assert board.read(0) == before._replace(connections=77)


@pytest.mark.parametrize("sequence", [5, (1 << 64) - 1])
def test_beat_heals_a_write_that_was_cut_short(sequence: int) -> None:
    board = Scoreboard(1)
    fill(board.slot(0), sequence)
    beat(board.slot(0), 9_000)
    record = board.read(0)

    assert record is not None
    assert record.beat_ns == 9_000


def test_memory_is_shared_with_children() -> None:
    board = Scoreboard(1)
    pid = os.fork()
    if not pid:
        board.claim(0, 1234, 5)
        os._exit(0)
    os.waitpid(pid, 0)
    record = board.read(0)

    assert record is not None
    assert record.pid == 1234


def test_torn_reads_are_never_returned() -> None:
    board = Scoreboard(1)
    slot = board.slot(0)
    pid = os.fork()
    if not pid:
        for number in range(1, 20_000):
            struct.pack_into("=Q", slot, 0, 2 * number - 1)
            struct.pack_into("=qq", slot, 16, number, number)
            struct.pack_into("=Q", slot, 0, 2 * number)
        os._exit(0)
    seen = 0
    while not os.waitpid(pid, os.WNOHANG)[0]:
        record = board.read(0)
        if record is not None:
            seen += 1
            assert record.beat_ns == record.started_ns

    assert seen
    assert board.read(0) is not None
