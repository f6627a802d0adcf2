"""The descriptor that lets a signal end a poll.

Python's signal handlers run between two bytecodes, so a process that sleeps in poll(2) needs
a descriptor that becomes readable. The interpreter writes a byte to it for each signal, but
the bytes mean nothing: processes forked from this one share the pipe until they let go of it,
so a byte may be somebody else's signal. What happened is told by flags that the handlers set.
"""

from __future__ import annotations

import contextlib
import os
import signal

from monoceros.unpatched import read, write


class Wakeup:
    """A non-blocking pipe for ``signal.set_wakeup_fd``; the main thread makes and uses it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading; -1 once closed."""
        return self._read

    @property
    def write_fd(self) -> int:
        """The descriptor to write to where a poll is to end; -1 once closed."""
        return self._write

    def claim(self) -> bool:
        """Make the interpreter write here; False where somebody else had taken its place.

        Event loops inside applications put their own descriptor in, so the owner calls this
        now and then.
        """
        before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return before == self._write

    def wake(self) -> None:
        """End the present or the next poll, from any thread."""
        with contextlib.suppress(BlockingIOError):
            write(self._write, b"\0")

    def drain(self) -> None:
        """Forget all wake-ups so far."""
        with contextlib.suppress(BlockingIOError):
            while read(self._read, 4096):
                pass

    def release(self) -> None:
        """Take the descriptor out of the interpreter where it is still ours, and close the pipe.

        A forked child calls this too: it must not write into its parent's pipe.
        """
        if self._read < 0:
            return
        before = signal.set_wakeup_fd(-1)
        if before not in (-1, self._write):
            signal.set_wakeup_fd(before)
        os.close(self._read)
        os.close(self._write)
        self._read = self._write = -1
