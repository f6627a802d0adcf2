"""A connection between a test and a Conn, and the worker's loop in the small."""

from __future__ import annotations

import os
import select
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.http.budget import Budget
from monoceros.http.types import (
    AGAIN,
    CLOSE,
    LINGER,
    MORE,
    UPGRADE,
    WANT_WRITE,
    Limits,
    Policy,
)
from tests.http.support import LISTENER, Recorder, Response, make_core, read_responses

if TYPE_CHECKING:
    from types import TracebackType

    from monoceros.http.types import Conn, Rules, Twin, WsgiApp

DEADLINE_S = 20.0


def open_descriptors() -> int:
    """The number of descriptors of this process."""
    return len(os.listdir("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"))  # noqa: PTH208


class Link:
    """One client socket, and the Conn on the other end of it.

    ``tcp`` is a connection over loopback, ``unix`` a pair of streams. ``packets`` keeps the
    boundaries of what is sent: one receive of the client is one send of the server.
    """

    def __init__(
        self,
        twin: Twin,
        app: WsgiApp,
        kind: str = "tcp",
        *,
        limits: Limits | None = None,
        rules: Rules | None = None,
        policy: Policy | None = None,
        slot: memoryview | None = None,
        buffer: int = 0,
        now: float | None = None,
        log: Recorder | None = None,
        trusted: bool = False,
    ) -> None:
        self.policy = policy or Policy()
        self.budget = self.policy.budget = self.policy.budget or Budget()
        self.log = log or Recorder("%(r)s %(s)s %(B)s")
        self.core = make_core(
            twin, app, limits=limits, rules=rules, policy=self.policy, log=self.log, slot=slot
        )
        if now is not None:
            self.core.tick(now)
        self.client, fd, remote, local = _connect(twin, kind, buffer)
        self.client.settimeout(DEADLINE_S)
        self.fd = fd
        self.conn: Conn = twin.Conn(self.core, fd, remote, local, "http", trusted)  # type: ignore[call-arg]
        self.code = AGAIN
        self.codes: list[int] = []
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        if self._thread is not None:
            self.join()
        self.conn.close()

    # -- the server's side, one step at a time ----------------------------------------------

    def step(self) -> int:
        """Wait for what the last code asks for, do it, and return the new code."""
        if self.code == MORE:
            self.code = self.conn.ready()
        elif self.code == WANT_WRITE:
            self._poll(select.POLLOUT)
            self.code = self.conn.writable()
        elif self.code == LINGER:
            self._poll(select.POLLIN)
            self.code = self.conn.discard()
        else:
            assert self.code == AGAIN
            self._poll(select.POLLIN)
            self.code = self.conn.ready()
        self.codes.append(self.code)
        if self.code in (CLOSE, UPGRADE):
            self.conn.close()
        return self.code

    def _poll(self, event: int) -> None:
        poller = select.poll()
        poller.register(self.fd, event)
        assert poller.poll(DEADLINE_S * 1000), "nothing to do before the deadline"

    def run(self) -> int:
        """Step until the connection is closed."""
        while self.step() not in (CLOSE, UPGRADE):
            pass
        return self.code

    # -- the server's side, in a thread of its own -------------------------------------------

    def start(self) -> None:
        """Run in a thread, for tests whose client has to act while the application runs."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self._failure = error
            self.conn.close()

    def join(self) -> int:
        """Wait for the end of the thread; returns the last code."""
        assert self._thread is not None
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the server's thread is stuck"
        if self._failure is not None:
            raise self._failure
        return self.code

    # -- the client's side -------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self.client.sendall(data)

    def ask(self, data: bytes) -> int:
        """Send, and let the server take one step."""
        self.send(data)
        return self.step()

    def receive_packet(self) -> bytes:
        """What one send of the server has brought; empty where nothing has."""
        poller = select.poll()
        poller.register(self.client, select.POLLIN)
        return self.client.recv(1 << 20) if poller.poll(0) else b""

    def receive(self) -> bytes:
        """All that is there."""
        return b"".join(iter(self.receive_packet, b""))

    def receive_to_end(self) -> bytes:
        """All until the server's end of the stream."""
        return b"".join(iter(lambda: self.client.recv(1 << 20), b""))

    def receive_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.client.recv(size - len(data))
            assert more, "the server closed early"
            data += more
        return data

    def responses(self, *methods: str) -> list[Response]:
        """The responses that are there."""
        return read_responses(self.receive(), *methods)

    def half_close(self) -> None:
        self.client.shutdown(socket.SHUT_WR)


def _connect(twin: Twin, kind: str, buffer: int) -> tuple[socket.socket, int, object, object]:
    if kind != "tcp":
        type_ = socket.SOCK_STREAM if kind == "unix" else socket.SOCK_SEQPACKET
        client, server = socket.socketpair(socket.AF_UNIX, type_)
        server.setblocking(False)
        if buffer:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        return client, server.detach(), "", "/run/app.sock"
    with socket.socket() as listener:
        if buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.socket()
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.connect(listener.getsockname())
        accepted = twin.accept(listener)
        assert accepted is not None
        return client, *accepted, LISTENER
