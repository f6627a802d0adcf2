"""What others import as ``gunicorn``: in this process, and in programs of their own.

``gunicorn`` can be imported by tests in here. ``program(script, *args, files=..., env=...)`` starts
``python SCRIPT ARGS`` as where monoceros-gunicorn is installed, and returns a ``Server``, see
``tests/process/conftest.py``, once it listens; ``{port}`` in a file is a free port.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros
from monoceros.compat import finder
from tests.compat.asgi_programs import run_asgi
from tests.process.conftest import Server, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["run_asgi", "server"]

finder.install(first=True)

# As a .pth file does it, save that a real Gunicorn may be installed where the tests run.
SITE = "from monoceros.compat.finder import install\ninstall(first=True)\n"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start programs; see the head of this file."""
    started: list[Server] = []
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)

    def start(
        *args: str,
        files: Mapping[str, str],
        env: Mapping[str, str] | None = None,
        listening: bool = True,
        launch: Sequence[str] = (),
    ) -> Server:
        port = str(free_port())
        for name, text in files.items():
            tmp_path.joinpath(name).write_text(text.replace("{port}", port))
        path = f"{site}:{Path(monoceros.__file__).parents[1]}"
        environ = {"PYTHONPATH": path, **(env or {})}
        running = Server(list(args), tmp_path, environ, command=(), launch=launch)
        started.append(running)
        if listening:
            running.wait_for("Listening at:")
        return running

    yield start
    for running in started:
        running.stop()
