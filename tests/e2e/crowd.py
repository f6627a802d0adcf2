"""A crowd of difficult clients, in a process of its own so that they do not disturb who measures.

``python -m tests.e2e.crowd HOST PORT KIND=NUMBER ...`` opens the connections, writes ``ready``
once all of them are where they are to be, and keeps them there until its standard input ends.
Then it writes one JSON object: for each kind how many were still open, and the statuses that
came in answer. The kinds are the functions of ``KINDS``.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
import threading
import time
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.e2e.clients import head, read_answer, send_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = Path(__file__).parents[2]
_SLICES = 20  # so many times a second somebody's turn comes
_READY_S = 60.0

_ENDLESS = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 4000
_LONG_BODY = 1 << 20
_LARGE = 10_000_000


class Member(NamedTuple):
    """One client: its connection, and what it sends once a second."""

    kind: str
    connection: socket.socket
    drip: Iterator[bytes]


def slow_head(connection: socket.socket) -> Iterator[bytes]:
    """Send a head at one byte a second."""
    return (_ENDLESS[at : at + 1] for at in range(len(_ENDLESS)))


def slow_body(connection: socket.socket) -> Iterator[bytes]:
    """Send a body at one kilobyte a second."""
    connection.sendall(head("POST", "/upload", f"Content-Length: {_LONG_BODY}"))
    return (b"x" * 1000 for _ in range(_LONG_BODY // 1000))


def no_reader(connection: socket.socket) -> Iterator[bytes]:
    """Ask for ten megabytes and read nothing."""
    connection.sendall(head("GET", f"/whole/{_LARGE}"))
    connection.recv(1, socket.MSG_PEEK)  # the application has answered
    return iter(())


def late_stopper(connection: socket.socket) -> Iterator[bytes]:
    """Ask for ten megabytes and read most of them."""
    connection.sendall(head("GET", f"/whole/{_LARGE}"))
    wanted = _LARGE * 6 // 10
    while wanted > 0:
        wanted -= len(connection.recv(min(1 << 16, wanted)))
    return iter(())


def downloader(connection: socket.socket) -> Iterator[bytes]:
    """Download as fast as it goes, again and again."""
    connection.sendall(head("GET", "/file/200000000") * 30)
    connection.recv(1, socket.MSG_PEEK)
    threading.Thread(target=_read_all, args=(connection,), daemon=True).start()
    return iter(())


def _read_all(connection: socket.socket) -> None:
    buffer = bytearray(1 << 20)
    while connection.recv_into(buffer):
        pass


def idle(connection: socket.socket) -> Iterator[bytes]:
    """Ask once and keep the connection."""
    connection.sendall(head("GET", "/"))
    assert read_answer(connection).status == 200
    return iter(())


def silent(connection: socket.socket) -> Iterator[bytes]:
    """Connect and say nothing."""
    return iter(())


def never_closing(connection: socket.socket) -> Iterator[bytes]:
    """Have the server close the connection, and do not close in turn."""
    connection.sendall(head("GET", "/", "Connection: close"))
    assert read_answer(connection).status == 200
    return iter(())


def refused(connection: socket.socket) -> Iterator[bytes]:
    """Be refused, and do not close."""
    connection.sendall(b"nonsense\r\n\r\n")
    assert read_answer(connection).status == 400
    return iter(())


def flood(connection: socket.socket) -> Iterator[bytes]:
    """Upload as fast as the server takes it, whatever the server says, for some seconds."""
    connection.sendall(head("POST", "/deny", "Transfer-Encoding: chunked"))
    piece = b"10000\r\n%b\r\n" % bytes(1 << 16)
    threading.Thread(target=send_all, args=(connection, repeat(piece)), daemon=True).start()
    connection.recv(1, socket.MSG_PEEK)  # refused
    return iter(())


KINDS: dict[str, Callable[[socket.socket], Iterator[bytes]]] = {
    function.__name__: function
    for function in (
        slow_head,
        slow_body,
        no_reader,
        late_stopper,
        downloader,
        idle,
        silent,
        never_closing,
        refused,
        flood,
    )
}


@contextlib.contextmanager
def crowd(address: tuple[str, int], **kinds: int) -> Iterator[subprocess.Popen[str]]:
    """Have a crowd while the block runs; ``leave`` ends it early and tells how it went."""
    command = [sys.executable, "-m", "tests.e2e.crowd", address[0], str(address[1])]
    process = subprocess.Popen(
        [*command, *(f"{kind}={number}" for kind, number in kinds.items())],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the crowd did not come together"
        yield process
    finally:
        process.kill()
        process.communicate()


def leave(process: subprocess.Popen[str]) -> dict[str, dict[str, int]]:
    """End a crowd and return how it went."""
    found: dict[str, dict[str, int]] = json.loads(process.communicate("", timeout=_READY_S)[0])
    return found


def _gather(address: tuple[str, int], wanted: dict[str, int]) -> list[Member]:
    members = []
    for kind, number in wanted.items():
        for position in range(number):
            connection = socket.socket()
            connection.settimeout(20)
            # Addresses of their own, because one has too few ports for some crowds.
            connection.bind((f"127.0.0.{2 + position // 5000}", 0))
            if kind in ("no_reader", "late_stopper"):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(address)
            members.append(Member(kind, connection, KINDS[kind](connection)))
    return members


def _keep_going(members: list[Member]) -> None:
    """Let each member drip once a second until the standard input ends."""
    turn = 0
    began = time.monotonic()
    while not select.select([0], [], [], max(0.0, began + turn / _SLICES - time.monotonic()))[0]:
        for member in members[turn % _SLICES :: _SLICES]:
            with contextlib.suppress(OSError):
                member.connection.sendall(next(member.drip, b""))
        turn += 1


def _describe(members: list[Member]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for member in members:
        outcome = _outcome(member)
        counts = found.setdefault(member.kind, {})
        counts[outcome] = counts.get(outcome, 0) + 1
    return found


def _outcome(member: Member) -> str:
    member.connection.setblocking(False)
    try:
        data = member.connection.recv(4096)
    except BlockingIOError:
        return "open"
    except OSError:
        return "reset"
    return data.split(b" ", 2)[1].decode() if data.startswith(b"HTTP/1.1 ") else "closed"


def _main() -> None:
    host, port, *kinds = sys.argv[1:]
    wanted = {kind: int(number) for kind, _, number in (one.partition("=") for one in kinds)}
    members = _gather((host, int(port)), wanted)
    print("ready", flush=True)
    _keep_going(members)
    print(json.dumps(_describe(members)), flush=True)


if __name__ == "__main__":
    _main()
