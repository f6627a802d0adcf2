"""What the arbiter and the workers tell of themselves: metrics, and every line with ``spew``."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

APP = """\
import threading
def app(environ, start_response):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    start_response("200 OK", [])
    return [b"hello"]
def work():
    return "in a thread"
"""


def receive(sock: socket.socket, pattern: str) -> re.Match[str]:
    """Return the first metric that matches."""
    while True:
        text = sock.recv(65536).decode()
        if match := re.fullmatch(pattern, text.strip()):
            return match


def test_metrics_of_the_arbiter(server: Callable[..., Server]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(20)
        host = f"127.0.0.1:{statsd.getsockname()[1]}"
        srv = server("--statsd-host", host, "--enable-backlog-metric", "app:app")
        receive(statsd, r"gunicorn\.workers:1\|g")
        (pid,) = srv.wait_workers(1)
        if sys.platform == "linux":
            receive(statsd, r"gunicorn\.backlog:0\|h")
            os.kill(pid, signal.SIGSTOP)
            with contextlib.closing(srv.connect()), contextlib.closing(srv.connect()):
                receive(statsd, r"gunicorn\.backlog:2\|h")
            os.kill(pid, signal.SIGCONT)
        srv.signal(signal.SIGTTIN)
        receive(statsd, r"gunicorn\.workers:2\|g")


def test_backlog_is_not_looked_at_unless_asked_for(server: Callable[..., Server]) -> None:
    srv = server("app:app")
    srv.wait_workers(1)
    srv.wait_for("] 1 workers")
    srv.signal(signal.SIGTERM)
    srv.wait()

    assert "backlog" not in srv.log


def test_spew(server: Callable[..., Server]) -> None:
    srv = server("--spew", "app:app", files={"app.py": APP})
    assert srv.get().body == b"hello"

    srv.wait_for(r"^app:1: import threading$")
    srv.wait_for(r"^app:3:     thread = threading\.Thread\(target=work\)$")
    srv.wait_for(r"^app:9:     return \"in a thread\"$")
    srv.wait_for(r"^threading:\d+: ")
    assert "\nmonoceros." not in srv.log
