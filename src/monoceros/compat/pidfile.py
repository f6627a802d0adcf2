"""A pid file under Gunicorn's names, over the one of the arbiter."""

from __future__ import annotations

import os

from monoceros.arbiter import pidfile


class Pidfile:
    """A file with the process id of a server."""

    def __init__(self, fname: str | os.PathLike[str]) -> None:
        self.fname = os.fspath(fname)
        self.pid: int | None = None

    def create(self, pid: int) -> None:
        """Write the number; raises PidfileError where the file is another living process's."""
        pidfile.Pidfile(self.fname).create(pid)
        self.pid = pid

    def rename(self, path: str | os.PathLike[str]) -> None:
        """Move to another path."""
        self.unlink()
        self.fname = os.fspath(path)
        self.create(self.pid if self.pid is not None else os.getpid())

    def unlink(self) -> None:
        """Remove the file if it has our number."""
        if self.pid is not None:
            pidfile.Pidfile(self.fname).remove(self.pid)

    def validate(self) -> int | None:
        """Return the number of the living process in the file, None where there is none."""
        pid = pidfile.Pidfile(self.fname).read()
        return pid if pid is not None and pidfile.is_alive(pid) else None
