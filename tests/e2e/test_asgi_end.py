"""The end of an ASGI worker: the order in which all ends, and the time that it is given."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.clients import begin_answer, head
from tests.e2e.sockets import be_closed, upgrade
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


HOOKS = """\
import time
def worker_int(worker):
    worker.log.info("interrupted")
    time.sleep(0.05)
def worker_abort(worker):
    worker.log.info("aborted")
"""


def test_ctrl_c_in_a_terminal(begin: Callable[..., Server]) -> None:
    srv = begin(files={"gunicorn.conf.py": HOOKS}, env={"STOP_S": "0.2"})
    srv.wait_workers(1)
    press_ctrl_c(srv)
    assert srv.wait() == 0
    assert said(srv) == ["lifespan: well"]
    assert srv.count("interrupted$") == 1


def test_abort_interrupts_what_a_quick_stop_waits_for(begin: Callable[..., Server]) -> None:
    srv = begin(files={"gunicorn.conf.py": HOOKS}, env={"BLOCKS": "1"})
    (worker,) = srv.wait_workers(1)
    os.kill(worker, signal.SIGQUIT)
    srv.wait_for("^blocks$")
    os.kill(worker, signal.SIGABRT)
    srv.wait_for("aborted$")
    srv.wait_for(rf"Worker \(pid:{worker}\) exited with code 1")


def test_a_start_that_is_given_up_is_cleaned_up(begin: Callable[..., Server]) -> None:
    """The arbiter tells a worker that boots over and over."""
    srv = begin(env={"START_S": "60", "CLEAN_S": "0.7"})
    srv.wait_for("^starts$")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert said(srv) == ["start: well"]
    assert not srv.count("ERROR|WARNING")


# -- a quick stop ------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", QUICK)
def test_calls_end_before_the_lifespan(start: Callable[..., Server], signum: int) -> None:
    srv = start(STOP_S="0.2")
    with asking(srv, "/hold/0.3", "holds"):
        srv.signal(signum)
        assert srv.wait() == 0
    assert said(srv) == ["release: well", "lifespan: well"]
    assert srv.count(r"\[WARNING\] Cut off by a quick stop: calls in progress: 1$") == 1


def test_a_stop_that_gets_quicker_while_the_lifespan_ends(start: Callable[..., Server]) -> None:
    srv = start(STOP_S="0.7")
    srv.signal(signal.SIGTERM)
    srv.wait_for("^lifespan ends$")
    srv.signal(signal.SIGINT)
    assert srv.wait() == 0
    assert said(srv) == ["lifespan: well"]


def test_what_takes_too_long_is_named(start: Callable[..., Server]) -> None:
    srv = start(STOP_S="60")
    with asking(srv, "/hold/60", "holds"):
        srv.signal(signal.SIGINT)
        assert srv.wait() == 0
    srv.wait_for(r"Calls that did not end within 0\.\d seconds after they were cancelled: 1$")
    srv.wait_for(r"\[WARNING\] The application did not stop within 0\.\d seconds$")
    assert said(srv) == ["lifespan: cut"]
    srv.wait_for(r"Worker exiting")


@pytest.mark.parametrize("signum", QUICK)
def test_sockets_and_streams_are_told(start: Callable[..., Server], signum: int) -> None:
    srv = start()
    with contextlib.ExitStack() as stack:
        first, second, stream = (stack.enter_context(srv.connect()) for _ in range(3))
        upgrade(first, "/listens")
        upgrade(second, "/deaf/0.1")
        stream.sendall(head("GET", "/events"))
        events = begin_answer(stream)
        srv.signal(signum)
        assert {be_closed(first), be_closed(second)} == {1001}
        assert events.read() == b"data: 0\n\ndata: bye\n\n"
    assert srv.wait() == 0
    srv.wait_for("^websocket ended by 1001$")
    assert said(srv) == ["release: well", "lifespan: well"]
    # The one that heard nothing.
    srv.wait_for("Cut off by a quick stop: calls in progress: 1$")


def test_sockets_are_told_of_ctrl_c(start: Callable[..., Server]) -> None:
    srv = start()
    with srv.connect() as client:
        upgrade(client, "/listens")
        press_ctrl_c(srv)
        assert be_closed(client) == 1001
    assert srv.wait() == 0
    srv.wait_for("^websocket ended by 1001$")


def test_sockets_of_a_worker_that_is_stopped_alone(start: Callable[..., Server]) -> None:
    srv = start()
    with srv.connect() as client:
        upgrade(client, "/listens")
        (worker,) = srv.workers()
        os.kill(worker, signal.SIGQUIT)
        assert be_closed(client) == 1012


def test_a_call_that_computes_is_interrupted(start: Callable[..., Server]) -> None:
    """It may still take a while for what it has to do then, and the lifespan waits for it."""
    srv = start()
    with asking(srv, "/compute/0.1", "computes"):
        press_ctrl_c(srv)
        assert srv.wait() == 0
    assert said(srv) == ["release: well", "lifespan: well"]


def test_a_call_that_catches_what_interrupts_it(start: Callable[..., Server]) -> None:
    srv = start()
    with asking(srv, "/lose", "computes"):
        press_ctrl_c(srv)
        assert srv.wait() == 0
    srv.wait_for("^has caught it$")
    assert said(srv) == ["lifespan: well"]


# -- the end of graceful_timeout ---------------------------------------------------------------


def test_calls_that_are_cut_off_clean_up(start: Callable[..., Server]) -> None:
    srv = start("--graceful-timeout", "3")
    with asking(srv, "/hold/0.05", "holds"), srv.connect() as client:
        upgrade(client, "/deaf/0.05")
        srv.wait_for("^holds$", 2)
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
    assert said(srv) == ["release: well", "release: well", "lifespan: well"]
    srv.wait_for("Cut off at the end of graceful_timeout: calls in progress: 2$")


# -- handlers of the application's -------------------------------------------------------------


def has_heard(srv: Server, signum: signal.Signals, count: int) -> bool:
    return srv.get("/heard").body.count(signum.name.encode()) == count


def hear(srv: Server, *signums: signal.Signals) -> None:
    """Send signals to the worker, and wait until handlers of the application have heard them."""
    (worker,) = srv.workers()
    for signum in signums:
        before = srv.get("/heard").body.count(signum.name.encode())
        os.kill(worker, signum)
        srv.wait_until(partial(has_heard, srv, signum, before + 1), signum.name)


def test_signals_reach_handlers_of_the_loop(start: Callable[..., Server]) -> None:
    """At once, and after the worker has looked after itself for a while."""
    srv = start(HANDLES="SIGHUP,SIGUSR2")
    hear(srv, signal.SIGHUP, signal.SIGUSR2)
    assert srv.get("/nap/2.2").body == b"slept"
    hear(srv, signal.SIGHUP, signal.SIGUSR2, signal.SIGHUP)


@pytest.mark.parametrize("is_given_up", [False, True])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_workers_own_signals_beside_them(
    start: Callable[..., Server], signum: int, is_given_up: bool
) -> None:
    """The loop wakes up for them, where it had nothing else to do too."""
    srv = start("--access-logfile", "access", HANDLES="SIGHUP")
    if is_given_up:
        assert srv.get("/forget/SIGHUP").status == 200
    (worker,) = srv.workers()
    (srv.cwd / "access").rename(srv.cwd / "old")
    os.kill(worker, signal.SIGUSR1)
    srv.wait_until((srv.cwd / "access").exists, "a new log")
    srv.signal(signum)
    began = time.monotonic()
    srv.wait_for("^lifespan ends$")
    assert time.monotonic() - began < 0.7
    assert srv.wait() == 0


def test_an_application_that_takes_term_for_itself(start: Callable[..., Server]) -> None:
    """The worker hears of the stop from the arbiter's record, a second later at most."""
    srv = start("--graceful-timeout", "10", HANDLES="SIGTERM")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert said(srv) == ["lifespan: well"]
    assert not srv.count("ERROR|WARNING")


# -- a start that hangs ------------------------------------------------------------------------


def wait_for_frames(srv: Server, heading: str) -> None:
    """Wait for the log to say where the start is."""
    srv.wait_for(heading)
    there = r'endings\.py", line \d+ in connect_to_database$'
    srv.wait_for(there)
    lines = srv.log.splitlines()
    begin = next(number for number, line in enumerate(lines) if re.search(heading, line))
    frames = [line for line in lines[begin + 1 :] if line.startswith("  File")]
    assert any(re.search(there, line) for line in frames)
    assert not any("/monoceros/" in line for line in frames[:2])


def test_boot_timeout_shows_where_the_start_waits(begin: Callable[..., Server]) -> None:
    srv = begin("--boot-timeout", "2", env={"START_S": "60"})
    srv.wait_for(r"WORKER TIMEOUT .* not ready after 2\.\ds \(boot_timeout\)")
    wait_for_frames(srv, r"\[ERROR\] Lifespan of worker \(pid:\d+\)$")


def test_a_start_that_takes_longer_than_timeout_shows_where_it_waits(
    begin: Callable[..., Server],
) -> None:
    srv = begin("--timeout", "1", env={"START_S": "3"})
    wait_for_frames(srv, r"\[WARNING\] Lifespan of worker \(pid:\d+\), after \d\.\ds$")
    srv.wait_workers(1)
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
