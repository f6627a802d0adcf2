"""A configuration whose arbiter forks a process that looks at the scoreboard every millisecond.

It writes rows of unsigned 64-bit numbers to the file that BENCHMARK_SAMPLES names: the time in
nanoseconds (CLOCK_MONOTONIC), and for each worker its state, the requests it has begun, and the
nanoseconds that its finished calls took.
"""

from __future__ import annotations

import os
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter

PERIOD_SECONDS = 0.001


def when_ready(server: Arbiter) -> None:
    """Fork the process; it ends with the arbiter."""
    if os.fork():
        return
    try:
        _watch(server)
    finally:
        os._exit(0)


def _watch(server: Arbiter) -> None:
    with Path(os.environ["BENCHMARK_SAMPLES"]).open("wb", buffering=0) as file:
        rows = array("Q")
        while os.getppid() == server.pid:
            mains = [one for one in server.scoreboard.threads() if one.slot == one.worker]
            if len(mains) == server.num_workers and all(one.record for one in mains):
                rows.append(time.monotonic_ns())
                for one in mains:
                    assert one.record is not None
                    rows.extend((one.record.state, one.record.requests, one.counters.duration_ns))
            if len(rows) > 1000:
                file.write(rows.tobytes())
                del rows[:]
            time.sleep(PERIOD_SECONDS)
