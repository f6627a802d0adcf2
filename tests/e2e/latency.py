"""How long a fresh request takes while others misbehave.

A second server, which the others leave alone, is asked in turn with the first: what a request
takes there is the machine's doing, and is allowed for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from tests.e2e.clients import ask

if TYPE_CHECKING:
    import socket

    from tests.process.conftest import Server


_PAUSE_S = 0.001  # what is measured is waiting, not throughput


class Latency(NamedTuple):
    """Of all requests, in seconds."""

    median: float
    p99: float
    longest: float
    requests: int


def assert_nobody_waits(srv: Server, quiet: Server, duration_s: float, p99_s: float) -> None:
    """Ask both again and again; requests to ``srv`` must not wait longer than ``p99_s``."""
    times: dict[Server, list[float]] = {srv: [], quiet: []}
    end = time.monotonic() + duration_s
    with srv.connect() as kept, quiet.connect() as kept_quiet:
        while time.monotonic() < end:
            times[srv].append(_ask(srv, kept, len(times[srv])))
            times[quiet].append(_ask(quiet, kept_quiet, len(times[quiet])))
    found, machine = (_summarise(times[server]) for server in (srv, quiet))
    assert found.p99 < p99_s + machine.p99, (found, machine)


def _ask(srv: Server, kept: socket.socket, turn: int) -> float:
    """Ask on a kept and on a fresh connection in turn; returns seconds."""
    began = time.monotonic()
    if turn % 2:
        assert ask(kept).status == 200
    else:
        with srv.connect() as fresh:
            assert ask(fresh).status == 200
    taken = time.monotonic() - began
    time.sleep(_PAUSE_S)
    return taken


def _summarise(times: list[float]) -> Latency:
    times = sorted(times)
    count = len(times)
    return Latency(times[count // 2], times[count * 99 // 100], times[-1], count)
