"""Many streams and WebSockets beside plain requests, while their workers leave."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.asgi import start
from tests.e2e.clients import ask, begin_answer, head, read_answer
from tests.e2e.load import load
from tests.e2e.sockets import be_closed, upgrade

if TYPE_CHECKING:
    import http.client
    import socket
    from collections.abc import Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled, pytest.mark.quiet]

COUNT = 100
SOON_S = 0.2
# When each worker has heard that it is to leave.
CONFIG = """\
def worker_exit(server, worker):
    worker.log.info("left by %s at %f", worker.pid, worker.told_to_leave)
"""


class Streams:
    """So many streams of events, and so many WebSockets, all of them open."""

    def __init__(self, srv: Server, stack: contextlib.ExitStack) -> None:
        self._srv = srv
        self.clients: list[socket.socket] = []
        self.answers: list[http.client.HTTPResponse] = []
        self.sockets: list[socket.socket] = []
        for _ in range(COUNT):
            self.clients.append(client := stack.enter_context(srv.connect()))
            client.sendall(head("GET", "/events/listens"))
            self.answers.append(begin_answer(client))
            assert self.answers[-1].readline() == b"data: 0\n"
            self.sockets.append(stack.enter_context(srv.connect()))
            upgrade(self.sockets[-1])

    def read(self) -> set[int]:
        """Read them all to their ends; returns the codes of the close frames."""
        for client, answer in zip(self.clients, self.answers, strict=True):
            assert answer.read() == b"\ndata: bye\n\n"  # and the last chunk, or this would raise
            client.close()
        return set(map(be_closed, self.sockets))

    def delays(self, began: float | None = None) -> Iterator[float]:
        """Return the seconds until each call was told; without a time since its worker was."""
        pattern = r"(left|told|websocket ended).* by (\d+) at ([\d.]+)$"
        found = [match.groups() for line in self._srv.lines if (match := re.search(pattern, line))]
        left = {pid: float(at) for what, pid, at in found if what == "left"}
        told = [(pid, float(at)) for what, pid, at in found if what != "left"]
        assert len(told) == 2 * COUNT
        return (at - (began or left[pid]) for pid, at in told)


@pytest.mark.parametrize("how", ["reload", "recycling"])
def test_replacement(serve: Serve, how: str) -> None:
    args = ["--max-requests", "1000"] if how == "recycling" else []
    srv = start(serve, *args, workers=2, files={"gunicorn.conf.py": CONFIG})
    before = srv.workers()
    with contextlib.ExitStack() as stack:
        streams = Streams(srv, stack)
        with load(srv, "/pid") as clients:
            clients.wait_for_more(100)
            if how == "reload":
                srv.signal(signal.SIGHUP)
            assert streams.read() == {1012}
            srv.wait_until(lambda: not any(map(srv.owns, before)), "successors")
            clients.wait_for_more(100)
    assert not clients.losses
    assert max(streams.delays()) < SOON_S


def test_stop(serve: Serve) -> None:
    """Requests that have come by then are answered."""
    srv = start(serve, workers=2, files={"gunicorn.conf.py": CONFIG})
    with contextlib.ExitStack() as stack:
        streams = Streams(srv, stack)
        clients = [stack.enter_context(srv.connect()) for _ in range(COUNT)]
        for client in clients[::2]:
            assert ask(client, "/pid").status == 200
        for client in clients:
            client.sendall(head("GET", "/nap/0.5"))
        began = time.monotonic()
        srv.signal(signal.SIGTERM)
        assert streams.read() == {1001}
        assert {read_answer(client).status for client in clients} == {200}
    assert srv.wait() == 0
    assert max(streams.delays(began)) < SOON_S
