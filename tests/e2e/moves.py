"""A client that keeps many connections and knows each of its requests by number.

It is a process of its own with one loop, so that nothing of the test's delays it: run as
``python -m tests.e2e.moves PORT SECONDS LINE...``, it prints what it found as JSON. A LINE is one
kept-alive connection, ``KIND:EVERY:FIRST:DEPTH``: from FIRST seconds on, every EVERY seconds, it
sends DEPTH requests in one go. A request's time counts from the moment it was due, so that one that
could not be sent because another one was late counts as late.
"""

from __future__ import annotations

import collections
import contextlib
import json
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.process.conftest import Server

_ROOT = Path(__file__).parents[2]
_DEADLINE_S = 20.0  # for the last answers
_ANSWER = re.compile(
    rb"HTTP/1\.1 (\d+) [^\r]*\r\n(?:[^\r\n]+\r\n)*?Content-Length: (\d+)\r\n(?:[^\r\n]+\r\n)*\r\n",
    re.IGNORECASE,
)


class Plan(NamedTuple):
    """What one connection asks."""

    kind: str  # the path before the number
    every_s: float
    first_s: float = 0.0
    depth: int = 1

    def __str__(self) -> str:
        return f"{self.kind}:{self.every_s}:{self.first_s}:{self.depth}"

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read what ``str`` wrote."""
        kind, every, first, depth = text.split(":")
        return cls(kind, float(every), float(first), int(depth))


class Found(NamedTuple):
    """What came of all requests of one kind."""

    asked: int
    times: list[float]  # of those that were answered, in seconds
    lost: list[str]
    wrong: list[str]
    moves: int  # how often the next answer on a connection came from another process

    @property
    def slowest(self) -> float:
        """The time of the request that took longest."""
        return max(self.times)


class Line:
    """One connection, which is made again when it ends."""

    def __init__(self, port: int, plan: Plan, began: float) -> None:
        self._port = port
        self.plan = plan
        self.due = began + plan.first_s
        self._waiting: collections.deque[tuple[int, float]] = collections.deque()
        self._input = b""
        self._number = 0
        self._pid = b""
        self.times: list[float] = []
        self.lost: list[str] = []
        self.wrong: list[str] = []
        self.moves = 0
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self._port), _DEADLINE_S)
        made.setblocking(False)
        return made

    @property
    def asked(self) -> int:
        """How many requests were sent."""
        return self._number

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is missing."""
        return bool(self._waiting)

    def ask(self) -> None:
        """Send what is due."""
        text = b""
        for _ in range(self.plan.depth):
            self._number += 1
            self._waiting.append((self._number, self.due))
            text += f"GET /{self.plan.kind}/{self._number} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        self.due += self.plan.every_s
        with contextlib.suppress(OSError):  # reading tells
            self.socket.sendall(text)

    def receive(self) -> bool:
        """Take what has come; False where the connection has ended and another one was made."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self._begin_anew()
            return False
        self._input += data
        while (match := _ANSWER.match(self._input)) and self._read(match):
            pass
        return True

    def _read(self, match: re.Match[bytes]) -> bool:
        end = match.end() + int(match[2])
        if len(self._input) < end:
            return False
        body = self._input[match.end() : end]
        self._input = self._input[end:]
        if not self._waiting:
            self.wrong.append(f"an answer to nothing: {body!r}")
            return True
        number, due = self._waiting.popleft()
        got, _, pid = body.partition(b" ")
        if match[1] != b"200" or got != b"%d" % number:
            self.wrong.append(f"{self.plan.kind}/{number}: {match[1]!r} {body!r}")
            return True
        self.times.append(time.monotonic() - due)
        self.moves += self._pid not in (b"", pid)
        self._pid = pid
        return True

    def _begin_anew(self) -> None:
        now = time.monotonic()
        for number, due in self._waiting:
            last = self._pid.decode()
            self.lost.append(f"{self.plan.kind}/{number} after {now - due:.3f}, last by {last}")
        if self._input:
            self.wrong.append(f"cut off: {self._input!r}")
        self._waiting.clear()
        self._input = self._pid = b""
        self.socket.close()
        self.socket = self._connect()

    def report(self) -> tuple[object, ...]:
        """Return the fields of ``Found``."""
        return self.asked, self.times, self.lost, self.wrong, self.moves


def drive(port: int, seconds: float, plans: Iterable[Plan]) -> dict[str, Found]:
    """Ask for so long; returns what was found for each kind of request."""
    began = time.monotonic() + 0.1
    lines = {line.socket.fileno(): line for line in (Line(port, plan, began) for plan in plans)}
    with select.epoll() as epoll:
        for fd in lines:
            epoll.register(fd, select.EPOLLIN)
        _ask_on(epoll, lines, began + seconds)
    found: dict[str, Found] = {}
    for line in lines.values():
        line.lost += [f"{line.plan.kind}: no answer"] * line.is_waiting
        before = found.get(line.plan.kind, Found(0, [], [], [], 0))
        both = zip(before, line.report(), strict=True)
        found[line.plan.kind] = Found(*(one + other for one, other in both))  # type: ignore[operator]
        line.socket.close()
    return found


def _ask_on(epoll: select.epoll, lines: dict[int, Line], end: float) -> None:
    while True:
        now = time.monotonic()
        is_over = now >= end
        if is_over and not any(line.is_waiting for line in lines.values()):
            return
        if now >= end + _DEADLINE_S:
            return
        idle = [] if is_over else [line for line in lines.values() if not line.is_waiting]
        for line in idle:
            if line.due <= now:
                line.ask()
        left = min((line.due for line in idle if not line.is_waiting), default=now + 0.1) - now
        for fd, _ in epoll.poll(max(0.0, left)):
            line = lines[fd]
            if not line.receive():
                del lines[fd]  # the socket is closed, and epoll knows
                lines[line.socket.fileno()] = line
                epoll.register(line.socket, select.EPOLLIN)


class Drive:
    """A client process that has been started."""

    def __init__(self, srv: Server, seconds: float, plans: Iterable[Plan]) -> None:
        command = [sys.executable, "-m", "tests.e2e.moves", str(srv.port), str(seconds)]
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (a pipe would fill up)
        self._process = subprocess.Popen(
            [*command, *map(str, plans)], cwd=_ROOT, stdout=self._output
        )
        self._most_s = seconds + 2 * _DEADLINE_S

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait(self) -> dict[str, Found]:
        """Return what it has found, for each kind."""
        assert self._process.wait(self._most_s) == 0
        self._output.seek(0)
        return {kind: Found(*fields) for kind, fields in json.load(self._output).items()}

    def end(self) -> None:
        """End it, if it is still there."""
        self._process.kill()
        self._process.wait()
        self._output.close()


@contextlib.contextmanager
def driving(srv: Server, seconds: float, plans: Iterable[Plan]) -> Iterator[Drive]:
    """Have a client ask for so long, and be gone at the end of the block."""
    client = Drive(srv, seconds, plans)
    try:
        yield client
    finally:
        client.end()


if __name__ == "__main__":
    _plans = [Plan.parse(text) for text in sys.argv[3:]]
    print(json.dumps(drive(int(sys.argv[1]), float(sys.argv[2]), _plans)))
