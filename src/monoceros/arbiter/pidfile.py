"""The file that holds the arbiter's process id."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from monoceros.errors import MonocerosError


class PidfileError(MonocerosError):
    """The pid file cannot be written, or belongs to a living process; exit code 1."""


class Pidfile:
    """A pid file, replaced atomically, readable by everybody."""

    def __init__(self, path: str) -> None:
        self.path = Path(path).absolute()

    def create(self, pid: int, heir_of: int = 0) -> None:
        """Write ``pid``; a file of a dead process, or of ``heir_of``, is replaced.

        Raises PidfileError.
        """
        owner = self.read()
        if owner is not None and owner not in (pid, heir_of) and is_alive(owner):
            raise PidfileError(
                f"Already running on PID {owner} (or pid file '{self.path}' is stale). Stop that "
                "process; where it is another program, remove the file."
            )
        try:
            self._write(pid)
        except OSError as error:
            raise PidfileError(
                f"Cannot write the pid file '{self.path}': {error.strerror}. The directory has to "
                "exist and to be writable for the user who starts the server."
            ) from error

    def read(self) -> int | None:
        """Return the process id in the file, None where there is no file or no number in it."""
        try:
            return int(self.path.read_text(encoding="ascii", errors="replace").strip() or "x")
        except (OSError, ValueError):
            return None

    def remove(self, pid: int) -> None:
        """Remove the file if it still holds ``pid``."""
        if self.read() == pid:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _write(self, pid: int) -> None:
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()  # of an earlier process with this number
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(f"{pid}\n")
                os.fchmod(file.fileno(), 0o644)
            new.replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
