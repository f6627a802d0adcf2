"""Servers with the application ``tests.e2e.apps.awaits``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.e2e.conftest import ROOT
from tests.process.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Serve

APP = "tests.e2e.apps.awaits:app"


def start(serve: Serve, *args: str, workers: int = 1, **options: Any) -> Server:
    """Start a server, and wait for its workers."""
    srv = serve("-k", "asgi", "--workers", str(workers), *args, APP, **options)
    srv.wait_workers(workers)
    return srv


@contextlib.contextmanager
def running(home: Path, impl: str, *args: str) -> Iterator[Server]:
    """Have a server on one twin while the block runs."""
    where = ("--bind", "127.0.0.1:0", "--pythonpath", str(ROOT), "--log-level", "debug")
    srv = Server([*where, "-k", "asgi", *args, APP], home, {"MONOCEROS_IMPL": impl})
    try:
        srv.wait_workers(1)
        yield srv
    finally:
        srv.stop()
