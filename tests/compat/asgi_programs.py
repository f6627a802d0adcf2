"""Programs of frameworks on the ``asgi`` worker: how they are run, and what they have in common.

``run_asgi(modules, text, *options)`` starts a program that needs these modules, and at the end of
the test sees to it that it ends without complaint. Programs may import ``SHARED`` as ``shared``.
"""

from __future__ import annotations

import http.client
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.e2e.clients import begin_answer, head
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from tests.process.conftest import Server

DEADLINE_S = 20
COMPLAINTS = "ERROR|WARNING|Traceback|Cut off"
FILE = bytes(range(256)) * 8192  # 2 MiB

SHARED = """\
import asyncio, sys

def say(*words):
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

async def parts(gate):
    yield b"first\\n"
    await gate.wait()
    yield b"second\\n"

async def pieces():
    try:
        while True:
            yield b"piece" * 10000
    finally:
        say("no more pieces")

async def wait(gate):
    await gate.wait()
    say("background")
"""


class Run(Protocol):
    """Starts a program; see the head of this file."""

    def __call__(self, modules: str, text: str, *options: str) -> Server: ...


@pytest.fixture
def run_asgi(server: Callable[..., Server]) -> Iterator[Run]:
    """Run a program; see the head of this file."""
    running: list[Server] = []

    def start(modules: str, text: str, *options: str) -> Server:
        for module in modules.split():
            skip_without(module)
        # No class is chosen: that these are ASGI applications has to be seen.
        words = ("--log-level", "info", "--asgi-disconnect-grace-period", "60")
        files = {"main.py": text, "shared.py": SHARED}
        srv = server(*words, *options, "main:app", files=files)
        srv.wait_for("Using worker: asgi")
        running.append(srv)
        return srv

    yield start
    for srv in running:
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
        assert not srv.count(COMPLAINTS), srv.log


def visit(srv: Server) -> httpx.Client:
    """Return a client of the server."""
    make = pytest.importorskip("httpx").Client
    client: httpx.Client = make(base_url=f"http://127.0.0.1:{srv.port}", timeout=DEADLINE_S)
    return client


def leave(srv: Server, path: str) -> None:
    """Ask for something, and go once it has begun."""
    with srv.connect() as client:
        client.sendall(head("GET", path))
        srv.wait_for(f"^begun {path}$")


def leave_in_mid_answer(srv: Server, path: str) -> None:
    """Go once the first of an answer is there."""
    with srv.connect() as client:
        client.sendall(head("GET", path))
        with begin_answer(client) as answer:
            assert answer.read(5)


def leave_pieces(srv: Server, path: str) -> None:
    """Go while ``/endless`` sends pieces, which is to end them, and ask for another path."""
    leave_in_mid_answer(srv, "/endless")
    srv.wait_for("^no more pieces$")
    assert srv.get(path).status == 200


def check_stream(srv: Server) -> None:
    """See that ``/stream`` sends each part once it is made: the second after ``/open``."""
    with closing(http.client.HTTPConnection(*srv.address, timeout=DEADLINE_S)) as connection:
        connection.request("GET", "/stream")
        answer = connection.getresponse()
        assert answer.readline() == b"first\n"
        assert srv.get("/open").status == 200
        assert answer.read() == b"second\n"


def check_background(srv: Server, path: str, status: int, end: str) -> None:
    """See that what goes on behind ``/later`` holds up nobody, and that a stop waits for it.

    ``path`` is answered with ``status``; the log has ``end`` once the program is told to end.
    """
    with visit(srv) as client:
        assert client.post("/later").text == "accepted"
        assert client.get(path).status_code == status
        assert not srv.count("^background$")
    check_stream(srv)
    srv.wait_for("^background$")
    srv.signal(signal.SIGTERM)
    srv.wait_for(f"^{end}$")
