"""The access log as it arrives where it is written to."""

from __future__ import annotations

import re
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, head, read_to_end
from tests.e2e.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.process

_PLAIN = "tests.e2e.apps.plain:app"
_LINE = re.compile(
    rb'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET (\S+) HTTP/1\.1" '
    rb'200 (\d+) "-" "-"'
)

# Notes the size of every write of the access log, in the workers.
_NOTING = """\
from monoceros.log import file
def post_worker_init(worker):
    write = file.write
    notes = open("sizes", "a")
    def noting(fd, data):
        if fd == 1:
            notes.write(f"{len(data)}\\n")
            notes.flush()
        return write(fd, data)
    file.write = noting
"""


def _check(log: bytes, expected: int) -> None:
    lines = log.split(b"\n")
    assert lines.pop() == b""
    assert [line for line in lines if not _LINE.fullmatch(line)] == []
    assert len(lines) == expected


def test_pipe_gets_whole_lines_of_all_workers(serve: Serve, tmp_path: Path) -> None:
    srv = serve(
        "--keep-alive=75",
        "--workers",
        "2",
        "--access-logfile",
        "-",
        _PLAIN,
        files={"gunicorn.conf.py": _NOTING},
    )
    srv.wait_workers(2)
    path = "/pid?" + "x" * 1500
    batch = head("GET", "/pid?pipelined") * 31 + head("GET", "/pid?last", "Connection: close")
    with load(srv, path) as clients:
        for _ in range(50):
            with srv.connect() as pipelining:
                pipelining.sendall(batch)
                assert read_to_end(pipelining).count(b"HTTP/1.1 200 OK\r\n") == 32
        srv.wait_until(lambda: len(clients.answers) > 1000, "some load")
    srv.stop()

    assert not clients.losses
    _check(bytes(srv.output), len(clients.answers) + 50 * 32)
    sizes = [int(size) for size in (tmp_path / "sizes").read_text().split()]
    assert sum(sizes) == len(srv.output)
    assert max(sizes) <= 4096
    assert max(Counter(sizes)) > 3000  # lines are gathered where there are several


def test_file_is_reopened_without_a_loss(serve: Serve, tmp_path: Path) -> None:
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    srv = serve("--workers", "2", "--access-logfile", str(log), _PLAIN)
    srv.wait_workers(2)
    with load(srv) as clients:
        srv.wait_until(lambda: len(clients.answers) > 200, "some load")
        log.rename(old)
        srv.signal(signal.SIGUSR1)
        srv.wait_until(log.exists, "the new file")
        begun = len(clients.answers)
        srv.wait_until(lambda: len(clients.answers) > begun + 200, "more load")
    srv.stop()

    assert not clients.losses
    _check(old.read_bytes() + log.read_bytes(), len(clients.answers))
    assert len(log.read_bytes().splitlines()) > 200


def test_line_is_there_as_soon_as_the_answer(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    srv = serve("--access-logfile", str(log), _PLAIN)
    with srv.connect() as client:
        assert ask(client, "/pid").status == 200
        srv.wait_until(lambda: log.read_bytes().endswith(b"\n"), "the line", 0.5)
