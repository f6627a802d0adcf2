"""The scoreboard: records are read whole or not at all, and counters never go down."""

from __future__ import annotations

import os
import struct

import pytest

from monoceros import scoreboard
from monoceros.scoreboard import (
    BUCKETS_S,
    Counters,
    Record,
    Scoreboard,
    SlotPhase,
    State,
    Thread,
    beat,
    count_connections,
    count_moves,
    rest,
)

OWNER = struct.Struct("=QIIqq")
COUNTERS = struct.Struct("=24Q")
SIZES = struct.Struct("=QHH")
NUMBERS = (7, *range(101, 124))
NOTHING = Counters(0, 0, (0,) * 5, (0,) * 17, 0, 0)
REQUEST = b"GET /caf\xe9 HTTP/1.1"
PEER = b"127.0.0.1"


def fill(slot: memoryview, sequence: int = 0, state: int = 2) -> None:
    """Write a record the way a worker does."""
    OWNER.pack_into(slot, 0, sequence, 42, state, 1_000, 2_000)
    COUNTERS.pack_into(slot, 32, *NUMBERS)
    SIZES.pack_into(slot, 224, 3, len(REQUEST), len(PEER))
    struct.pack_into("=QQ", slot, 240, 8, 9)
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


def test_moves_add_up_and_outlive_their_owner() -> None:
    board = Scoreboard(1)
    fill(board.slot(0), sequence=4)
    board.set_phase(0, SlotPhase.READY)
    before, (thread,) = board.read(0), board.threads()
    count_moves(board.slot(0), 2, 0)
    count_moves(board.slot(0), 1, 5)

    assert board.read(0) == before
    expected = thread.counters._replace(given=11, taken=14)
    assert board.totals() == board.threads()[0].counters == expected
    board.release(0)
    assert board.totals() == expected
    assert board.slot(0)[240:256] == bytes(16)


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


# -- counters


def test_counters_come_back() -> None:
    board = Scoreboard(3)
    fill(board.slot(1))
    board.set_phase(1, SlotPhase.READY)
    counters = Counters(7, 101, (102, 103, 104, 105, 106), tuple(range(107, 124)), 8, 9)

    assert board.threads() == [Thread(1, SlotPhase.READY, board.read(1), counters, 1)]
    assert board.totals() == counters
    assert counters.finished == sum(range(107, 124))
    assert counters.cumulative()[:3] == (107, 215, 324)
    assert counters.cumulative()[-1] == counters.finished


def test_table_of_the_layout_is_true() -> None:
    assert COUNTERS.size == 24 * 8
    assert scoreboard.DURATION_OFFSET == 40
    assert scoreboard.RESPONSES_OFFSET == 48
    assert scoreboard.HISTOGRAM_OFFSET == 48 + 8 * scoreboard.RESPONSE_CLASSES == 88
    assert 88 + 8 * (len(BUCKETS_S) + 1) == 224
    assert (scoreboard.SIZES_OFFSET, scoreboard.PEER_OFFSET) == (232, 256)
    assert scoreboard.REQUEST_OFFSET == 256 + scoreboard.PEER_SIZE == 320
    assert (scoreboard.REQUEST_SIZE, scoreboard.RECORD_SIZE) == (384, 704)
    for slots in (1, 7, 1024):
        board = Scoreboard(slots)
        assert len(board.slot(slots - 1)) == scoreboard.RECORD_SIZE


def test_buckets_rise() -> None:
    assert list(BUCKETS_S) == sorted(set(BUCKETS_S))
    assert (BUCKETS_S[0], BUCKETS_S[-1]) == (0.0005, 60.0)
    assert [bound / 1e9 for bound in scoreboard.BUCKETS_NS] == list(BUCKETS_S)


def test_parts_do_not_overlap() -> None:
    board = Scoreboard(20)
    for index in range(20):
        board.slot(index)[:] = b"\xfe" * scoreboard.RECORD_SIZE

    assert not board.lame_duck
    assert board.totals() == NOTHING
    assert {board.phase(index) for index in range(20)} == {SlotPhase.FREE}
    board.lame_duck = True
    for index in range(20):
        board.set_phase(index, SlotPhase.DRAINING)
        assert bytes(board.slot(index)) == b"\xfe" * scoreboard.RECORD_SIZE
    assert board.lame_duck


def test_lame_duck_is_seen_by_children_and_taken_back() -> None:
    board = Scoreboard(1)
    for value in (True, False):
        board.lame_duck = value
        pid = os.fork()
        if not pid:
            os._exit(int(board.lame_duck))
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == int(value)


def test_threads_are_those_with_an_owner() -> None:
    board = Scoreboard(4)
    board.set_phase(1, SlotPhase.BOOTING)
    board.set_phase(2, SlotPhase.READY)
    board.set_phase(3, SlotPhase.DRAINING)
    board.claim(3, 33, 0)
    board.release(2)

    found = board.threads()
    assert [(thread.slot, thread.phase) for thread in found] == [(1, 1), (3, 3)]
    assert [thread.record.pid for thread in found if thread.record] == [0, 33]


def test_a_write_that_was_cut_short_hides_the_record_and_not_the_counters() -> None:
    board = Scoreboard(1)
    board.set_phase(0, SlotPhase.READY)
    fill(board.slot(0), sequence=9)
    (thread,) = board.threads()

    assert thread.record is None
    assert thread.counters.requests == board.totals().requests == 7


def test_claiming_heals_a_write_that_was_cut_short() -> None:
    board = Scoreboard(1)
    fill(board.slot(0), sequence=9)
    board.release(0)
    assert board.read(0) == Record(0, State.FREE, 0, 0, 0, 0, "", "")
    struct.pack_into("=Q", board.slot(0), 0, 11)
    board.claim(0, 99, 5_000)

    assert board.read(0) == Record(99, State.IDLE, 5_000, 0, 0, 0, "", "")


def test_rest_takes_a_request_off_the_record() -> None:
    board = Scoreboard(1)
    fill(board.slot(0), sequence=9)
    rest(board.slot(0), 9_000)
    record = board.read(0)

    assert record is not None
    assert (record.state, record.beat_ns, record.started_ns) == (State.IDLE, 9_000, 0)
    assert (record.pid, record.requests, record.connections) == (42, 7, 3)


def test_counters_outlive_their_owners() -> None:
    board = Scoreboard(2)
    before = NOTHING
    for index in (0, 1, 0, 0):
        board.claim(index, 42, 0)
        board.set_phase(index, SlotPhase.READY)
        fill(board.slot(index))
        with_it = board.totals()
        assert with_it.requests == before.requests + 7
        assert with_it.histogram[-1] == before.histogram[-1] + 123
        board.release(index)
        assert board.totals() == with_it
        assert board.phase(index) is SlotPhase.FREE
        before = with_it


def test_counters_of_an_owner_that_died_in_a_write_are_kept() -> None:
    board = Scoreboard(1)
    board.set_phase(0, SlotPhase.READY)
    fill(board.slot(0), sequence=9)
    board.release(0)

    assert board.totals().requests == 7
    assert board.threads() == []


def test_what_was_scribbled_over_a_record_does_no_harm() -> None:
    board = Scoreboard(1)
    for _ in range(2):
        board.set_phase(0, SlotPhase.READY)
        board.slot(0)[:] = b"\xff" * scoreboard.RECORD_SIZE
        count_moves(board.slot(0), 0, 0)
        assert board.threads()[0].record is None
        board.release(0)

    assert board.totals().requests == (1 << 64) - 2


def test_totals_never_go_down_while_owners_come_and_go() -> None:
    board = Scoreboard(2)
    pid = os.fork()
    if not pid:
        for number in range(4_000):
            board.claim(number & 1, 42, 0)
            board.set_phase(number & 1, SlotPhase.READY)
            fill(board.slot(number & 1))
            board.release(number & 1)
        os._exit(0)
    last = 0
    while not os.waitpid(pid, os.WNOHANG)[0]:
        # No arbiter buries workers without a pause: it may take until this one is through.
        requests = board.totals(attempts=1 << 30).requests
        assert last <= requests <= last + 7 * 4_000
        last = requests

    assert board.totals().requests == 7 * 4_000


def test_unfinished_take_over_does_not_keep_readers() -> None:
    board = Scoreboard(1)
    board.set_phase(0, SlotPhase.READY)
    fill(board.slot(0))
    board.release(0)
    struct.pack_into("=Q", board._view, 8, 7)

    assert board.totals(attempts=3).requests == 7


# -- workers with several records


def test_a_run_has_one_phase_and_the_records_that_were_claimed() -> None:
    board = Scoreboard(8)
    board.set_phase(2, SlotPhase.BOOTING, 3)
    board.set_phase(5, SlotPhase.READY, 2)
    assert [board.phase(index) for index in range(8)] == [0, 0, 1, 1, 1, 2, 2, 0]
    assert [(one.slot, one.worker) for one in board.threads()] == [(2, 2), (5, 5)]
    board.claim(2, 42, 7, state=State.TENDING)
    board.claim(4, 42, 8)

    assert [(one.slot, one.worker, one.record) for one in board.threads()] == [
        (2, 2, Record(42, State.TENDING, 7, 0, 0, 0, "", "")),
        (4, 2, Record(42, State.IDLE, 8, 0, 0, 0, "", "")),
        (5, 5, Record(0, State.FREE, 0, 0, 0, 0, "", "")),
    ]
    assert board.read_run(2, 3) == [board.read(index) for index in (2, 3, 4)]


def test_releasing_a_run_keeps_what_all_of_it_has_counted() -> None:
    board = Scoreboard(6)
    board.set_phase(1, SlotPhase.READY, 4)
    for index in (1, 3, 4):
        fill(board.slot(index), state=State.IDLE)
    before = board.totals()
    board.release(1, 4)

    assert before.requests == 3 * 7
    assert board.totals() == before
    assert board.threads() == []
    assert {board.phase(index) for index in range(6)} == {SlotPhase.FREE}
    assert {record.state for record in board.read_run(0, 6) if record} == {State.FREE}


def test_idle_are_those_of_other_workers_that_are_ready() -> None:
    board = Scoreboard(20)
    phases = (SlotPhase.READY, SlotPhase.READY, SlotPhase.BOOTING, SlotPhase.DRAINING)
    for number, phase in enumerate(phases):
        board.set_phase(4 * number, phase, 4)
        for index, state in enumerate((State.TENDING, State.IDLE, State.RUNNING)):
            board.claim(4 * number + index, 42, 0, state)

    assert board.count_idle(range(0)) == board.count_idle(range(8, 12)) == 2
    assert board.count_idle(range(4)) == board.count_idle(range(4, 8)) == 1
    board.claim(7, 42, 0)
    assert [board.count_idle(range(n, n + 4)) for n in (0, 4, 16)] == [2, 1, 3]
    board.release(0, 4)
    assert board.count_idle(range(16, 20)) == 2


def test_looks_stop_at_the_last_record_that_ever_had_an_owner() -> None:
    board = Scoreboard(1 << 14)
    board.set_phase(30, SlotPhase.READY, 2)
    board.claim(30, 42, 0)
    # Nobody does this but the test: it shows what is looked at.
    board._phases[40] = SlotPhase.READY
    board.claim(40, 43, 0)

    assert [thread.slot for thread in board.threads()] == [30]
    assert board.count_idle(range(0)) == 1
