"""What happens around the fork: output that was not written yet, and imports that are cut short."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

# Before 3.12 whatever a __set_name__ raises becomes a RuntimeError, StopWorker too.
SLOW = """\
import os, time

class Slow:
    def __set_name__(self, owner, name):
        os.write(2, b"importing\\n")
        time.sleep(60)

class Owner:
    slow = Slow()
"""


def test_a_worker_that_leaves_while_it_imports_is_no_failure(
    server: Callable[..., Server],
) -> None:
    srv = server("app:app", files={"app.py": SLOW})
    srv.wait_for("^importing$")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert not srv.count(r"\[ERROR\]")


def test_what_a_configuration_prints_appears_once(server: Callable[..., Server]) -> None:
    config = "print('from the file')\ndef on_starting(server):\n    print('from the hook')\n"
    app = "def app(environ, start_response):\n    raise NotImplementedError\n"
    srv = server(
        "--workers",
        "2",
        "app:app",
        files={"app.py": app, "gunicorn.conf.py": config},
        env={"PYTHONUNBUFFERED": ""},
    )
    srv.wait_workers(2)
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.output.decode().splitlines() == ["from the file", "from the hook"]
