"""End-to-end tests: whole servers, real sockets, each test on both HTTP twins.

``serve(*args, env=..., bind=...)`` is the fixture ``server`` of ``tests/process`` with the twin
of the parameter ``impl``, and with the modules of ``tests.e2e.apps`` to import
applications from. Under MONOCEROS_TEST_COMPAT one twin has to do: what that changes are defaults.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.process.conftest import COMPAT, Server, server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Server", "server"]

ROOT = Path(__file__).parents[2]
IMPLS = ("c", "py") if COMPAT == "monoceros" else ("c",)


class Serve(Protocol):
    """Starts a server and returns it once it listens."""

    def __call__(
        self,
        *args: str,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        bind: str | None = "127.0.0.1:0",
        listening: bool = True,
    ) -> Server: ...


def require(impl: str) -> None:
    """Skip where a twin was not built, and fail where it has to be."""
    if impl == "c" and importlib.util.find_spec("monoceros.http._conn") is None:
        if os.environ.get("MONOCEROS_REQUIRE_C") == "1":
            pytest.fail("MONOCEROS_REQUIRE_C=1, but the compiled twin was not built")
        pytest.skip("the compiled twin was not built")


@pytest.fixture(params=IMPLS)
def impl(request: pytest.FixtureRequest) -> str:
    """Each HTTP twin in turn, as a value of MONOCEROS_IMPL."""
    name: str = request.param
    require(name)
    return name


@pytest.fixture
def serve(impl: str, server: Callable[..., Server]) -> Serve:
    """Start servers on one twin; see the head of this file."""

    def start(
        *args: str,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        bind: str | None = "127.0.0.1:0",
        listening: bool = True,
    ) -> Server:
        return server(
            "--pythonpath",
            str(ROOT),
            *args,
            files=files,
            env={"MONOCEROS_IMPL": impl, **(env or {})},
            bind=bind,
            listening=listening,
        )

    return start
