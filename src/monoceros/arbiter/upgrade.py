"""Upgrade: a new master beside the old one, on the same sockets.

On SIGUSR2 the master forks, and the child executes anew what this process was started with: the
same arguments in the same directory, with sockets and the master's number in the environment
(``net.inherited``). Both serve until one is told to leave. When the old one has gone, the new one
is promoted: it takes the names of the old one. When the new one goes, the old one goes on; nothing
that one of them does to end itself may touch what the other one uses, see ``Arbiter.owns``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn
from weakref import WeakKeyDictionary

from monoceros.arbiter.pidfile import Pidfile
from monoceros.arbiter.signals import HANDLED
from monoceros.arbiter.spawn import open_pidfd
from monoceros.errors import MonocerosError
from monoceros.net import closing, inherited, listeners
from monoceros.unpatched import fork, read, set_handler, waitpid, write
from monoceros.workers import hooks
from monoceros.workers.failure import format_application_error

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

    from monoceros.arbiter.loop import Arbiter
    from monoceros.net.listeners import FileId

SUFFIX = ".2"
LOOK_S = 1.0  # how often the old master is looked for where no descriptor tells
REPORT_SIZE = 4096  # what a pipe takes at once
# The interpreter ignores them, and what is ignored stays so in the program that is executed.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)


class Upgrade:
    """What binds this master to the one before it or after it, of which there is at most one."""

    def __init__(self, server: Arbiter) -> None:
        self._server = server
        self._given: list[socket.socket] = []
        self._files: WeakKeyDictionary[socket.socket, FileId | None] = WeakKeyDictionary()
        self._pidfd = -1  # of the other master
        self._report = -1  # says why the new one could not be executed

    @property
    def is_under_way(self) -> bool:
        """Whether there is another master."""
        return bool(self._other_pid)

    def shares(self, sock: socket.socket) -> bool:
        """Whether another master listens on a socket too."""
        return self.is_under_way and closing.has_open(self._other_pid, sock)

    def note_files(self, sockets: Iterable[socket.socket]) -> None:
        """Remember which files unix sockets have, before another master could make them anew."""
        for sock in sockets:
            self._files[sock] = listeners.find_file(sock)

    def may_unlink(self, sock: socket.socket) -> bool:
        """Whether the file of a unix socket, if it has one, serves no other master."""
        if not self.is_under_way:
            return True
        # The other one may listen on another socket there: where the file had been removed, or
        # where the path is written otherwise.
        is_same = self._files.get(sock) == listeners.find_file(sock)
        return is_same and not self.shares(sock)

    @property
    def _other_pid(self) -> int:
        return self._server.master_pid or self._server.reexec_pid

    @property
    def suffix(self) -> str:
        """What tells the names of a new master from those of the old one."""
        return SUFFIX if self._server.master_pid else ""

    # -- the new master

    def inherit(self) -> None:
        """Take over what the environment names; raises BindError."""
        server = self._server
        found = inherited.collect(server.cfg.environ, server.pid, server.cfg.backlog)
        self._given = found.sockets
        server.systemd = found.systemd
        if found.master_pid:
            self._follow(found.master_pid)

    def open_listeners(self, pause: Callable[[float], object]) -> None:
        """Have the sockets of the configuration, inherited or new; see ``listeners.create``."""
        server, given = self._server, self._given
        self._given = []
        if not server.systemd:
            server.current.sockets = listeners.create(server.cfg, server.log, pause, given)
            server.places.adopt(sock for sock in given if sock not in server.LISTENERS)
            self.note_files(server.LISTENERS)
            return
        if server.cfg.is_given("bind"):
            server.log.info("The sockets come from systemd; bind is not looked at")
        server.current.sockets = given

    def _follow(self, pid: int) -> None:
        server = self._server
        # Opened before its number is compared: the parent still lives then, so this is it.
        self._pidfd = open_pidfd(pid)
        if os.getppid() == pid:
            server.master_pid = pid
            server.master_name = "Master.2"
        else:
            self._end_upgrade()

    def _end_upgrade(self) -> None:
        self._server.log.info("Master has been promoted.")
        self._close()
        self._server.master_pid = 0
        self._server.master_name = "Master"
        os.environ.pop(inherited.MASTER, None)

    def _promote(self) -> None:
        server = self._server
        old_pid = server.master_pid
        self._end_upgrade()
        try:
            server.adopt_names(heir_of=old_pid)
        except MonocerosError as error:
            server.log.error("%s", error)

    # -- the old master

    def begin(self) -> None:
        """Start a new master, or log why not."""
        server = self._server
        refusal = ""
        if server.reexec_pid:
            refusal = f"the new master (pid:{server.reexec_pid}) is there already"
        elif server.master_pid:
            refusal = f"the old master (pid:{server.master_pid}) is still there"
        elif not sys.executable or not sys.orig_argv[1:]:
            refusal = "the interpreter does not know how this program was started"
        if refusal:
            server.log.warning("SIGUSR2 ignored: %s", refusal)
        else:
            self._start()

    def _start(self) -> None:
        server = self._server
        _flush()
        try:
            pid, self._report = self._fork()
        except OSError as error:
            # No process, memory or descriptor left.
            server.log.error("Cannot fork a new master, this one goes on: %s", error)
            return
        os.set_blocking(self._report, False)
        self._pidfd = open_pidfd(pid)
        server.reexec_pid = pid
        server.log.info("Starting a new master (pid:%s)", pid)
        if server.pid == 1:
            server.log.warning("This is process 1: when it leaves, the system ends the new one too")

    def _fork(self) -> tuple[int, int]:
        """Return the new master's pid, and where it says why it could not be executed."""
        self.note_files(self._server.all_sockets())
        report, report_end = os.pipe()
        try:
            with self._server.signals.blocked():
                pid = fork()
                if not pid:
                    self._become_new(report_end)
        except OSError:
            os.close(report)
            raise
        finally:
            os.close(report_end)
        return pid, report

    def _become_new(self, report: int) -> NoReturn:
        try:
            for signum in HANDLED:
                set_handler(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            self._execute()
        except hooks.HookError as error:
            reason = str(error)
        except OSError as error:
            reason = str(error)
        except BaseException as error:  # the border of the process
            reason = format_application_error(error)
        with contextlib.suppress(OSError):
            write(report, reason.encode("utf-8", "backslashreplace")[:REPORT_SIZE])
        os._exit(1)

    def _execute(self) -> NoReturn:
        server, cfg = self._server, self._server.cfg
        hooks.call(cfg, "pre_exec", server)
        fds = list(dict.fromkeys(sock.fileno() for sock in server.all_sockets()))
        environ = inherited.variables(
            cfg.environ, server.pid, os.getpid(), fds, systemd=server.systemd
        )
        # By its name: where that is a link to a release, it may lead elsewhere by now.
        os.chdir(cfg.cwd)
        _flush()
        for fd in fds:
            os.set_inheritable(fd, True)
        for signum in _IGNORED:
            set_handler(signum, signal.SIG_DFL)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)

    def reap(self) -> None:
        """Take leave of a new master that has ended; called at every turn."""
        pid = self._server.reexec_pid
        if not pid:
            return
        try:
            gone, status = waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            gone, status = pid, 0  # a hook waited for any child
        if gone:
            self._bury(pid, os.waitstatus_to_exitcode(status))

    def _bury(self, pid: int, code: int) -> None:
        server, log = self._server, self._server.log
        server.reexec_pid = 0
        if server.cfg.pidfile:
            # What was killed leaves its file, whose number may be another process's one day.
            Pidfile(server.cfg.pidfile + SUFFIX).remove(pid)
        reason = b""
        # A process that the hook has left behind may hold the pipe open.
        with contextlib.suppress(BlockingIOError):
            reason = read(self._report, REPORT_SIZE)
        self._close()
        if reason:
            text = reason.decode("utf-8", "replace")
            log.error("Cannot start a new master, this one goes on: %s", text)
        elif code > 0:
            log.error("The new master (pid:%s) ended with %s, this one goes on", pid, code)
        else:
            how = f"was ended by {signal.Signals(-code).name}" if code else "has left"
            log.info("The new master (pid:%s) %s, this one goes on", pid, how)

    # -- for the loop

    def descriptors(self) -> Iterator[int]:
        """Yield what to poll for reading."""
        if self._pidfd >= 0:
            yield self._pidfd

    def next_due(self) -> float | None:
        """Return when to look for the old master, None where a descriptor tells."""
        is_blind = self._server.master_pid and self._pidfd < 0
        return time.monotonic() + LOOK_S if is_blind else None

    def attend(self, readable: set[int]) -> None:
        """Take the place of the old master once it has gone."""
        master_pid = self._server.master_pid
        if master_pid and (os.getppid() != master_pid or self._pidfd in readable):
            self._promote()

    def release(self) -> None:
        """In a worker, close what only the arbiter uses."""
        self._close()

    def _close(self) -> None:
        for fd in (self._pidfd, self._report):
            if fd >= 0:
                os.close(fd)
        self._pidfd = self._report = -1


def _flush() -> None:
    """Write what is in buffers, of which the child would have a copy and lose it by the exec."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
