"""The service manager's notification protocol: what systemd hears by NOTIFY_SOCKET.

Theory of operation. Nothing is sent but from the arbiter's loop, so that a watchdog message is
proof of a loop that turns. A message is one datagram, never waited for: one that finds the
socket full is tried again, any other failure is logged once and forgotten. No descriptor is
kept, which children could inherit.

- Start: EXTEND_TIMEOUT_USEC while workers boot, since an import may take longer than
  TimeoutStartSec; READY when the configured number of workers is ready for the first time.
- SIGHUP: RELOADING with MONOTONIC_USEC, as ``Type=notify-reload`` wants it; then READY, however
  the reload ends, and STATUS tells how.
- Stop: STOPPING, with EXTEND_TIMEOUT_USEC for as long as the settings allow it to take.
- WATCHDOG at half of the interval, between READY and STOPPING only: at other times a message
  would start a watchdog that nobody expects. EXTEND_TIMEOUT_USEC puts off the watchdog too, by
  no more than ``EXTENSION_S``.
- STATUS with counts when they change.

Of two arbiters in an upgrade one speaks. Under ``NotifyAccess=main`` messages of the other would
be refused with a warning, and under ``all`` its READY or STOPPING would be taken for the
service's. The old arbiter is the main process until it exits: the new one is silent, and the old
one's last word, where a new one is alive, is MAINPID with that one's pid in place of STOPPING. It
comes that late because a service whose main process is draining needs its watchdog messages,
and because the new arbiter may die meanwhile. systemd reads messages before it looks at deaths.
With its promotion the new arbiter sends its own MAINPID, and READY as above. While the unit is
being stopped systemd takes no MAINPID, and the stop goes on as it should.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter

EXTENSION_S = 30.0  # what one EXTEND_TIMEOUT_USEC buys; renewed when half of it has passed
STATUS_PERIOD_S = 1.0
RETRY_S = 0.1
UNSENT = 16  # messages that wait for room in the socket
TRIES = 2  # how many workers may boot in one place before the manager's own limit counts
MARGIN_S = 5.0  # for SIGKILL, exit hooks and the log, after the last worker's time is over
LONGEST_REASON = 200  # characters

_EXTEND = f"EXTEND_TIMEOUT_USEC={int(EXTENSION_S * 1e6)}"


class Notifier:
    """What the arbiter has told the service manager, and what is due; times as in the loop."""

    def __init__(self, server: Arbiter) -> None:
        """Find out who listens; there is nothing to do where nobody does."""
        self._server = server
        environ = server.cfg.environ
        self._address = _to_address(environ.get("NOTIFY_SOCKET", ""))
        self._is_heir = bool(environ.get("GUNICORN_PID"))
        # An heir has the variables of the first arbiter.
        pids = ("", environ.get("WATCHDOG_PID") if self._is_heir else str(os.getpid()))
        is_watched = self._address and environ.get("WATCHDOG_PID", "") in pids
        self._watchdog_s = _to_seconds(environ.get("WATCHDOG_USEC", "")) if is_watched else None
        self._unsent: list[str] = []
        self._retry_at: float | None = None
        self._failed = False
        self._is_second = False  # beside an old arbiter that is still the main process
        self._is_ready = False  # READY was sent
        self._is_reloading = False
        self._stop_by: float | None = None
        self._has_told_stop = False
        self._failure = ""  # of the last reload
        self._deaths = 0
        self._status = ""
        self._status_at = 0.0  # when the next one may be sent
        self._extend_at: float | None = None
        self._watchdog_at: float | None = None

    # -- events

    def start(self) -> None:
        """The server begins; where an older one is still there, in silence."""
        now = time.monotonic()
        self._is_second = bool(self._server.master_pid)
        if not self._is_second and self._is_heir:
            self._take_over(now)
        elif not self._is_second:
            self._extend(now)

    def reload_began(self) -> None:
        """SIGHUP was taken; before READY it is part of the start."""
        self._failure = ""
        if not self._is_ready:
            return
        self._is_reloading = True
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", _EXTEND)
        self._extend_at = time.monotonic() + EXTENSION_S / 2

    def reload_ended(self, failure: str = "") -> None:
        """The new workers have taken over, or the old ones go on for the reason given."""
        if self._stop_by is not None:
            return
        self._failure = _shorten(failure)
        if self._is_reloading:
            self._is_reloading = False
            self._extend_at = None
            self._send("READY=1", self._fresh_status())

    def count_death(self) -> None:
        """A worker died that nobody had asked to leave."""
        self._deaths += 1

    def stop_began(self, seconds: float, reason: str = "") -> None:
        """The server is on its way out, which takes up to ``seconds``."""
        now = time.monotonic()
        self._stop_by = now + seconds + MARGIN_S
        self._is_reloading = False
        self._extend_at = None
        self._failure = _shorten(reason)
        self._tell_stop(now)

    def leave(self) -> None:
        """The process exits now; a new arbiter, if there is one, becomes the main process."""
        self._tell_stop(time.monotonic())
        if not self._has_told_stop:
            successor = self._server.reexec_pid
            self._send(f"MAINPID={successor}", f"STATUS=handed over to process {successor}")

    # -- the loop

    def advance(self, now: float) -> None:
        """Send what is due."""
        if self._address is None:
            return
        if self._is_second:
            if self._server.master_pid:
                return
            self._take_over(now)
        self._resend(now)
        self._tell_stop(now)
        if not self._is_ready and self._is_complete():
            self._announce(now)
        self._tell_status(now)
        if self._extend_at is not None and now >= self._extend_at:
            self._extend(now)
        if self._watchdog_at is not None and now >= self._watchdog_at:
            self._keep_alive(now)

    def next_due(self) -> float | None:
        """Return when ``advance`` has something to send, None where only an event can tell."""
        if self._is_second or self._address is None:
            return None
        due = [self._retry_at, self._extend_at, self._watchdog_at]
        if self._compose() != self._status:
            due.append(self._status_at)
        return min((moment for moment in due if moment is not None), default=None)

    def _take_over(self, now: float) -> None:
        self._is_second = False
        self._send(f"MAINPID={self._server.pid}")
        # The service is up, whether our workers are or not.
        self._keep_alive(now)

    def _tell_stop(self, now: float) -> None:
        if self._stop_by is None or self._has_told_stop or self._server.reexec_pid:
            return
        self._has_told_stop = True
        self._watchdog_at = None
        usec = int((self._stop_by - now) * 1e6)
        self._send("STOPPING=1", self._fresh_status(), f"EXTEND_TIMEOUT_USEC={usec}")

    def _is_complete(self) -> bool:
        server = self._server
        if server.current.unmeasured or self._stop_by is not None:
            return False
        return server.children.count_ready(server.current.number) >= server.num_workers

    def _announce(self, now: float) -> None:
        self._is_ready = True
        self._extend_at = None
        self._send("READY=1", self._fresh_status())
        self._keep_alive(now)

    def _tell_status(self, now: float) -> None:
        if now >= self._status_at and self._compose() != self._status:
            self._send(self._fresh_status())

    def _extend(self, now: float) -> None:
        """Ask for more time, if there is a worker to wait for; look again in any case."""
        self._extend_at = now + EXTENSION_S / 2
        if self._is_worth_waiting():
            self._send(_EXTEND, self._fresh_status())

    def _is_worth_waiting(self) -> bool:
        server = self._server
        if not server.worker_age:
            return True
        # Without an end to the tries a crash loop would keep up a start for ever.
        tries = server.worker_age / max(1, server.num_workers)
        if tries > TRIES and not self._is_reloading:
            return False
        return any(not child.was_ready for child in server.children.serving(server.current.number))

    def _keep_alive(self, now: float) -> None:
        if self._watchdog_s is not None:
            self._send("WATCHDOG=1")
            self._watchdog_at = now + self._watchdog_s / 2

    # -- texts

    def _fresh_status(self) -> str:
        self._status = self._compose()
        self._status_at = time.monotonic() + STATUS_PERIOD_S
        return f"STATUS={self._status}"

    def _compose(self) -> str:
        """Return one line for people."""
        server = self._server
        if not server.worker_age:
            return self._failure or "starting"
        if self._stop_by is not None:
            count = len(server.children)
            parts = [f"stopping, {count} worker{'' if count == 1 else 's'} left", self._failure]
        else:
            parts = [
                self._count_ready(),
                f"{self._deaths} died so far" if self._deaths else "",
                f"reload failed: {self._failure}" if self._failure else "",
            ]
        return "; ".join(part for part in parts if part)

    def _count_ready(self) -> str:
        server = self._server
        current = server.children.serving(server.current.number)
        others = [] if self._is_reloading else server.children.outdated(server.current.number)
        ready = sum(child.was_ready for child in (*current, *others))
        wanted = server.num_workers
        kind = "new workers" if self._is_reloading else "workers"
        return f"{min(ready, wanted)} of {wanted} {kind} ready"

    # -- sending

    def _send(self, *assignments: str) -> None:
        if self._address is None or self._is_second:
            return  # nobody listens, or another arbiter speaks
        self._unsent = [*self._unsent, "\n".join(assignments)][-UNSENT:]
        self._resend(time.monotonic())

    def _resend(self, now: float) -> None:
        self._retry_at = None
        while self._unsent:
            try:
                _transmit(self._unsent[0], self._address or "")
            except BlockingIOError:
                self._retry_at = now + RETRY_S
                return
            except OSError as error:
                self._complain(error)
            del self._unsent[0]

    def _complain(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            where = self._server.cfg.environ.get("NOTIFY_SOCKET")
            self._server.log.info(
                "The service manager at %s hears nothing: %s (NOTIFY_SOCKET)", where, error
            )


def _to_address(name: str) -> str | None:
    """Return what connects to NOTIFY_SOCKET, None where there is none that we know."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _transmit(message: str, address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(message.encode("utf-8", "replace"), address)


def _to_seconds(usec: str) -> float | None:
    """Return a time that is not 0, None where there is none."""
    return int(usec) / 1e6 or None if usec.isascii() and usec.isdigit() else None


def _shorten(reason: str) -> str:
    """Return what fits into a line of status: what an error's text begins and ends with."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    text = ": ".join(dict.fromkeys((lines[0], lines[-1]))) if lines else ""
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."
