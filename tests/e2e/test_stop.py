"""A stop under load: what was received is answered, and nobody is reset."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, at_end
from tests.e2e.conftest import IMPLS
from tests.e2e.keepers import Keepers
from tests.e2e.storm import Storm
from tests.e2e.stuck import in_a_call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.clients import Answer
    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = pytest.mark.process

_PLAIN = "tests.e2e.apps.plain:app"
_NUMBERED = "tests.e2e.apps.numbered:app"
_WORKERS = ("--workers", "2")
_TIMES = [1, pytest.param(3, marks=pytest.mark.slow)]

# Knows fewer means to turn newcomers away, as on other systems.
ONLY = """\
from monoceros.net import closing
closing._list_means = lambda listener: {means}
"""
MEANS = {
    "interface": '[("interface", closing.leave_interfaces)]',
    "filter": '[("filter", closing.drop_syn)]',
    "backlog": "[]",
}


def stop_in_a_storm(srv: Server, storm: Storm) -> None:
    srv.wait_workers(2)
    with storm:
        srv.wait_until(lambda: storm.served > 300, "some load")
        srv.signal(signal.SIGTERM)
        storm.wait_to_end()
    assert srv.wait() == 0


def connect_to(srv: Server) -> Callable[[socket.socket], None]:
    address = srv.address
    return lambda client: client.connect(address)


@pytest.mark.parametrize("times", _TIMES)
def test_stop_in_a_storm_loses_nothing(serve: Serve, times: int) -> None:
    for _ in range(times):
        srv = serve(*_WORKERS, _PLAIN)
        storm = Storm(connect_to(srv), socket.AF_INET)
        stop_in_a_storm(srv, storm)
        assert storm.lost == []


@pytest.mark.parametrize("times", _TIMES)
def test_stop_in_a_storm_on_a_unix_socket(serve: Serve, tmp_path: Path, times: int) -> None:
    path = tmp_path / "socket"
    for _ in range(times):
        srv = serve(*_WORKERS, "--bind", f"unix:{path}", _PLAIN)
        storm = Storm(lambda client: client.connect(str(path)), socket.AF_UNIX)
        stop_in_a_storm(srv, storm)
        assert storm.lost == []
        assert not path.exists()


@pytest.mark.parametrize("times", _TIMES)
@pytest.mark.parametrize("means", ["filter", "backlog"])
def test_other_means(server: Callable[..., Server], tmp_path: Path, means: str, times: int) -> None:
    if means == "filter" and os.getuid():
        pytest.skip("filters are for privileged processes")
    (tmp_path / "only.py").write_text(ONLY.format(means=MEANS[means]))
    lost = served = 0
    for _ in range(times):
        srv = server(*_WORKERS, "--config", "only.py", "app:app")
        storm = Storm(connect_to(srv), socket.AF_INET)
        stop_in_a_storm(srv, storm)
        lost += len(storm.lost)
        served += storm.served
    # Without anything but the shortest queue, the last one in it may be reset.
    assert lost <= (0 if means == "filter" else times), (lost, served)


@pytest.mark.parametrize(
    ("impl", "reloads", "pause_s", "moves"),
    [
        *((impl, 3, 0.5, moves) for moves, impl in enumerate(IMPLS)),
        pytest.param(IMPLS[0], 29, 1.0, True, marks=pytest.mark.slow),
    ],
    indirect=["impl"],
)
def test_kept_connections_never_fail(
    serve: Serve, reloads: int, pause_s: float, moves: bool
) -> None:
    options = () if moves else ("--no-connection-handoff",)
    srv = serve(*_WORKERS, *options, "--keep-alive=75", _PLAIN)
    srv.wait_workers(2)
    with Keepers(srv, 40, pause_s) as keepers:
        for number in range(1, reloads + 1):
            keepers.wait_for_more(100)
            srv.signal(signal.SIGHUP)
            srv.wait_for("Reloaded: 2 new workers are ready", count=number)
        srv.wait_for("Worker exiting", count=2 * reloads)
        # Successors take connections over; without that each ends after an answer that says so.
        assert (keepers.last_answers < 40) if moves else (keepers.last_answers >= 40)
        keepers.allow_refusal()
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
    assert keepers.failures == []


def test_requests_that_come_as_calls_of_a_leaving_worker_return(serve: Serve) -> None:
    """The threads of those calls lead no more, and leave them to the one that does."""
    srv = serve("--threads", "8", "--graceful-timeout", "20", "--keep-alive=75", _NUMBERED)
    with ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in range(12)]
        assert [ask(client, "/fast/0").status for client in clients] == [200] * 12
        idle, last, *kept = clients
        with ExitStack() as calls:
            for number in range(5):
                calls.enter_context(in_a_call(srv, kept.pop(), f"before{number}"))
            srv.signal(signal.SIGTERM)
            srv.wait_until(lambda: is_last(ask(last, "/fast/0")), "the worker to leave")
        with ExitStack() as calls:
            for number, client in enumerate(kept):
                calls.enter_context(in_a_call(srv, client, f"after{number}"))
            assert at_end(idle)  # as all are that have been idle for a while
    assert srv.wait() == 0


def is_last(answer: Answer) -> bool:
    return answer.fields.get("Connection") == "close"


def test_clients_that_stop_connecting_in_time_lose_nothing(serve: Serve) -> None:
    srv = serve(*_WORKERS, "--shutdown-delay", "600", "--keep-alive=75", _PLAIN)
    srv.wait_workers(2)
    with Keepers(srv, 8, 0.05) as keepers, Storm(connect_to(srv), socket.AF_INET) as storm:
        srv.wait_until(lambda: storm.served > 300 and len(keepers.answers) > 100, "some load")
        srv.signal(signal.SIGTERM)
        srv.wait_until(lambda: keepers.last_answers > 50, "answers that end connections")
        served = storm.served
        srv.wait_until(lambda: storm.served > served + 100, "newcomers to be served")
    srv.signal(signal.SIGTERM)  # ends the delay
    assert srv.wait() == 0
    assert (storm.lost, storm.refused, keepers.failures) == ([], 0, [])
