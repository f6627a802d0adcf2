"""The end of an ASGI worker: the order in which all ends, and the time that it is given."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.clients import head
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

APP = "tests.e2e.apps.endings:app"
QUICK = [signal.SIGINT, signal.SIGQUIT]


@pytest.fixture(params=["asyncio", "uvloop"])
def begin(request: pytest.FixtureRequest, serve: Serve) -> Callable[..., Server]:
    """Start a server on each loop in turn, without waiting for its worker."""
    if request.param == "uvloop":
        skip_without("uvloop")

    def start(*args: str, **options: Any) -> Server:
        return serve("-k", "asgi", "--asgi-loop", request.param, *args, APP, **options)

    return start


@pytest.fixture
def start(begin: Callable[..., Server]) -> Callable[..., Server]:
    """Start a server with one worker, on each loop in turn."""

    def wait(*args: str, **env: str) -> Server:
        srv = begin(*args, env=env)
        srv.wait_workers(1)
        return srv

    return wait


@contextlib.contextmanager
def asking(srv: Server, path: str, word: str) -> Iterator[None]:
    """Have a request in flight whose call has said that it is there."""
    with srv.connect() as client:
        client.sendall(head("GET", path))
        srv.wait_for(f"^{word}$")
        yield


def said(srv: Server) -> list[str]:
    """Return what the application has said of its end, in order."""
    said = re.compile(r"(lifespan|release|start): (well|cut|too late)$")
    return [line for line in srv.log.splitlines() if said.match(line)]


def press_ctrl_c(srv: Server) -> None:
    """Do what a terminal does: all processes get one SIGINT."""
    os.killpg(srv.pid, signal.SIGINT)


# -- who is told more than once ----------------------------------------------------------------


def test_ctrl_c_in_a_terminal(start: Callable[..., Server]) -> None:
    srv = start(STOP_S="0.2")
    press_ctrl_c(srv)
    assert srv.wait() == 0
    assert said(srv) == ["lifespan: well"]


def test_a_start_that_is_given_up_is_cleaned_up(begin: Callable[..., Server]) -> None:
    """The arbiter tells a worker that boots over and over."""
    srv = begin(env={"START_S": "60", "CLEAN_S": "0.3"})
    srv.wait_for("^starts$")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert said(srv) == ["start: well"]
    assert not srv.count("ERROR|WARNING")
