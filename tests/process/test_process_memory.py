"""What a worker takes for itself, beside the application."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.arbiter.memory import measure_private

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

LIMIT = 4 << 20


@pytest.fixture
def bare() -> int:
    """The private octets of an interpreter that does nothing."""
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        size = measure_private(process.pid)
        process.communicate(b"\n")
    assert size is not None
    return size


def test_a_worker_is_little_more_than_an_interpreter(
    server: Callable[..., Server], bare: int
) -> None:
    srv = server("--workers", "2", "--access-logfile", "-", "app:app")
    workers = srv.wait_workers(2)
    for _ in range(20):
        assert srv.get().status == 200

    for pid in workers:
        size = measure_private(pid)
        assert size is not None
        assert size - bare <= LIMIT, f"{(size - bare) >> 10} KiB more than {bare >> 10}"
