"""Uploads that nobody wants: they end early, and neither memory nor disk nor others suffer."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.apps.bulk import pieces
from tests.e2e.clients import ask, head, read_answer, send_all
from tests.e2e.crowd import crowd
from tests.e2e.latency import assert_nobody_waits
from tests.e2e.processes import MIB, Watch, needs_proc, peak, reset_peak, spooled

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, needs_proc]

_PLAIN = "tests.e2e.apps.plain:app"
_SIZE = 2 << 30


def _until_answered(client: socket.socket, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield parts until the server has said something, as HTTP clients should."""
    for part in parts:
        if select.select([client], [], [], 0)[0]:
            return
        yield part


def _while_spooled(srv: Server, disk: Watch, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield parts, and wait once until what was sent has been seen in a file."""
    sent = 0
    for part in parts:
        yield part
        sent += len(part)
        if sent >= 4 * MIB and not disk.highest:
            srv.wait_until(lambda: disk.highest > 0, "a temporary file")


@pytest.mark.parametrize("patience", ["stops at the answer", "sends to the end"])
def test_2_gigabytes_denied_unread_are_over_in_a_second(serve: Serve, patience: str) -> None:
    srv = serve("--body-spool-limit", str(16 * MIB), _PLAIN)
    (worker,) = srv.wait_workers(1)
    reset_peak(worker)
    before = peak(worker)
    with srv.connect() as client, Watch(lambda: spooled(worker)) as disk:
        began = time.monotonic()
        client.sendall(head("POST", "/deny", f"Content-Length: {_SIZE}"))
        parts = _while_spooled(srv, disk, pieces(_SIZE))
        sent = send_all(client, _until_answered(client, parts) if "answer" in patience else parts)
        assert read_answer(client, "POST").status == 401
        elapsed = time.monotonic() - began

    assert elapsed < (1.5 if "answer" in patience else 4)
    assert sent >= 16 * MIB
    assert peak(worker) - before < 8 * MIB
    assert 0 < disk.highest <= 17 * MIB
    srv.wait_until(lambda: not spooled(worker), "the end of the temporary file")
    with srv.connect() as client:
        assert ask(client).status == 200


def test_too_large_upload_is_refused_unread(serve: Serve) -> None:
    srv = serve("--limit-request-body", "1000", _PLAIN)
    with srv.connect() as client:
        client.sendall(head("POST", "/upload", f"Content-Length: {_SIZE}"))
        assert read_answer(client, "POST").status == 413
    with srv.connect() as client:
        client.sendall(head("POST", "/upload", "Transfer-Encoding: chunked"))
        client.sendall(b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n")
        assert read_answer(client, "POST").status == 413


def test_aborted_uploads_leave_nothing_behind(serve: Serve) -> None:
    srv = serve(_PLAIN)
    (worker,) = srv.wait_workers(1)
    for size in (10, 2 * MIB, 20 * MIB):
        with srv.connect() as client:
            client.sendall(head("POST", "/upload", f"Content-Length: {2 * size}"))
            send_all(client, pieces(size))
    srv.wait_until(lambda: not spooled(worker), "the end of the temporary files")
    with srv.connect() as client:
        assert ask(client).status == 200


@pytest.mark.slow
def test_clients_that_go_on_sending_after_a_refusal_delay_nobody(serve: Serve) -> None:
    srv = serve("--keep-alive=75", "--body-spool-limit", str(2 * MIB), _PLAIN)
    quiet = serve("--keep-alive=75", _PLAIN)
    with crowd(srv.address, flood=1):
        assert_nobody_waits(srv, quiet, 2, 0.05)
