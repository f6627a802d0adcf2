"""Hooks at Gunicorn's moments, and what they see."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

# Each hook writes a line with its name, who calls it, and some of what it sees.
HOOKS = """\
import os, sys

def say(*words):
    os.write(2, (" ".join(map(str, ("hook", *words))) + "\\n").encode())

def where(server):
    return "master" if os.getpid() == server.pid else "worker"

def nworkers_changed(server, new, old): say("nworkers_changed", new, old)
def on_starting(server): say("on_starting", where(server), len(server.LISTENERS))
def when_ready(server): say("when_ready", where(server), len(server.LISTENERS), server.address)
def pre_fork(server, worker):
    alive = sum(w.alive for w in server.WORKERS.values())
    say("pre_fork", where(server), worker.pid, worker.age, "alive", alive)
def post_fork(server, worker):
    say("post_fork", where(server), worker.pid == os.getpid(), worker.wsgi)
def post_worker_init(worker): say("post_worker_init", worker.booted, worker.wsgi is not None)
def worker_int(worker): say("worker_int", worker.pid == os.getpid())
def worker_abort(worker): say("worker_abort", worker.aborted)
def worker_exit(server, worker): say("worker_exit", where(server))
def child_exit(server, worker): say("child_exit", where(server), worker.pid in server.WORKERS)
def on_reload(server): say("on_reload", where(server))
def on_exit(server): say("on_exit", where(server), len(server.WORKERS))
"""

APP = """\
import time
def app(environ, start_response):
    time.sleep(float(environ["PATH_INFO"][1:] or 0))
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
FILES = {"app.py": APP, "gunicorn.conf.py": HOOKS}


def hooks(srv: Server) -> list[str]:
    """Return the hooks called so far, with their remarks."""
    return [line.removeprefix("hook ") for line in srv.lines if line.startswith("hook ")]


def test_a_whole_life(server: Callable[..., Server]) -> None:
    srv = server("app:app", files=FILES)
    srv.wait_workers(1)
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0

    assert hooks(srv) == [
        "nworkers_changed 1 None",
        "on_starting master 0",
        "when_ready master 1 [('127.0.0.1', 0)]",
        "pre_fork master [booting] 1 alive 0",
        "post_fork worker True None",
        "post_worker_init False True",
        "worker_exit worker",
        "child_exit master False",
        "on_exit master 0",
    ]


def test_reload(server: Callable[..., Server]) -> None:
    srv = server("app:app", files=FILES)
    srv.wait_workers(1)
    seen = len(hooks(srv))
    srv.signal(signal.SIGHUP)
    srv.wait_for("hook child_exit")

    assert hooks(srv)[seen:] == [
        "nworkers_changed 1 1",
        "on_reload master",
        "pre_fork master [booting] 2 alive 0",
        "post_fork worker True None",
        "post_worker_init False True",
        "worker_exit worker",
        "child_exit master False",
    ]


def test_reload_with_another_number_of_workers(server: Callable[..., Server]) -> None:
    srv = server("app:app", files=FILES)
    srv.wait_workers(1)
    (srv.cwd / "gunicorn.conf.py").write_text("workers = 3\n" + HOOKS)
    srv.signal(signal.SIGHUP)
    srv.wait_for("hook nworkers_changed 3 1")
    srv.wait_for("Reloaded: 3")
    (srv.cwd / "app.py").write_text("raise OSError\n")
    (srv.cwd / "gunicorn.conf.py").write_text("workers = 2\n" + HOOKS)
    srv.signal(signal.SIGHUP)
    srv.wait_for("hook nworkers_changed 2 3")
    srv.wait_for("hook nworkers_changed 3 2")
    srv.wait_for("Reload given up")


def test_timeout(server: Callable[..., Server]) -> None:
    srv = server("--timeout", "1", "app:app", files=FILES)
    with srv.connect() as client:
        client.sendall(b"GET /600 HTTP/1.1\r\nHost: x\r\n\r\n")
        srv.wait_for("hook worker_abort True")
        srv.wait_for("hook worker_exit worker")
        srv.wait_for("hook child_exit master")


def test_number_of_workers(server: Callable[..., Server]) -> None:
    srv = server("app:app", files=FILES)
    srv.signal(signal.SIGTTIN)
    srv.wait_for("hook nworkers_changed 2 1")
    srv.signal(signal.SIGTTOU)
    srv.wait_for("hook nworkers_changed 1 2")


def test_quick_stop(server: Callable[..., Server]) -> None:
    srv = server("app:app", files=FILES)
    srv.wait_workers(1)
    srv.signal(signal.SIGQUIT)

    assert srv.wait() == 0
    srv.wait_for("hook worker_int True")
    srv.wait_for("hook worker_exit worker")
    srv.wait_for("hook on_exit")


# Each raises once the server is under way.
RAISING = """\
def fail(name): raise OSError(name + " raised")
def nworkers_changed(server, new, old): old is None or fail("nworkers_changed")
def pre_fork(server, worker): worker.age == 1 or fail("pre_fork")
def on_reload(server): fail("on_reload")
def worker_int(worker): fail("worker_int")
def worker_exit(server, worker): fail("worker_exit")
def child_exit(server, worker): fail("child_exit")
def on_exit(server): fail("on_exit")
"""


def test_hooks_that_raise_are_logged_and_the_server_goes_on(
    server: Callable[..., Server],
) -> None:
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": RAISING})
    srv.wait_workers(1)
    srv.signal(signal.SIGTTIN)
    srv.wait_workers(2)
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded")
    srv.wait_for("OSError: child_exit raised", count=2)
    (pid,) = srv.wait_workers(1)
    os.kill(pid, signal.SIGINT)
    srv.wait_for("is ready", count=4)
    assert srv.get().status == 200
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0
    names = ["nworkers_changed", "pre_fork", "on_reload", "worker_int", "worker_exit"]
    for name in (*names, "child_exit", "on_exit"):
        srv.wait_for(rf"\[ERROR\] Exception in hook {name}$")
        srv.wait_for(f"OSError: {name} raised")
    assert "monoceros/" not in srv.log


@pytest.mark.parametrize(
    "hook",
    [
        "on_starting(server)",
        "when_ready(server)",
        "nworkers_changed(server, new, old)",
        "pre_fork(server, worker)",
    ],
)
def test_start_hook_that_raises_ends_the_server(server: Callable[..., Server], hook: str) -> None:
    config = f"pidfile = 'pid'\ndef {hook}: raise OSError('in the hook')\n"
    files = {"app.py": APP, "gunicorn.conf.py": config}
    srv = server("app:app", files=files, listening=False)

    assert srv.wait() == 1
    srv.wait_for(rf"\[ERROR\] Exception in hook {hook.partition('(')[0]}$")
    srv.wait_for(r'gunicorn.conf.py", line 2')
    srv.wait_for("OSError: in the hook")
    assert not (srv.cwd / "pid").exists()


@pytest.mark.parametrize("hook", ["post_fork(server, worker)", "post_worker_init(worker)"])
def test_hook_that_raises_before_a_worker_serves_is_a_failure_to_boot(
    server: Callable[..., Server], hook: str
) -> None:
    config = f"def {hook}: raise OSError('in the hook')\n"
    files = {"app.py": APP, "gunicorn.conf.py": config}
    srv = server("app:app", files=files, listening=False)

    assert srv.wait() == 3
    srv.wait_for(rf"\[ERROR\] Exception in hook {hook.partition('(')[0]}$")
    srv.wait_for("OSError: in the hook")
    srv.wait_for("Reason: Worker failed to boot.")


def test_children_of_hooks_take_no_part_in_signals(server: Callable[..., Server]) -> None:
    config = """\
import os, signal
def when_ready(server):
    pid = os.fork()
    if not pid:
        default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        os._exit(7 if default and signal.set_wakeup_fd(-1) == -1 else 8)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    server.log.info("child of the hook: %s", code)
"""
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": config})
    srv.wait_for("child of the hook: 7")

    assert srv.get().status == 200


def test_hook_that_takes_the_wakeup_descriptor(server: Callable[..., Server]) -> None:
    config = """\
import asyncio, signal
def when_ready(server):
    asyncio.run(asyncio.sleep(0))
    signal.set_wakeup_fd(-1)
"""
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": config})
    srv.wait_workers(1)
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0


def test_hook_that_waits_for_any_child(server: Callable[..., Server]) -> None:
    config = """\
import os, signal, time
def on_reload(server):
    pid = next(iter(server.WORKERS))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(-1, 0)
"""
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": config})
    srv.wait_workers(1)
    srv.signal(signal.SIGHUP)
    srv.wait_for("its exit status is unknown")
    srv.wait_for("Reloaded")

    assert srv.get().status == 200
