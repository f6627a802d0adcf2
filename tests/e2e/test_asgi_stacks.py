"""Where calls wait that have started tasks or threads, as the log tells it, on both twins."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask, begin_answer, head, read_answer

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

APP = "tests.e2e.apps.started:app"

# What each path is at, the innermost first.
PLACES = {
    "/thread": ["nap_on_thread", "thread"],
    "/executor": ["nap_on_thread", "thread", "executor"],
    "/direct": ["nap", "direct"],
    "/task": ["nap", "task"],
    "/gather": ["nap", "task", "gather"],
    "/limited": ["nap", "limited"],
    "/wait": ["nap", "task", "wait"],
    "/group": ["nap", "group"],
}
GROUPS = sys.version_info >= (3, 11)


def start(serve: Serve, *args: str, middleware: bool = False) -> Server:
    pytest.importorskip("fastapi")
    env = {"MIDDLEWARE": "1"} if middleware else {}
    srv = serve("-k", "asgi", "--workers", "1", *args, APP, env=env)
    srv.wait_workers(1)
    return srv


def stack_of(srv: Server, title: str) -> str:
    """Return the lines that follow a line of the log, up to the next one."""
    found = re.search(title + r".*\n((?:(?!\[\d{4}-).*\n?)*)", srv.log)
    assert found is not None, srv.log
    return found[1]


def functions(stack: str) -> list[str]:
    """Return the application's functions of a stack, each where it comes first."""
    found = re.findall(r'apps/started\.py", line \d+ in (\w+)', stack)
    return [name for name in dict.fromkeys(found) if name != "dispatch"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("middleware", [False, True])
def test_stacks_go_on_where_tasks_and_threads_do(
    serve: Serve, loop: str, *, middleware: bool
) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    srv = start(serve, "--request-timeout", "1", "--asgi-loop", loop, middleware=middleware)
    paths = [path for path in PLACES if GROUPS or path != "/group"]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(srv.connect()) for _ in paths]
        for client, path in zip(clients, paths, strict=True):
            client.sendall(head("GET", path))
        assert [read_answer(client).status for client in clients] == [504] * len(paths)
    with srv.connect() as client:
        assert ask(client, "/release").status == 200
    srv.stop()
    for path in paths:
        found = stack_of(srv, f"REQUEST TIMEOUT running GET {path} ")
        assert functions(found) == PLACES[path], found
        assert ("in dispatch" in found) is middleware
        assert "/monoceros/asgi/" not in found
    assert "In thread AnyIO worker thread (most recent call first):" in srv.log
    assert "In task Task-" in srv.log


def test_stack_of_what_makes_a_response(serve: Serve) -> None:
    srv = start(serve, "--request-timeout", "1")
    with srv.connect() as client:
        client.sendall(head("GET", "/stream"))
        begin_answer(client)
        srv.wait_for("REQUEST TIMEOUT running GET /stream .*, cut off")
    srv.stop()
    assert functions(stack_of(srv, "REQUEST TIMEOUT")) == ["nap", "parts"]


def test_where_websockets_wait_while_the_loop_is_blocked(serve: Serve) -> None:
    websockets = pytest.importorskip("websockets.sync.client")
    srv = start(serve, "--timeout", "1")
    url = f"ws://127.0.0.1:{srv.port}"
    with (
        websockets.connect(f"{url}/socket") as waiting,
        websockets.connect(f"{url}/stop") as stopping,
    ):
        assert waiting.recv() == "waits"
        stopping.send("stop")
        srv.wait_for("Calls of worker")
        srv.wait_for("Booting worker", 2)
    calls = re.split(r"\n(?=GET )", "\n" + stack_of(srv, "Calls of worker"))
    (found,) = [one for one in calls if one.startswith("GET /socket from 127.0.0.1 for ")]
    assert functions(found) == ["nap", "task", "socket"]
