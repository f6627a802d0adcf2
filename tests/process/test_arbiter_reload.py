"""SIGHUP: successors first, and back to the old workers where they do not come up."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

APP = """\
import contextlib
import http.client
import os
ANSWER = {answer!r}
def app(environ, start_response):
    body = os.environ.get("COLOUR", "") + ANSWER
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""


def app(answer: str) -> str:
    """Return the source of an application."""
    return APP.format(answer=answer)


def test_reload_brings_new_code_and_configuration(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    config = "workers = 1\nraw_env = ['COLOUR=red:']\n"
    srv = server("app:app", files={"app.py": app("one"), "gunicorn.conf.py": config})
    old = srv.wait_workers(1)
    assert srv.get().body == b"red:one"
    (tmp_path / "app.py").write_text(app("two, two"))
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Hang up: Master")
    srv.wait_for("Reloaded: 2 new workers are ready")

    new = srv.wait_workers(2)
    assert not old & new
    assert srv.get().body == b"two, two"


def test_reload_under_load_loses_nothing(server: Callable[..., Server]) -> None:
    srv = server("--workers", "2", "app:app")
    srv.wait_workers(2)
    stop = threading.Event()
    failures: list[object] = []
    answers: list[int] = []

    def load() -> None:
        while not stop.is_set():
            try:
                answers.append(srv.get().status)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for times in (1, 2, 3):
        srv.signal(signal.SIGHUP)
        srv.wait_for("Reloaded", count=times)
    srv.wait_for("Worker exiting", count=6)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(answers) == {200}


def test_old_workers_serve_until_the_new_are_ready(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    slow = "from pathlib import Path\nwhile not Path('go').exists(): pass\n" + app("two")
    srv = server("app:app", files={"app.py": app("one")})
    srv.wait_workers(1)
    (tmp_path / "app.py").write_text(slow)
    srv.signal(signal.SIGHUP)
    srv.wait_for("Booting worker", count=2)

    assert srv.get().body == b"one"
    assert srv.count("Worker exiting") == 0
    (tmp_path / "go").touch()
    srv.wait_for("Reloaded")
    srv.wait_for("Worker exiting")
    assert srv.get().body == b"two"


def test_configuration_that_does_not_load_changes_nothing(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("app:app", files={"app.py": app("one"), "gunicorn.conf.py": "workers = 2\n"})
    old = srv.wait_workers(2)
    (tmp_path / "gunicorn.conf.py").write_text("workers = 'many'\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for(r"\[ERROR\] Reload failed, everything stays as it was: .*workers.*'many'")

    assert srv.workers() == old
    assert srv.get().body == b"one"


@pytest.mark.parametrize("wrong", ["workers = = 2", "import asyncio; raise asyncio.CancelledError"])
def test_configuration_that_does_not_run_changes_nothing(
    server: Callable[..., Server], tmp_path: Path, wrong: str
) -> None:
    srv = server("app:app", files={"app.py": app("one"), "gunicorn.conf.py": ""})
    old = srv.wait_workers(1)
    (tmp_path / "gunicorn.conf.py").write_text(f"{wrong}\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload failed")

    assert srv.workers() == old
    assert srv.get().body == b"one"


def test_workers_that_do_not_boot_are_given_up(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    config = "workers = 2\nraw_env = ['COLOUR=red:']\n"
    srv = server("app:app", files={"app.py": app("one"), "gunicorn.conf.py": config})
    old = srv.wait_workers(2)
    (tmp_path / "app.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "gunicorn.conf.py").write_text("workers = 3\nraw_env = ['COLOUR=blue:']\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for(r"Reload given up, the old workers keep serving: ")
    srv.wait_for(r"No module named 'nothing_of_that_name'")

    assert srv.wait_workers(2) == old
    assert srv.get().body == b"red:one"
    (tmp_path / "app.py").write_text(app("again"))
    os.kill(min(old), signal.SIGKILL)
    srv.wait_for("is ready", count=3)
    assert len(srv.wait_workers(2) & old) == 1  # and the number is the old one too
    bodies = {srv.get().body for _ in range(20)}
    assert bodies <= {b"red:one", b"red:again"}


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """Directories ``one`` and ``two`` with an application each, and ``broken`` with none."""
    for name, source in (("one", app("one")), ("two", app("two")), ("broken", "raise OSError")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(source)
    return tmp_path


def release(name: str, more: str = "") -> dict[str, str]:
    """Return the configuration file of one of the releases."""
    return {"gunicorn.conf.py": f"chdir = {name!r}\n{more}"}


def reload(srv: Server, files: dict[str, str], pattern: str, count: int = 1) -> None:
    """Send HUP with other files, and wait for a line of the log."""
    for name, text in files.items():
        (srv.cwd / name).write_text(text)
    srv.signal(signal.SIGHUP)
    srv.wait_for(pattern, count)


def test_reload_follows_the_directory_and_comes_back(
    server: Callable[..., Server], releases: Path
) -> None:
    srv = server("app:app", files=release("one"))
    srv.wait_workers(1)
    for count, name in enumerate(("two", "one", "two"), 1):
        reload(srv, release(name), "Reloaded: ", count)
        srv.wait_for("Worker exiting", count)
        assert srv.get().body == name.encode()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_failed_reload_leaves_the_directory_as_it_was(
    server: Callable[..., Server], releases: Path
) -> None:
    srv = server("app:app", files=release("one"))
    old = srv.wait_workers(1)
    reload(srv, release("broken"), "Reload given up")
    (releases / "broken" / "app.py").write_text(app("broken"))
    # The successor imports the code of the configuration that is in force.
    os.kill(old.pop(), signal.SIGKILL)
    srv.wait_for("is ready", 2)
    assert srv.get().body == b"one"
    assert Path(f"/proc/{srv.pid}/cwd").readlink() == releases / "one"


def test_what_a_failed_reload_cannot_restore_is_told(
    server: Callable[..., Server], releases: Path
) -> None:
    (releases / "logs").mkdir()
    srv = server("app:app", files=release("one", "workers = 2\naccesslog = '../logs/access'\n"))
    old = srv.wait_workers(2)
    shutil.rmtree(releases / "one")
    shutil.rmtree(releases / "logs")
    reload(srv, release("broken", "workers = 3\nraw_env = ['COLOUR=red:']\n"), "Reload given up")
    srv.wait_for(
        rf"cannot be undone for the directory '{releases}/one': .*No such file or directory.* "
        "Mend that, or change the configuration, and send SIGHUP again"
    )
    srv.wait_for("cannot be undone for the logs: Invalid value for accesslog: '../logs/access'")
    assert srv.wait_workers(2) == old
    assert {srv.get().body for _ in range(8)} == {b"one"}

    reload(srv, release("two"), "Reloaded: ")
    srv.wait_for("Worker exiting", 2)
    assert srv.get().body == b"two"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_failed_reload_with_new_addresses_closes_them(
    server: Callable[..., Server], releases: Path
) -> None:
    addresses = ["unix:../a", "unix:../b"]
    srv = server("app:app", files=release("one", f"bind = {addresses[:1]}"), bind=None)
    srv.wait_workers(1)
    shutil.rmtree(releases / "one")
    more = f"bind = {addresses}\nerrorlog = '/nonexistent/x'"
    reload(srv, release("two", more), "Reload failed, everything else stays as it was: Invalid")
    assert srv.wait_until(lambda: not listens_at(srv.pid, "../b"))
    assert ask(releases / "a") == b"one"


def listens_at(pid: int, path: str) -> bool:
    """Whether a process has a socket open that is bound to a path."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    bound = {f"socket:[{line[6]}]" for line in lines if line[7:] == [path]}
    return bool(bound & set(descriptors(pid).values()))


def test_reload_reads_a_module_again(server: Callable[..., Server], tmp_path: Path) -> None:
    colour = "raw_env = ['COLOUR={}:']\ndef post_fork(server, worker):\n    server.log.info(WORD)\n"
    config = {"settings.py": colour.format("red") + "WORD = 'first'\nworkers = 2\n"}
    srv = server(
        "-c",
        "python:settings",
        "app:app",
        files={"app.py": app("one"), **config},
    )
    srv.wait_workers(2)
    assert srv.get().body == b"red:one"
    reload(srv, {"settings.py": "raw_env = = []"}, "Reload failed, .*python:settings")
    srv.wait_for("SyntaxError")
    os.kill(min(srv.workers()), signal.SIGKILL)
    srv.wait_for("first$", 3)  # hooks of the old one still find what is in it
    text = colour.format("blue") + "WORD = 'second'\n"
    reload(srv, {"settings.py": text}, "Reloaded: 1 new worker is ready")  # without workers = 2
    srv.wait_for("second$")
    srv.wait_for("Worker exiting", 2)
    assert srv.get().body == b"blue:one"


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("logger_class", "logger_class = 'mine.Mine'"),
        ("statsd_host", "statsd_host = '127.0.0.1:9'"),
        ("http_parser", "http_parser = 'python'"),
    ],
)
def test_reload_names_what_it_does_not_change(
    server: Callable[..., Server], name: str, setting: str
) -> None:
    mine = "from monoceros.log.logger import Logger\nclass Mine(Logger): pass\n"
    files = {"app.py": app("one"), "mine.py": mine, "gunicorn.conf.py": ""}
    srv = server("app:app", files=files)
    srv.wait_workers(1)
    pattern = rf"\[WARNING\] {name} is not changed by a reload: .* SIGUSR2 or a restart"
    reload(srv, {"gunicorn.conf.py": setting}, "Reloaded: ")
    assert srv.count(pattern) == srv.count("is not changed by a reload") == 1
    reload(srv, {"gunicorn.conf.py": ""}, "Reloaded: ", 2)
    assert srv.count(pattern) == 1


def test_logger_class_of_a_file_is_no_change(server: Callable[..., Server]) -> None:
    config = "from monoceros.log.logger import Logger\nclass logger_class(Logger): pass\n"
    srv = server("app:app", files={"app.py": app("one"), "gunicorn.conf.py": config})
    srv.wait_workers(1)
    reload(srv, {}, "Reloaded: ")
    assert srv.count("is not changed") == 0


UNMAKEABLE = """\
from pathlib import Path
from monoceros.workers.sync import SyncWorker
class Unmakeable(SyncWorker):
    def __init__(self, *args):
        super().__init__(*args)
        if not Path("go").exists():
            raise {error}("not today")
worker_class = Unmakeable
"""


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
def test_workers_that_cannot_be_made_are_given_up(
    server: Callable[..., Server], tmp_path: Path, error: str
) -> None:
    srv = server("app:app", files={"app.py": app("one"), "gunicorn.conf.py": ""})
    old = srv.wait_workers(1)
    (tmp_path / "gunicorn.conf.py").write_text(UNMAKEABLE.format(error=error))
    srv.signal(signal.SIGHUP)
    srv.wait_for(f"Reload given up, .*: a new worker cannot be made: {error}: not today")
    srv.wait_for("gunicorn.conf.py.*, line 7, in __init__")
    assert srv.workers() == old
    assert srv.get().body == b"one"


def test_later_workers_that_cannot_be_made_are_waited_for(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    config = UNMAKEABLE.format(error="RuntimeError") + "workers = 2\n"
    (tmp_path / "go").touch()
    srv = server("app:app", files={"app.py": app("one"), "gunicorn.conf.py": config})
    old = srv.wait_workers(2)
    (tmp_path / "go").unlink()
    os.kill(min(old), signal.SIGKILL)
    srv.wait_for("Cannot make a worker: RuntimeError: not today", 2)
    assert srv.get().body == b"one"
    (tmp_path / "go").touch()
    srv.wait_workers(2)


HANGS = "import os, time\nos.write(2, b'importing\\n')\ntime.sleep({seconds})\n"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_last_old_worker_that_ends_is_not_waited_for_in_vain(
    server: Callable[..., Server], tmp_path: Path, signum: int
) -> None:
    srv = server("--timeout", "1", "app:app", files={"app.py": app("one")})
    (old,) = srv.wait_workers(1)
    (tmp_path / "app.py").write_text(HANGS.format(seconds=600))
    srv.signal(signal.SIGHUP)
    srv.wait_for("^importing")
    (tmp_path / "app.py").write_text(app("mended"))
    os.kill(old, signum)
    srv.wait_for("Reload given up, no old worker is left: the new ones take longer to boot")
    assert srv.get().body == b"mended"


def test_reload_goes_on_without_old_workers(server: Callable[..., Server], tmp_path: Path) -> None:
    slow = HANGS.format(seconds=1)
    srv = server("app:app", files={"app.py": slow + app("one")})
    (old,) = srv.wait_workers(1)
    (tmp_path / "app.py").write_text(slow + app("two, two"))
    srv.signal(signal.SIGHUP)
    srv.wait_for("^importing", count=2)
    os.kill(old, signal.SIGKILL)
    srv.wait_for("Reloaded: 1 new worker is ready")
    assert srv.get().body == b"two, two"
    assert srv.count("given up") == 0


def test_reload_after_a_failed_one(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("app:app", files={"app.py": app("one")})
    srv.wait_workers(1)
    (tmp_path / "app.py").write_text("raise OSError\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload given up")
    (tmp_path / "app.py").write_text(app("three"))
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded")
    srv.wait_workers(1)

    assert srv.get().body == b"three"


def test_second_reload_replaces_one_under_way(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("app:app", files={"app.py": app("one")})
    srv.wait_workers(1)
    (tmp_path / "app.py").write_text("import time\ntime.sleep(600)\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Booting worker", count=2)
    (tmp_path / "app.py").write_text(app("three"))
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload given up, .*: another one was asked for")
    srv.wait_for("Reloaded")
    srv.wait_workers(1)

    assert srv.get().body == b"three"


# All but the first two wait for a file.
TWO_COME_UP = """\
import contextlib, os, time
from pathlib import Path
for name in ("first", "second"):
    with contextlib.suppress(FileExistsError):
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
        break
else:
    while not Path("go").exists():
        time.sleep(0.01)
"""


def test_one_more_worker_during_a_reload(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--workers", "2", "app:app", files={"app.py": app("one")})
    old = srv.wait_workers(2)
    (tmp_path / "app.py").write_text(TWO_COME_UP + app("two, two"))
    srv.signal(signal.SIGHUP)
    srv.wait_for("Hang up: Master")
    srv.signal(signal.SIGTTIN)
    srv.wait_for("Booting worker", count=5)
    srv.wait_for("is ready", count=4)
    # Whoever had been let go for these would be gone by then.
    srv.signal(signal.SIGTTIN)
    srv.wait_for("Booting worker", count=6)
    assert {srv.get().status for _ in range(50)} == {200}
    assert old < srv.workers()
    assert srv.count("Worker exiting") == 0
    (tmp_path / "go").touch()
    srv.wait_for("Reloaded: 4 new workers are ready")
    assert not old & srv.wait_workers(4)


def test_stop_during_a_reload(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("app:app", files={"app.py": app("one")})
    srv.wait_workers(1)
    (tmp_path / "app.py").write_text("import time\ntime.sleep(600)\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Booting worker", count=2)
    srv.signal(signal.SIGTERM)

    assert srv.wait(10) == 0


def test_addresses_move(server: Callable[..., Server], tmp_path: Path) -> None:
    stays, goes, comes = (tmp_path / f"{name}.sock" for name in ("stays", "goes", "comes"))
    config = tmp_path / "gunicorn.conf.py"
    before = f"bind = ['unix:{stays}', 'unix:{goes}']\npidfile = 'one.pid'\n"
    after = f"bind = ['unix:{comes}', 'unix:{stays}']\npidfile = 'two.pid'\n"
    srv = server("app:app", files={"app.py": app("one"), config.name: before}, bind=None)
    srv.wait_workers(1)
    inode = stays.stat().st_ino
    config.write_text(after)
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: 1 new worker is ready")
    srv.wait_for(f"Listening at: unix:{comes},unix:{stays} ")

    assert ask(stays) == ask(comes) == b"one"
    assert stays.stat().st_ino == inode
    assert not goes.exists()
    assert not (tmp_path / "one.pid").exists()
    assert (tmp_path / "two.pid").read_text() == f"{srv.pid}\n"


def test_address_that_cannot_be_had_changes_nothing(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    path, config = tmp_path / "one.sock", tmp_path / "gunicorn.conf.py"
    before = f"bind = 'unix:{path}'\n"
    srv = server("app:app", files={"app.py": app("one"), config.name: before}, bind=None)
    old = srv.wait_workers(1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        config.write_text(
            f"bind = ['unix:{tmp_path}/two.sock', '127.0.0.1:{other.getsockname()[1]}']"
        )
        srv.signal(signal.SIGHUP)
        srv.wait_for("Reload failed, everything stays as it was: Can't connect to")

    assert srv.workers() == old
    assert ask(path) == b"one"
    assert not (tmp_path / "two.sock").exists()


def ask(path: Path) -> bytes:
    """Return the body of an answer over a unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := client.recv(4096):
            answer += data
    return answer.partition(b"\r\n\r\n")[2]


PATIENT = """\
import os, time
def app(environ, start_response):
    os.write(2, b"called\\n")
    time.sleep(2)
    start_response("200 OK", [])
    return [b"done"]
"""


def test_old_worker_keeps_the_time_that_it_was_promised(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    config = "graceful_timeout = 30\n"
    srv = server("app:app", files={"app.py": PATIENT, "gunicorn.conf.py": config})
    srv.wait_workers(1)
    client = http.client.HTTPConnection(*srv.address, timeout=20)
    with contextlib.closing(client):
        client.request("GET", "/")
        srv.wait_for("^called")
        (tmp_path / "gunicorn.conf.py").write_text("graceful_timeout = 1\n")
        srv.signal(signal.SIGHUP)
        assert client.getresponse().read() == b"done"

    srv.wait_for("Reloaded: 1 new worker is ready")
