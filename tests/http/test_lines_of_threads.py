"""Access lines are written by one thread while another one adds to them."""

from __future__ import annotations

import sys
import threading

from monoceros.http._core_py import Core
from monoceros.http.environ import base_environ
from monoceros.http.types import Limits, Policy, Rules
from tests.unit.test_reactor import FailingLog, hello

LINES = 600_000


def test_no_line_is_lost_or_written_twice() -> None:
    # The compiled twin copies and forgets in one step, with the GIL.
    environ = base_environ("monoceros/test", sys.stderr, multithread=True, multiprocess=False)
    core = Core(hello, environ, Limits(), Rules(), "", Policy(), FailingLog(), None)
    taken: list[bytes] = []

    def add() -> None:
        for _ in range(LINES):
            core._lines.append(b".")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        adder = threading.Thread(target=add)
        adder.start()
        while adder.is_alive():
            taken.append(core.drain_log())
        adder.join()
    finally:
        sys.setswitchinterval(interval)
    taken.append(core.drain_log())
    assert b"".join(taken) == b"." * LINES
