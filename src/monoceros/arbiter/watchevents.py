"""Waking the watcher when the system tells of a change, by the package watchfiles.

What it tells is only a reason to look: which file has changed is found by the watch list. So
events that are lost, doubled or about something else do no harm.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.unpatched import read, start_new_thread, write

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_MS = 50  # how often the package looks for what the system has told
DEBOUNCE_MS = 100  # how long it collects at most


class Events:
    """Descriptor that becomes readable when something happens to a watched name."""

    def __init__(self, is_watched: Callable[[str], bool]) -> None:
        """Take what judges paths, in another thread. Raises ImportError."""
        # Only here: nobody but the watcher needs it, and it brings much with it.
        from watchfiles import watch

        self._watch = watch
        self._is_watched = is_watched
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._stop = _Stop()
        self.folders: frozenset[str] = frozenset()
        self.failure: str | None = None  # why no event will ever come any more

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._read

    def drain(self) -> bool:
        """Forget all events so far; whether there was any."""
        drained = False
        with contextlib.suppress(BlockingIOError):
            while read(self._read, 4096):
                drained = True
        return drained

    def follow(self, folders: frozenset[str]) -> None:
        """Listen for what happens in these folders instead of those before.

        Takes effect a moment later: look at the files once more then.
        """
        self._stop.set()
        self._stop = _Stop()
        self.folders = folders
        there = [folder for folder in sorted(folders) if Path(folder).is_dir()]
        if there:
            # A real thread, also where a configuration file has patched these.
            start_new_thread(self._listen, (there, self._stop))

    def _listen(self, folders: list[str], stop: _Stop) -> None:
        try:
            for _ in self._watch(
                *folders,
                watch_filter=lambda _, path: self._is_watched(path),
                debounce=DEBOUNCE_MS,
                step=STEP_MS,
                stop_event=stop,
                recursive=False,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                self._wake()
        except Exception as error:  # the border around the package
            if not stop.is_set():
                self.failure = f"{type(error).__name__}: {error}"
                self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            write(self._write, b"\0")


class _Stop:
    """What the package asks whether to stop."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Have it stop."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._is_set
