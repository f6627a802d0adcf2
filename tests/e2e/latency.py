"""How long a fresh request takes while others misbehave."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from tests.e2e.clients import ask

if TYPE_CHECKING:
    from tests.process.conftest import Server


class Latency(NamedTuple):
    """Of all requests, in seconds."""

    median: float
    p99: float
    longest: float
    requests: int


def measure(srv: Server, duration_s: float, pause_s: float = 0.002) -> Latency:
    """Ask again and again, on fresh and on kept connections in turn."""
    times: list[float] = []
    end = time.monotonic() + duration_s
    with srv.connect() as kept:
        while (began := time.monotonic()) < end:
            if len(times) % 2:
                assert ask(kept).status == 200
            else:
                with srv.connect() as fresh:
                    assert ask(fresh).status == 200
            times.append(time.monotonic() - began)
            time.sleep(pause_s)  # what is measured is waiting, not throughput
    times.sort()
    count = len(times)
    return Latency(times[count // 2], times[count * 99 // 100], times[-1], count)
