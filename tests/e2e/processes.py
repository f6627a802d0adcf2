"""What the kernel knows about a process (proc(5)), and processes that stand still."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="needs proc(5) of Linux"
)

MIB = 1 << 20


def resident(pid: int) -> int:
    """Return the octets of memory that the process has at present."""
    return _kilobytes(f"/proc/{pid}/status", "VmRSS")


def peak(pid: int) -> int:
    """Return the largest ``resident`` since the start or the last ``reset_peak``."""
    return _kilobytes(f"/proc/{pid}/status", "VmHWM")


def reset_peak(pid: int) -> None:
    """Begin to measure ``peak`` anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def private(pid: int) -> int:
    """Return the octets of memory that the process shares with nobody."""
    return _kilobytes(f"/proc/{pid}/smaps_rollup", "Private_Dirty")


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spooled(pid: int) -> int:
    """Return the octets on disk that the process keeps in unlinked files."""
    total = 0
    seen = set()
    for number, target in descriptors(pid).items():
        if not target.endswith(" (deleted)"):
            continue
        try:
            status = Path(f"/proc/{pid}/fd/{number}").stat()
        except FileNotFoundError:
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total


def _kilobytes(path: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB$", Path(path).read_text(), re.MULTILINE)
    assert match, f"no {name} in {path}"
    return int(match[1]) << 10


@contextlib.contextmanager
def stopped(pids: set[int]) -> Iterator[None]:
    """Have processes stand still in the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid in pids:
            _wait_for_state(pid, "T")
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _wait_for_state(pid: int, state: str) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != state:
        time.sleep(0.001)


class Watch:
    """The highest value of a function while the block runs."""

    def __init__(self, value: Callable[[], int]) -> None:
        self.highest = 0
        self._value = value
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            self.highest = max(self.highest, self._value())
