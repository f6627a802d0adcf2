"""Connections on their way from a busy worker to an idle one: who waits, and what is lost."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, head, read_answer
from tests.e2e.conftest import IMPLS
from tests.e2e.moves import Found, Plan, driving
from tests.e2e.processes import stopped
from tests.e2e.stuck import in_a_call, let_tend
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    import socket

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [
    pytest.mark.process,
    pytest.mark.quiet,
    pytest.mark.settled,
    pytest.mark.skipif(sys.platform != "linux", reason="nothing is given away elsewhere"),
]

# Asked by SIGURG, each worker tells whether something is in the queue.
FILES = {
    "gunicorn.conf.py": """\
import select, signal

def post_worker_init(worker):
    def tell(*_):
        waits = select.select([worker.overflow], [], [], 0)[0] if worker.overflow else []
        worker.log.info("the queue is %s", "used" if waits else "empty")
    signal.signal(signal.SIGURG, tell)
"""
}
APP = "tests.e2e.apps.numbered:app"
CYCLE_S = 2.0
# They wait for longer where they wait for a slow one; benchmarks/ has how long it really takes.
EVER_S = 0.5
SOON_S = 0.1  # the best of some: this machine may do other things
FAST = [Plan("fast", 0.025, 0.025 * number / 16) for number in range(16)]
# Never both at once: with both workers busy there is nobody to give to.
SLOW = [Plan("sleep/1", CYCLE_S, 0.2), Plan("cpu/0.3", CYCLE_S, 1.4)]


def assert_complete(found: dict[str, Found]) -> None:
    """None is lost, and each answer is that to its request."""
    for kind, one in found.items():
        assert (one.lost, one.wrong) == ([], []), kind
        assert len(one.times) == one.asked > 0, kind


def start(serve: Serve, *args: str) -> Server:
    srv = serve("--workers", "2", "--keep-alive", "75", *args, APP, files=FILES)
    workers = srv.wait_workers(2)
    # A worker is ready a moment before it has all descriptors that it serves with.
    srv.wait_until(lambda: all(map(has_monitor, workers)), "their monitors")
    return srv


def has_monitor(pid: int) -> bool:
    return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1


# -- nobody waits behind a busy worker


def slowest_of_a_run(srv: Server, cycles: int) -> float:
    """Return the time of the slowest fast request while slow ones are asked too."""
    with driving(srv, cycles * CYCLE_S, [*FAST, *SLOW]) as client:
        found = client.wait()
    assert_complete(found)
    assert found["fast"].moves > 0
    return found["fast"].slowest


def test_fast_requests_do_not_wait_for_slow_ones(serve: Serve) -> None:
    assert slowest_of_a_run(start(serve), 1) < EVER_S


@pytest.mark.parametrize("impl", IMPLS[:1], indirect=True)
def test_switched_off_they_wait(serve: Serve) -> None:
    srv = start(serve, "--no-connection-handoff")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(5)]
        owners = {client: pid_of(client) for client in clients}
        busy = max(owners.values(), key=list(owners.values()).count)
        slow, fast, probe = [client for client in clients if owners[client] == busy][:3]
        with in_a_call(srv, slow):
            fast.sendall(head("GET", "/fast/1"))
            let_tend(probe)
            assert not select.select([fast], [], [], EVER_S)[0]
        assert read_answer(fast).body.split() == [b"1", str(busy).encode()]


# -- a new connection


def pid_of(client: socket.socket) -> int:
    """Ask who serves a connection."""
    return int(ask(client, "/fast/0").body.split()[1])


@pytest.mark.parametrize("comes_first", ["the connection", "the slow request"])
def test_new_connection_beside_a_slow_request(serve: Serve, comes_first: str) -> None:
    """Both come to the worker that is awake, and only then does the other one wake up."""
    srv = start(serve)
    times = []
    for turn in range(3):
        with srv.connect() as kept, ExitStack() as stack:
            busy = pid_of(kept)
            (idle,) = srv.workers() - {busy}
            with stopped({idle}), stopped({busy}):
                if comes_first == "the connection":
                    fresh = stack.enter_context(srv.connect())
                    fresh.sendall(head("GET", f"/fast/{turn}"))
                kept.sendall(head("GET", f"/sleep/0.4/{turn}"))
                if comes_first == "the slow request":
                    fresh = stack.enter_context(srv.connect())
                    fresh.sendall(head("GET", f"/fast/{turn}"))
                os.kill(busy, signal.SIGCONT)
                # Long enough to be woken, and to have begun with the slow request.
                time.sleep(0.05)
            began = time.monotonic()
            answer = read_answer(fresh)
            times.append(time.monotonic() - began)
            assert answer.body == f"{turn} {idle}".encode()
            assert read_answer(kept).body == f"{turn} {busy}".encode()

    assert min(times) <= SOON_S, times


def connect_to(srv: Server, worker: int, count: int, stack: ExitStack) -> list[socket.socket]:
    """Open connections that one of the workers has."""
    with stopped(srv.workers() - {worker}):
        clients = [stack.enter_context(srv.connect()) for _ in range(count)]
        assert [pid_of(client) for client in clients] == [worker] * count
    return clients


def test_new_connections_are_the_idle_ones_where_none_can_be_given(serve: Serve) -> None:
    srv = start(serve, "--no-connection-handoff")
    busy, idle = srv.workers()
    with ExitStack() as stack:
        slow, *others = connect_to(srv, busy, 6, stack)
        stack.enter_context(in_a_call(srv, slow))
        let_tend(others.pop())  # those that had come by then would be its own
        for client in others:
            with srv.connect() as fresh:
                with stopped({idle}):
                    fresh.sendall(head("GET", "/fast/1"))
                    let_tend(client)  # the busy worker could have taken it
                assert read_answer(fresh).body == b"1 %d" % idle


# -- switched off by a reload


def test_a_worker_in_a_call_gives_nothing_to_successors_that_do_not_take(serve: Serve) -> None:
    srv = start(serve)
    busy, idle = srv.workers()
    with ExitStack() as stack:
        slow, *kept, last = connect_to(srv, busy, 12, stack)
        with in_a_call(srv, slow):
            settings = FILES["gunicorn.conf.py"] + "connection_handoff = False\n"
            (srv.cwd / "gunicorn.conf.py").write_text(settings)
            srv.signal(signal.SIGHUP)
            srv.wait_for("Reloaded: 2 new workers are ready")
            srv.wait_until(lambda: not srv.owns(idle), "the end of the idle one")
            for number, client in enumerate(kept):
                client.sendall(head("GET", f"/fast/{number}"))
            let_tend(last)
        answers = [read_answer(client).body for client in kept]
    assert answers == [b"%d %d" % (number, busy) for number in range(len(kept))]
    srv.wait_until(lambda: not srv.owns(busy), "its end")
    assert srv.count("no worker was left|lost on its way") == 0


# -- deaths


def test_arbiter_killed_while_a_worker_is_in_a_call(serve: Serve) -> None:
    """What the scoreboard says of its siblings is true no longer."""
    srv = start(serve)
    busy, idle = srv.workers()
    with ExitStack() as stack:
        slow, *kept, last = connect_to(srv, busy, 12, stack)
        with in_a_call(srv, slow):
            srv.signal(signal.SIGKILL)
            srv.wait_until(lambda: not srv.owns(idle), "the end of the idle one")
            for number, client in enumerate(kept):
                client.sendall(head("GET", f"/fast/{number}"))
            let_tend(last)
        answers = [read_answer(client).body for client in kept]
    assert answers == [b"%d %d" % (number, busy) for number in range(len(kept))]
    srv.wait_until(lambda: not srv.owns(busy), "its end")


def count_descriptors(srv: Server) -> dict[int, int]:
    """Return how many descriptors the arbiter and each worker have."""
    return {pid: len(descriptors(pid)) for pid in (srv.pid, *srv.workers())}


def assert_nothing_is_left(srv: Server, before: dict[int, int]) -> None:
    """The queue is empty, and nobody has more descriptors than before the clients came."""
    most = max(before[pid] for pid in before if pid != srv.pid)
    workers = srv.wait_workers(2)

    def is_clean() -> bool:
        now = count_descriptors(srv)
        return now[srv.pid] <= before[srv.pid] and all(now[pid] <= most for pid in workers)

    with contextlib.suppress(AssertionError):
        srv.wait_until(is_clean)
    assert is_clean(), (before, {pid: descriptors(pid) for pid in (srv.pid, *workers)})
    told = srv.count("the queue is")
    for pid in workers:
        os.kill(pid, signal.SIGURG)
    srv.wait_for("the queue is", told + len(workers))
    assert srv.count("the queue is used") == 0
    assert srv.count("Unexpected error|lost on its way|makes no sense") == 0


def test_worker_killed_while_its_connections_are_on_the_move(serve: Serve) -> None:
    """What it had given away is in the queue, and its sibling takes it after its death."""
    srv = start(serve)
    before = count_descriptors(srv)
    with ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(24)]
        owners = {client: pid_of(client) for client in clients}
        busy = max(srv.workers(), key=list(owners.values()).count)
        (idle,) = srv.workers() - {busy}
        slow, *fast = [client for client in clients if owners[client] == busy]
        with stopped({idle}):
            slow.sendall(head("GET", "/sleep/5/0"))
            srv.wait_for("GET /sleep/5/0")
            for number, client in enumerate(fast):
                client.sendall(head("GET", f"/fast/{number}"))
            # A connection that was given away is none of its descriptors any more.
            srv.wait_until(
                lambda: len(descriptors(busy)) <= before[busy] + 1, "its connections to be moved"
            )
            os.kill(busy, signal.SIGKILL)
            srv.wait_for(rf"pid:{busy}\) was sent SIGKILL!")
        answers = [read_answer(client).body for client in fast]

        assert slow.recv(10) == b""
    assert {int(answer.split()[1]) for answer in answers} - {busy}
    assert [int(answer.split()[0]) for answer in answers] == list(range(len(fast)))
    assert_nothing_is_left(srv, before)


def kill_at_random(srv: Server, seconds: float, seed: int) -> int:
    """Have the clients of the mixed load, and kill a worker now and then; returns the losses."""
    before = count_descriptors(srv)
    choices = random.Random(seed)
    plans = [*FAST, *SLOW, *(Plan("fast", 0.05, 0.01, depth=3) for _ in range(4))]
    kills = 0
    with driving(srv, seconds, plans) as client:
        while not client.is_over:
            workers = srv.wait_workers(2)
            time.sleep(choices.uniform(0.1, 0.9))
            if not client.is_over:
                os.kill(choices.choice(sorted(workers)), signal.SIGKILL)
                kills += 1
                srv.wait_for("is ready", count=2 + kills)
        found = client.wait()
    assert kills > seconds / 3
    for one in found.values():
        assert one.wrong == []
        assert len(one.times) + len(one.lost) >= one.asked
    assert_nothing_is_left(srv, before)
    return sum(len(one.lost) for one in found.values())


@pytest.mark.parametrize("impl", IMPLS[:1], indirect=True)
def test_workers_killed_at_random(serve: Serve) -> None:
    kill_at_random(start(serve), 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("impl", IMPLS[:1], indirect=True)
def test_moving_loses_no_more_than_staying(serve: Serve) -> None:
    lost = kill_at_random(start(serve), 8, seed=2)
    lost_without = kill_at_random(start(serve, "--no-connection-handoff"), 8, seed=2)

    assert lost <= lost_without
