"""``--reload``: what is served is always the code that is on disk, broken or not."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = pytest.mark.process

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("watchfiles") is None, reason="needs the package watchfiles"
)

APP = """\
from colour import COLOUR
def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = COLOUR
    if path == "/lazy":
        import lazy
        body = lazy.COLOUR
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]
"""
SMALL_APP = """\
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"{answer}"]
"""
BREAKS = (
    "COLOUR = = 1\n",
    "import no_such_module\n",
    "raise SystemExit(3)\n",
    "raise GeneratorExit\n",
    "1 / 0\n",
)


def colour(name: object) -> str:
    """Return the source of the module that the answer comes from."""
    return f"COLOUR = '{name}'\n"


def app(answer: str) -> str:
    """Return the source of an application in one file."""
    return SMALL_APP.format(answer=answer)


def answer(srv: Server, path: str = "/") -> str:
    """Return the body of an answer on a fresh connection; empty where there is none."""
    try:
        return srv.get(path).body.decode()
    except OSError:
        return ""


def wait_answer(srv: Server, expected: str, path: str = "/") -> None:
    """Wait until an answer contains the text."""
    srv.wait_until(lambda: expected in answer(srv, path), f"{expected!r}")


def wait_replaced(srv: Server, old: set[int]) -> None:
    """Wait until as many other workers serve, and no old one is left."""
    srv.wait_until(lambda: len(new := srv.workers()) == len(old) and not new & old, "other workers")


def watcher(srv: Server, count: int = 1) -> int:
    """Return the process id of the latest watcher."""
    return int(srv.wait_for(r"Watching files with pid: (\d+)", count)[1])


def processes(srv: Server) -> set[int]:
    """Return all processes of a server, zombies included."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(encoding="latin-1").rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat[3]) == srv.pid:
            found.add(int(folder.name))
    return found


def wait_no_others(srv: Server) -> None:
    """Wait until there is no process, zombies included, but the arbiter, watcher and workers."""
    srv.wait_until(
        lambda: processes(srv) == {srv.pid, watcher(srv), *srv.workers()}, "others to be gone"
    )


def cycle(srv: Server, file: Path, number: int) -> None:
    """Edit, break and mend a file; each time the right thing is served, and nothing else."""
    for text, expected in (
        (colour(f"edit {number};"), f"edit {number};"),
        (BREAKS[number % len(BREAKS)] + f"# {number};", "could not be loaded"),
        (colour(f"mend {number};"), f"mend {number};"),
    ):
        old = srv.wait_workers(2)
        file.write_text(text)
        wait_answer(srv, expected)
        wait_replaced(srv, old)
        for _ in range(3):
            assert expected in answer(srv)


@needs_proc
@pytest.mark.parametrize(
    ("engine", "cycles"),
    [
        ("poll", 5),
        pytest.param("poll", 100, marks=[pytest.mark.slow, pytest.mark.soak]),
        pytest.param("inotify", 3, marks=needs_package),
    ],
)
def test_edit_break_and_mend(
    server: Callable[..., Server], tmp_path: Path, engine: str, cycles: int
) -> None:
    files = {"app.py": APP, "colour.py": colour("first")}
    srv = server("--reload", "--reload-engine", engine, "-w", "2", "app:app", files=files)
    srv.wait_workers(2)
    cycle(srv, tmp_path / "colour.py", 0)
    wait_no_others(srv)
    before = len(descriptors(srv.pid))
    for number in range(1, cycles):
        cycle(srv, tmp_path / "colour.py", number)

    wait_no_others(srv)
    assert len(descriptors(srv.pid)) == before
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    srv.wait_until(lambda: not processes(srv), "all processes to leave")


@pytest.mark.parametrize("engine", ["poll", "auto"])
def test_what_is_a_change(server: Callable[..., Server], tmp_path: Path, engine: str) -> None:
    (tmp_path / "pages").mkdir()
    files = {
        "app.py": APP,
        "colour.py": colour("red"),
        "lazy.py": colour("late"),
        "pages/page.html": "page one",
    }
    options = ("--reload", "--reload-engine", engine, "-w", "2")
    extra = ("--reload-extra-file", "pages/*.html", "--reload-extra-file", "*.none")
    srv = server(*options, *extra, "app:app", files=files)
    srv.wait_workers(2)
    srv.wait_for(r"\[WARNING\] reload_extra_files: no file matches '/.*/\*\.none'")

    new = tmp_path / "colour.py~"
    new.write_text(colour("green"))
    new.rename(tmp_path / "colour.py")
    wait_answer(srv, "green")
    srv.wait_for(rf"\[INFO\] Worker reloading: {tmp_path}/colour.py modified$")
    srv.wait_for("Reloaded: 2 new workers are ready")

    (tmp_path / "colour.py").unlink()
    wait_answer(srv, "No module named 'colour'")
    (tmp_path / "colour.py").write_text(colour("blue"))
    wait_answer(srv, "blue")
    srv.wait_for("Reloaded", 3)

    old = srv.wait_workers(2)
    (tmp_path / "pages" / "new.html").write_text("new")
    srv.wait_for("Worker reloading: .*/pages/new.html modified")
    wait_replaced(srv, old)

    old = srv.wait_workers(2)
    assert answer(srv, "/lazy") == "late"
    (tmp_path / "lazy.py").write_text(colour("later"))
    srv.wait_for("Worker reloading: .*/lazy.py modified")
    wait_replaced(srv, old)
    assert answer(srv, "/lazy") == "later"


def test_files_saved_together_are_one_change(server: Callable[..., Server], tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(20)]
    text = "".join(f"import {name}\n" for name in names) + app("one")
    files = {"app.py": text, **{f"{name}.py": "" for name in names}}
    srv = server("--reload", "--reload-engine", "poll", "app:app", files=files)
    srv.wait_workers(1)
    wait_answer(srv, "one")
    for name in names:
        (tmp_path / f"{name}.py").write_text("X = 1\n")
    (tmp_path / "app.py").write_text(text.replace("one", "two"))
    wait_answer(srv, "two")

    srv.wait_workers(1)
    srv.wait_for(r"Worker reloading: .* modified \(and \d+ more\)")
    assert srv.count("Worker reloading") < 5  # one, unless this process was held up


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("COLOUR = = 1", "app:app", "SyntaxError"),
        ("raise OSError('no database')", "app:app", "OSError: no database"),
        ("exit(1)", "app:app", "SystemExit: 1"),
        ("", "app:app", "Failed to find attribute 'app' in 'app'"),
    ],
)
def test_broken_at_the_very_first_start(
    server: Callable[..., Server], tmp_path: Path, source: str, target: str, reason: str
) -> None:
    srv = server("--reload", "-w", "1", target, files={"app.py": source})
    srv.wait_workers(1)
    broken = srv.get("/any")
    assert broken.status == 500
    assert broken.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reason in broken.body.decode()
    assert "monoceros" not in broken.body.decode().replace(str(tmp_path), "")
    srv.wait_for(rf"(\[ERROR\]|^).*{reason}")
    (tmp_path / "app.py").write_text(app("mended"))
    wait_answer(srv, "mended")


def test_module_that_was_missing_is_made(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--reload", "-w", "1", "app:app", files={"app.py": APP})
    wait_answer(srv, "No module named 'colour'")
    (tmp_path / "colour").mkdir()
    (tmp_path / "colour" / "__init__.py").write_text(colour("here"))
    wait_answer(srv, "here")


def test_change_while_a_reload_is_under_way(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--reload", "-w", "2", "app:app", files={"app.py": app("one")})
    old = srv.wait_workers(2)
    sleepers = tmp_path / "sleepers"
    sleepers.mkdir()
    sleeps = "import os, time\nopen(f'sleepers/{os.getpid()}', 'w')\ntime.sleep(600)\n"

    (tmp_path / "app.py").write_text(sleeps)
    srv.wait_until(lambda: len(list(sleepers.iterdir())) == 2, "two in their import")
    pids = [int(file.name) for file in sleepers.iterdir()]
    (tmp_path / "app.py").write_text(sleeps + "# again")
    srv.wait_until(lambda: not any(map(srv.owns, pids)), "them to leave")
    srv.wait_until(lambda: len(list(sleepers.iterdir())) == 4, "two others")
    assert answer(srv) == "one"
    (tmp_path / "app.py").write_text(app("three"))
    wait_answer(srv, "three")
    wait_replaced(srv, old)
    assert {answer(srv) for _ in range(5)} == {"three"}


@needs_proc
def test_life_of_the_watcher(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--reload", "-w", "2", "--name", "shop", "app:app", files={"app.py": app("one")})
    workers = srv.wait_workers(2)
    first = watcher(srv)
    title = f"/proc/{first}/cmdline"
    srv.wait_until(lambda: b"watcher [shop]" in Path(title).read_bytes(), "the title")
    held = descriptors(first)
    assert not [link for link in held.values() if link.startswith("socket:")]
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(first, signum)
    (tmp_path / "app.py").write_text(app("two"))
    wait_answer(srv, "two")
    assert srv.owns(first)

    os.kill(first, signal.SIGKILL)
    second = watcher(srv, 2)
    (tmp_path / "app.py").write_text(app("three"))
    wait_answer(srv, "three")
    assert first not in processes(srv)
    workers = srv.wait_workers(2)

    os.kill(srv.pid, signal.SIGKILL)
    srv.wait()
    srv.wait_until(lambda: not any(map(srv.owns, (second, *workers))), "all to leave")


def test_change_while_there_is_no_watcher(server: Callable[..., Server], tmp_path: Path) -> None:
    files = {"app.py": app("one"), "page.html": "one"}
    srv = server("--reload", "--reload-extra-file", "page.html", "-w", "1", "app:app", files=files)
    old = srv.wait_workers(1)
    for number, (name, text) in enumerate({"app.py": app("two"), "page.html": "two"}.items(), 1):
        os.kill(watcher(srv, number), signal.SIGSTOP)
        (tmp_path / name).write_text(text)
        os.kill(watcher(srv, number), signal.SIGKILL)
        wait_replaced(srv, old)
        old = srv.wait_workers(1)
    assert answer(srv) == "two"


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["poll", "auto"])
def test_five_thousand_files_cost_little(
    server: Callable[..., Server], tmp_path: Path, engine: str
) -> None:
    count, seconds = 5000, 4.0
    (tmp_path / "many").mkdir()
    for number in range(count):
        (tmp_path / "many" / f"m{number}.py").touch()
    text = f"import importlib\nfor n in range({count}): importlib.import_module(f'many.m{{n}}')\n"
    files = {"app.py": text + app("one")}
    srv = server("--reload", "--reload-engine", engine, "-w", "2", "app:app", files=files)
    srv.wait_workers(2)
    (tmp_path / "many" / f"m{count - 1}.py").write_text("X = 1\n")
    srv.wait_for("Reloaded")  # it knows them all
    srv.wait_workers(2)
    shares: list[float] = []
    while len(shares) < 4 and min(shares, default=1.0) >= 0.01:
        # At first there are still the reports of the new workers.
        before = used(watcher(srv))
        time.sleep(seconds)
        shares.append((used(watcher(srv)) - before) / seconds)

    assert min(shares) < 0.01


def used(pid: int) -> float:
    """Return the processor time that a process has used, in seconds."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def test_preloading_is_left_out(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server("--reload", "--preload", "-w", "1", "app:app", files={"app.py": app("one")})
    srv.wait_workers(1)
    srv.wait_for(r"\[WARNING\] preload_app is not used with reload")
    (tmp_path / "app.py").write_text(app("two"))
    wait_answer(srv, "two")


def test_engine_that_is_not_there(server: Callable[..., Server]) -> None:
    config = "import sys\nsys.modules['watchfiles'] = None\nreload_engine = 'inotify'\n"
    files = {"app.py": app("one"), "gunicorn.conf.py": config}
    srv = server("--reload", "app:app", files=files, listening=False)

    assert srv.wait() == 1
    srv.wait_for(r"pip install 'monoceros\[reload\]'.*gunicorn.conf.py")


def test_replaced_workers_call_worker_int(server: Callable[..., Server], tmp_path: Path) -> None:
    config = "def worker_int(worker): worker.log.info('interrupted %s', worker.pid)\n"
    files = {"app.py": app("one"), "gunicorn.conf.py": config}
    srv = server("--reload", "-w", "2", "app:app", files=files)
    old = srv.wait_workers(2)
    (tmp_path / "app.py").write_text(app("two"))
    wait_answer(srv, "two")
    for pid in old:
        srv.wait_for(f"interrupted {pid}")
    srv.wait_workers(2)
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0
    assert srv.count("interrupted") == 2


def test_byte_code_of_the_same_second_and_size(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    files = {"app.py": APP, "colour.py": colour("one")}
    environment = {"PYTHONDONTWRITEBYTECODE": ""}
    srv = server("--reload", "-w", "1", "app:app", files=files, env=environment)
    wait_answer(srv, "one")
    file = tmp_path / "colour.py"
    second = int(file.stat().st_mtime)
    for number, text in enumerate(("two", "six", "ten"), start=1):
        # Somebody else's byte code of what was there before looks as if it belonged to this.
        os.utime(file, ns=(0, second * 10**9 + number))
        py_compile.compile(str(file))
        file.write_text(colour(text))
        os.utime(file, ns=(0, second * 10**9 + 1000 * number))
        wait_answer(srv, text)
    assert not list((tmp_path / "__pycache__").glob(f"app.{sys.implementation.cache_tag}*"))


def test_switched_on_and_off_by_a_reload(server: Callable[..., Server], tmp_path: Path) -> None:
    config = tmp_path / "gunicorn.conf.py"
    files = {"app.py": app("one"), config.name: "reload = False\n"}
    srv = server("-w", "1", "app:app", files=files)
    srv.wait_workers(1)
    config.write_text("reload = True\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded")
    srv.wait_workers(1)
    (tmp_path / "app.py").write_text(app("two"))
    wait_answer(srv, "two")
    config.write_text("reload = False\n")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded", 3)

    srv.wait_until(lambda: not srv.owns(watcher(srv)), "the watcher to leave")


def test_change_before_the_file_was_known(server: Callable[..., Server], tmp_path: Path) -> None:
    waits = "from pathlib import Path\nPath('here').touch()\nwhile not Path('go').exists(): pass\n"
    files = {"app.py": APP.replace("def", waits + "def", 1), "colour.py": colour("old")}
    srv = server("--reload", "-w", "1", "app:app", files=files)
    srv.wait_until((tmp_path / "here").exists, "the import")
    (tmp_path / "colour.py").write_text(colour("new"))
    (tmp_path / "go").touch()
    wait_answer(srv, "new")


def test_kept_alive_connection_gets_no_old_answer(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("--reload", "--keep-alive=75", "app:app", files={"app.py": app("one")})
    srv.wait_workers(1)
    with srv.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        (tmp_path / "app.py").write_text(app("two"))
        srv.wait_for("Worker exiting")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65536).endswith(b"two")


def test_kept_alive_connection_that_nobody_takes_is_closed(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    files = {"app.py": app("one")}
    srv = server("--reload", "--keep-alive=75", "--no-connection-handoff", "app:app", files=files)
    srv.wait_workers(1)
    with srv.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        (tmp_path / "app.py").write_text(app("two"))
        srv.wait_for("Reloaded")
        reloaded = time.monotonic()
        assert connection.recv(65536) == b""
        # Without --reload an idle connection would have two seconds for one last request.
        assert time.monotonic() - reloaded < 1.5


def test_bad_configuration_does_not_bring_old_code_back(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    slow = "from pathlib import Path\nwhile not Path('go').exists(): pass\n"
    config = "reload = True\nworkers = open('number').read()\n"
    files = {"app.py": app("one"), "gunicorn.conf.py": config, "number": "1"}
    srv = server("app:app", files=files)
    old = srv.wait_workers(1)
    (tmp_path / "app.py").write_text(slow + app("two"))
    srv.wait_for("Worker reloading")
    srv.wait_for("Booting worker", 2)
    (tmp_path / "number").write_text("many")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reload failed, everything stays as it was")
    (tmp_path / "go").touch()
    wait_replaced(srv, old)
    assert answer(srv) == "two"
