"""Slow and difficult clients, which cost others nothing and the worker little."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from tests.e2e.crowd import crowd, leave
from tests.e2e.latency import assert_nobody_waits
from tests.e2e.processes import MIB, needs_proc, peak, private, reset_peak
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

pytestmark = [pytest.mark.process, pytest.mark.quiet, needs_proc]

_PLAIN = "tests.e2e.apps.plain:app"
_P99_S = 0.05
_IDLE = 10_000


@pytest.mark.slow
def test_800_slow_clients_delay_nobody(serve: Serve) -> None:
    srv = serve("--keep-alive=75", "--header-timeout", "60", _PLAIN)
    quiet = serve("--keep-alive=75", _PLAIN)
    (worker,) = srv.wait_workers(1)
    reset_peak(worker)
    before = peak(worker)
    with crowd(srv.address, slow_head=400, slow_body=200, no_reader=200) as members:
        assert_nobody_waits(srv, quiet, 6, _P99_S)
        found = leave(members)

    # Unsent output may take 64 MiB in memory, and one answer of 10 MB is with the application.
    assert peak(worker) - before < 96 * MIB
    assert found == {
        "slow_head": {"open": 400},
        "slow_body": {"open": 200},
        "no_reader": {"200": 200},
    }


def test_clients_that_never_close_delay_nobody(serve: Serve) -> None:
    srv = serve("--keep-alive=75", _PLAIN)
    quiet = serve("--keep-alive=75", _PLAIN)
    with crowd(srv.address, never_closing=150, refused=150):
        assert_nobody_waits(srv, quiet, 2, _P99_S)


def test_what_is_left_of_large_answers_stays_bounded(serve: Serve) -> None:
    srv = serve("--keep-alive=75", _PLAIN)
    (worker,) = srv.wait_workers(1)
    reset_peak(worker)
    before = peak(worker)
    with crowd(srv.address, late_stopper=40) as members:
        assert leave(members)

    assert peak(worker) - before < 96 * MIB  # as above


def test_fast_download_delays_nobody(serve: Serve) -> None:
    srv = serve("--keep-alive=75", _PLAIN)
    quiet = serve("--keep-alive=75", _PLAIN)
    with crowd(srv.address, downloader=1):
        assert_nobody_waits(srv, quiet, 2, _P99_S)


@pytest.mark.slow
def test_10000_idle_connections_cost_little_and_delay_nobody(serve: Serve) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _IDLE + 2 * 1024:
        pytest.skip(f"the limit of descriptors is {hard}")
    srv = serve("--keep-alive=75", "--worker-connections", "20000", _PLAIN)
    quiet = serve("--keep-alive=75", _PLAIN)
    (worker,) = srv.wait_workers(1)
    with crowd(srv.address, idle=100):
        before = private(worker)
    with crowd(srv.address, idle=_IDLE) as members:
        each = (private(worker) - before) / _IDLE
        assert_nobody_waits(srv, quiet, 2, _P99_S)
        found = leave(members)

    assert found == {"idle": {"open": _IDLE}}
    assert each < 4096
    # All of them have gone, and nobody needs to be told twice.
    srv.wait_until(lambda: len(descriptors(worker)) < 50, "the end of the connections", 2)
