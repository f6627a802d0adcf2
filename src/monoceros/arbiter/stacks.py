"""Where a worker is: asks one for its stacks, and collects what its C handler writes.

Theory of operation. Each worker has a file in memory that the arbiter made before the fork; a
signal (``workers.stacks``) makes its ``faulthandler`` write there. Nothing tells the end of a dump,
so the file is looked at every ``LOOK_S`` until it has stopped growing and has the current thread,
which comes last. A process that is stopped or waits in the kernel writes nothing: after
``PATIENCE_S`` its state stands in for the stacks.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from monoceros.unpatched import read
from monoceros.workers.frames import names_current_thread, shorten
from monoceros.workers.stacks import ALL_THREADS, MAIN_THREAD

if TYPE_CHECKING:
    from monoceros.arbiter.children import Child

LOOK_S = 0.05
PATIENCE_S = 1.0

_AT_ONCE = 1 << 20
_STANDING = {
    "T": "the process is stopped",
    "t": "the process is stopped by a debugger",
    "D": "the process waits in the kernel, in uninterruptible sleep",
    "Z": "the process is dead",
}


class StackFile:
    """Where one worker's stacks go; ``target`` is the worker's descriptor.

    A file in memory takes whatever comes, without ever making the writer wait. Where the system has
    none there is a non-blocking pipe, which loses what it has no room for.
    """

    def __init__(self) -> None:
        """Open both ends; raises OSError."""
        self._position: int | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._fd = self.target = os.memfd_create("stacks")
                self._position = 0
                return
        self._fd, self.target = os.pipe()
        os.set_blocking(self._fd, False)
        os.set_blocking(self.target, False)

    def keep_target(self) -> int:
        """After the fork, in the worker: return its end, and leave the other to the arbiter."""
        if self.target != self._fd:
            os.close(self._fd)
        return self.target

    def let_go_of_target(self) -> None:
        """After the fork, in the arbiter: leave the worker's end to the worker."""
        if self.target != self._fd and self.target >= 0:
            os.close(self.target)
            self.target = -1

    def read(self) -> bytes:
        """Return what has come since the last time; never waits."""
        pieces: list[bytes] = []
        while piece := self._read_some():
            pieces.append(piece)
        return b"".join(pieces)

    def _read_some(self) -> bytes:
        if self._position is None:
            with contextlib.suppress(BlockingIOError):
                return read(self._fd, _AT_ONCE)
            return b""
        piece = os.pread(self._fd, _AT_ONCE, self._position)
        self._position += len(piece)
        return piece

    def empty(self) -> None:
        """Forget what has come so far."""
        if self._position is None:
            self.read()
            return
        # The worker writes where this position is: they share the open file.
        os.ftruncate(self._fd, 0)
        self._position = os.lseek(self._fd, 0, os.SEEK_SET)

    def close(self) -> None:
        """Close the arbiter's descriptors."""
        self.let_go_of_target()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = self.target = -1


class Report(NamedTuple):
    """What came of a question; ``text`` says so where it is no stack."""

    child: Child
    text: str


class _Dump:
    """One question under way."""

    def __init__(self, child: Child, now: float) -> None:
        self.child = child
        self.look_at = now + LOOK_S
        self.until = now + PATIENCE_S
        self.octets = b""
        self.was_cut = False

    def grow(self) -> bool:
        """Take in what has come; whether that was anything."""
        piece = self.child.stack_file.read() if self.child.stack_file else b""
        self.octets += piece
        return bool(piece)

    def text(self) -> str:
        return self.octets.decode("ascii", "backslashreplace")


class Stacks:
    """The questions that are under way, at most one for each child."""

    def __init__(self) -> None:
        self._dumps: dict[int, _Dump] = {}

    def ask(self, child: Child, now: float, *, all_threads: bool) -> None:
        """Have a child dump its stacks; ``collect`` gets them. Only its own arbiter may ask.

        All threads are for a process that is about to end: see ``workers.stacks``.
        """
        signum = ALL_THREADS if all_threads else MAIN_THREAD
        dump = self._dumps[child.pid] = _Dump(child, now)
        if child.stack_file is None or signum is None or _state(child.pid) in ("T", "t"):
            dump.look_at = dump.until = now
            return
        child.stack_file.empty()
        _signal(child.pid, signum)

    def collect(self, now: float) -> list[Report]:
        """Return what is complete or is not going to come."""
        due = [dump for dump in self._dumps.values() if now >= dump.look_at]
        return [Report(dump.child, self._end(dump)) for dump in due if self._is_over(dump, now)]

    def forget(self, child: Child) -> str | None:
        """A child is dead: return what came of a question that was under way."""
        dump = self._dumps.get(child.pid)
        if dump is None:
            return None
        dump.grow()
        return self._end(dump)

    def next_due(self) -> float | None:
        """Return when to collect, None where nothing was asked."""
        return min((dump.look_at for dump in self._dumps.values()), default=None)

    def _is_over(self, dump: _Dump, now: float) -> bool:
        grew = dump.grow()
        dump.look_at = min(now + LOOK_S, dump.until)
        if now >= dump.until:
            return True
        if grew or not dump.octets:
            return False
        if names_current_thread(dump.text()):
            return True
        is_cut = dump.octets.endswith(b"...\n") or now >= dump.until - PATIENCE_S / 2
        if is_cut and not dump.was_cut:
            # Of more than a hundred threads the main one, the oldest, is left out, and a pipe
            # may have had no room for it.
            dump.was_cut = True
            _signal(dump.child.pid, MAIN_THREAD)
        return False

    def _end(self, dump: _Dump) -> str:
        del self._dumps[dump.child.pid]
        if dump.octets:
            return shorten(dump.text())
        state = _STANDING.get(_state(dump.child.pid), "the process does not answer")
        return f"no stack: {state}"


def _state(pid: int) -> str:
    """Return the letter of the main thread's state, empty where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def _signal(pid: int, signum: int | None) -> None:
    if signum is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)
