"""Under which names the processes go."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

APP = """\
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [os.environ["SERVER_SOFTWARE"].encode(), b" ", environ["SERVER_SOFTWARE"].encode()]
"""


def titles(srv: Server, pid: int) -> tuple[str, str]:
    """Return the command lines of the master and of a worker."""
    first, second = (
        Path(f"/proc/{one}/cmdline").read_bytes().rstrip(b"\0").decode() for one in (srv.pid, pid)
    )
    return first, second


@pytest.mark.parametrize(
    ("compat", "software", "line"),
    [
        ("monoceros", f"monoceros/{monoceros.__version__}", r"Starting monoceros \d"),
        ("gunicorn", "gunicorn/27.0.1", r"Starting gunicorn 27\.0\.1 \(monoceros \d.*, http "),
    ],
)
def test_names(server: Callable[..., Server], compat: str, software: str, line: str) -> None:
    srv = server("--compat", compat, "--name", "shop", "app:app", files={"app.py": APP})
    (pid,) = srv.wait_workers(1)
    srv.wait_for(line)

    answer = srv.get()
    assert answer.body.decode() == f"{software} {software}"
    assert answer.headers["Server"] == compat
    if importlib.util.find_spec("setproctitle"):
        assert titles(srv, pid) == (f"{compat}: master [shop]", f"{compat}: worker [shop]")
