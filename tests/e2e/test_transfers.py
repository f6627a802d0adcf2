"""Large uploads and downloads: they arrive unchanged, and cost a worker little memory."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.apps.bulk import digest, pieces
from tests.e2e.clients import (
    ask,
    begin_answer,
    connect_unix,
    head,
    read_answer,
    send_all,
)
from tests.e2e.processes import MIB, needs_proc, peak, reset_peak, spooled
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, needs_proc]

_PLAIN = "tests.e2e.apps.plain:app"
_SIZE = 100_000_000
_CLIENT_PIECE = 1 << 20


@pytest.fixture(params=["tcp", "unix"])
def start(
    request: pytest.FixtureRequest, serve: Serve, tmp_path: Path
) -> Callable[[str], tuple[Server, Callable[[], socket.socket]]]:
    """Start two workers on either kind of socket; returns the server and its ``connect``."""

    def run(app: str) -> tuple[Server, Callable[[], socket.socket]]:
        if request.param == "tcp":
            srv = serve("--keep-alive=75", "--workers", "2", app)
            return srv, srv.connect
        path = tmp_path / "socket"
        srv = serve("--keep-alive=75", "--workers", "2", app, bind=f"unix:{path}")
        return srv, lambda: connect_unix(path)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["flask", "falcon"])
def test_100_megabytes_both_ways(
    start: Callable[[str], tuple[Server, Callable[[], socket.socket]]], framework: str
) -> None:
    pytest.importorskip(framework)
    srv, connect = start(f"tests.e2e.apps.{framework}_app:app")
    workers = srv.wait_workers(2)
    for pid in workers:
        reset_peak(pid)
    before = {pid: peak(pid) for pid in workers}

    with connect() as client:
        client.sendall(head("POST", "/upload", f"Content-Length: {_SIZE}"))
        assert send_all(client, pieces(_SIZE)) == _SIZE
        described = json.loads(read_answer(client, "POST").body)
        assert described == {"size": _SIZE, "sha256": digest(_SIZE)}

        client.sendall(head("GET", f"/download/{_SIZE}"))
        answer = begin_answer(client)
        found = hashlib.sha256()
        while data := answer.read(_CLIENT_PIECE):
            found.update(data)
        assert found.hexdigest() == digest(_SIZE)
        assert ask(client).status == 200  # on the same connection

    for pid in workers:
        assert peak(pid) - before[pid] < 24 * MIB
    srv.wait_until(lambda: not any(map(spooled, workers)), "the end of the temporary files")


@pytest.mark.parametrize("options", [[], ["--no-request-buffering"]])
def test_aborted_transfers_leave_nothing_open(serve: Serve, options: list[str]) -> None:
    """In both directions, from memory and from files, framed either way."""
    srv = serve("--keep-alive=75", *options, "--body-spool-limit", str(4 * MIB), _PLAIN)
    (worker,) = srv.wait_workers(1)
    sized, chunked = f"Content-Length: {20 * MIB}", "Transfer-Encoding: chunked"
    chunk = b"%x\r\n%b\r\n" % (MIB, bytes(MIB))
    with srv.connect() as client:
        for path in ("/", f"/file/{8 * MIB}", "/stream/1000000"):
            assert ask(client, path).status == 200
        before = len(descriptors(worker)) - 1
    for size in (MIB // 2, 2 * MIB, 8 * MIB):
        with srv.connect() as client:
            client.sendall(head("POST", "/upload", sized))
            send_all(client, pieces(size))
        with srv.connect() as client:
            client.sendall(head("POST", "/upload", chunked))
            send_all(client, [chunk] * (size // MIB or 1))
    for path in (f"/whole/{30 * MIB}", f"/stream/{30 * MIB}", f"/file/{8 * MIB}"):
        with srv.connect() as client:
            client.sendall(head("GET", path))
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    srv.wait_until(lambda: len(descriptors(worker)) == before, "descriptors as they were")
    with srv.connect() as client:
        assert ask(client).status == 200
