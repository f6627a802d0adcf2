"""The arbiter where the system or a hook is in its way, and what it costs while idle."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.conftest import COMPAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

APP = """\
import os
def app(environ, start_response):
    body = b"%d %d" % (os.getuid(), os.getgid())
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def configured(config: str) -> dict[str, str]:
    """Return the application with a configuration file."""
    return {"app.py": APP, "gunicorn.conf.py": config}


@on_linux
def test_idle_arbiter_sleeps(server: Callable[..., Server]) -> None:
    srv = server("--workers", "2", "app:app")
    srv.wait_workers(2)
    status = Path(f"/proc/{srv.pid}/status")

    def count_sleeps() -> int:
        return int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    before = count_sleeps()
    time.sleep(1.0)  # the span that is measured
    assert count_sleeps() - before <= 3


@on_linux
def test_titles(server: Callable[..., Server]) -> None:
    pytest.importorskip("setproctitle")
    srv = server("--name", "shop", "app:app")
    (pid,) = srv.wait_workers(1)

    assert title(srv.pid) == f"{COMPAT}: master [shop]"
    assert title(pid) == f"{COMPAT}: worker [shop]"


def title(pid: int) -> str:
    """Return what a process list shows."""
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0 ")


def test_deaths_are_found_without_pidfds(server: Callable[..., Server]) -> None:
    config = "import os\nif hasattr(os, 'pidfd_open'): del os.pidfd_open\n"
    srv = server("app:app", files=configured(config))
    (pid,) = srv.wait_workers(1)
    os.kill(pid, signal.SIGKILL)
    srv.wait_for("is ready", count=2)
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0


def test_failed_fork_is_tried_again(server: Callable[..., Server]) -> None:
    config = """\
import errno
from monoceros.arbiter import spawn
fork = spawn.fork
def fail_once():
    spawn.fork = fork
    raise OSError(errno.EAGAIN, "no process left")
spawn.fork = fail_once
"""
    srv = server("app:app", files=configured(config))
    srv.wait_for(r"\[ERROR\] Cannot fork a worker: .*no process left")
    srv.wait_workers(1)

    assert srv.get().status == 200


def test_new_workers_that_hang_are_given_up(server: Callable[..., Server], tmp_path: Path) -> None:
    config = "from monoceros.arbiter import reload\nreload.SHORTEST_PATIENCE_S = 1\ntimeout = 1\n"
    srv = server("app:app", files=configured(config))
    old = srv.wait_workers(1)
    (tmp_path / "app.py").write_text("import time\ntime.sleep(600)\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload given up, .*: the new workers do not become ready")
    srv.wait_for("Worker exiting")

    assert srv.workers() == old
    assert srv.get().status == 200


def test_reload_with_preload_keeps_the_code_that_was_imported(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("app:app", files=configured("preload_app = True\nworkers = 1\n"))
    srv.wait_workers(1)
    (tmp_path / "app.py").write_text("raise OSError\n")
    (tmp_path / "gunicorn.conf.py").write_text("preload_app = True\nworkers = 2\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: 2")

    assert srv.get().status == 200


def test_fault_of_the_arbiter_ends_everything(server: Callable[..., Server]) -> None:
    config = "pidfile = 'pid'\ndef on_reload(server): server.backoff = None\n"
    srv = server("app:app", files=configured(config))
    pids = srv.wait_workers(1)
    srv.signal(signal.SIGHUP)

    assert srv.wait() == 255
    srv.wait_for("Unhandled exception in the arbiter")
    srv.wait_until(lambda: not any(srv.owns(pid) for pid in pids) or None, "the workers to go")
    assert not (srv.cwd / "pid").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_workers_give_up_their_rights(server: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    # Imported before the rights are gone: the directory of the test is not for others.
    options = ("--preload", "--user", "65534", "--group", "65533")
    binds = ("-b", f"unix:{path}", "-b", "127.0.0.1:0")
    srv = server(*binds, *options, "app:app", files={"app.py": APP})

    assert srv.get().body == b"65534 65533"
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)
    (pid,) = srv.wait_workers(1)
    if sys.platform == "linux":
        groups = Path(f"/proc/{pid}/status").read_text().partition("\nGroups:")[2].splitlines()[0]
        assert groups.split() == ["65533"]


def test_storm_of_signals_and_deaths(server: Callable[..., Server]) -> None:
    srv = server("--workers", "2", "app:app")
    srv.wait_workers(2)
    order = random.Random(7)
    for _ in range(150):
        signum = order.choice(
            [signal.SIGTTIN, signal.SIGTTOU, signal.SIGTTOU, signal.SIGHUP, signal.SIGUSR1]
        )
        srv.signal(signum)
        if order.random() < 0.2 and (pids := srv.workers()):
            with contextlib.suppress(ProcessLookupError):  # it may have left by itself
                os.kill(max(pids), signal.SIGKILL)
    reloads = srv.count("Hang up")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Hang up", count=reloads + 1)
    srv.wait_for("Reloaded: ")

    assert srv.get().status == 200
    assert srv.count("Traceback|Unhandled") == 0
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0


def test_process_1_reaps_what_others_left() -> None:
    script = """
    import os, time
    from types import SimpleNamespace
    from monoceros.arbiter import supervision
    from monoceros.arbiter.children import Child, Children

    server = SimpleNamespace(children=Children(), reexec_pid=0)
    supervision.reap_adopted(server)  # no child at all
    strangers = [os.fork() or os._exit(0) for _ in range(3)]
    for pid in strangers:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    supervision.reap_adopted(server)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    else:
        raise AssertionError("somebody is left")

    own = os.fork() or os._exit(5)
    server.children.add(Child(own, 1, 1, 0, born=0.0))
    os.waitid(os.P_PID, own, os.WEXITED | os.WNOWAIT)
    supervision.reap_adopted(server)
    assert os.waitstatus_to_exitcode(os.waitpid(own, 0)[1]) == 5

    server.reexec_pid = os.fork() or os._exit(6)  # a new master
    os.waitid(os.P_PID, server.reexec_pid, os.WEXITED | os.WNOWAIT)
    supervision.reap_adopted(server)
    assert os.waitstatus_to_exitcode(os.waitpid(server.reexec_pid, 0)[1]) == 6
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
