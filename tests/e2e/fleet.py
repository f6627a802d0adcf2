"""The same server once for each kind of worker, all at the same time, so that they can be compared.

    def test_it(fleet):
        fleet.expect(lambda srv: srv.get("/").status, 200)

Each runs in a directory of its own, with the application of ``tests.e2e.apps.alike`` for its
interface.
"""

from __future__ import annotations

import contextlib
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from tests.e2e.conftest import ROOT
from tests.process.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

KINDS = {
    "sync": ("-k", "sync"),
    "gthread": ("--threads", "4"),
    "gevent": ("-k", "gevent"),
    "asgi": ("-k", "asgi", "--asgi-loop", "asyncio"),
    "asgi on uvloop": ("-k", "asgi", "--asgi-loop", "uvloop"),
}
_PATH = ("--pythonpath", f"{ROOT},../library")
_NEEDED = {"gevent": "gevent", "asgi on uvloop": "uvloop"}


class Fleet:
    """Servers by the kind of their workers."""

    def __init__(self, servers: dict[str, Server]) -> None:
        self.servers = servers

    def only(self, *kinds: str) -> Fleet:
        """Return those of some kinds."""
        return Fleet({kind: srv for kind, srv in self.servers.items() if kind in kinds})

    def each(self, check: Callable[[Server], T]) -> dict[str, T]:
        """Call a function with each server, at the same time; returns what it returned."""
        with ThreadPoolExecutor(len(self.servers)) as pool:
            return dict(zip(self.servers, pool.map(check, self.servers.values()), strict=True))

    def expect(self, check: Callable[[Server], Any], expected: Any, **others: Any) -> None:
        """Assert what a function returns for all; ``others`` is by the first word of the kind."""
        wrong = []
        for kind, found in self.each(check).items():
            wanted = others.get(kind.split()[0], expected)
            if found != wanted:
                wrong.append(f"{kind}:\n  {found}\n  is not\n  {wanted}")
        assert not wrong, "\n".join(wrong)


@contextlib.contextmanager
def fleet_of(
    directory: Path,
    impl: str,
    *args: str,
    config: str = "",
    files: Mapping[str, str] | None = None,
    app: str = "tests.e2e.apps.alike:{}",
    kinds: tuple[str, ...] = tuple(KINDS),
) -> Iterator[Fleet]:
    """Start servers on one twin; ``app`` has a place for the name of the interface."""
    servers = {}
    try:
        for kind in kinds:
            if kind in _NEEDED and not importlib.util.find_spec(_NEEDED[kind]):
                continue
            home = directory / kind.replace(" ", "-")
            for name, text in {**(files or {}), "gunicorn.conf.py": config}.items():
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                (home / name).write_text(text)
            interface = "asgi" if kind.startswith("asgi") else "wsgi"
            where = () if "bind = " in config else ("--bind", "127.0.0.1:0")
            servers[kind] = Server(
                [*where, *KINDS[kind], *_PATH, *args, app.format(interface)],
                home,
                {"MONOCEROS_IMPL": impl},
            )
        yield Fleet(servers)
    finally:
        # All together first: one after the other would take its time.
        for running in servers.values():
            if running.process.poll() is None:
                running.process.terminate()
        for running in servers.values():
            running.stop()
