"""A process that counts a server's ready workers all the time, from the scoreboard.

The hook ``when_ready`` of ``CONFIGURATION`` forks it, so that it shares the mapping and depends on
nobody who might be busy. It writes the lowest number that it has seen into a file, and ends with
the arbiter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.process.conftest import Server

CONFIGURATION = """\
import os, pathlib, time
from monoceros.scoreboard import SlotPhase

def when_ready(server):
    if os.fork():
        return
    try:
        watch(server, server.pid)
    finally:
        os._exit(0)

def count_ready(board):
    used = board._used[0]
    both = zip(board._firsts[:used].tolist(), board._phases[:used].tolist())
    return len({first for first, phase in both if phase == SlotPhase.READY})

def watch(server, arbiter):
    lowest = None
    while os.getppid() == arbiter:
        # A look is no instant: one worker may become ready, and another leave, in its midst.
        ready = max(count_ready(server.scoreboard), count_ready(server.scoreboard))
        if ready >= server.num_workers and lowest is None or lowest and ready < lowest:
            lowest = ready
            pathlib.Path("lowest.new").write_text(str(lowest))
            os.rename("lowest.new", f"lowest.{arbiter}")
        time.sleep(0.002)
"""


def wait_for_sampler(srv: Server, count: int) -> None:
    """Wait until it has seen so many ready workers."""
    srv.wait_until(lambda: _path(srv).exists() and read_lowest(srv) == count, "the sampler")


def read_lowest(srv: Server) -> int:
    """Return the lowest number of ready workers so far."""
    return int(_path(srv).read_text())


def _path(srv: Server) -> Path:
    return srv.cwd / f"lowest.{srv.pid}"
