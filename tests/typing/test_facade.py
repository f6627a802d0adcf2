"""What mypy says about code that is written against the facade, strictly typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import monoceros

SOURCES = Path(monoceros.__file__).parents[1]
FACADE = SOURCES / "monoceros" / "compat" / "facade"

RIGHT = {
    "worker.py": """\
from __future__ import annotations
import os, select, socket
from types import FrameType
from gunicorn.app.base import BaseApplication
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

class OwnWorker(Worker):
    def __init__(
        self,
        age: int,
        ppid: int,
        sockets: list[socket.socket],
        app: BaseApplication,
        timeout: float,
        cfg: Config,
        log: Logger,
    ) -> None:
        super().__init__(age, ppid, sockets, app, timeout, cfg, log)
        self.limit: int = cfg.worker_connections

    def init_process(self) -> None:
        self.log.info("%s of %d", self.pid, self.ppid)
        super().init_process()

    def run(self) -> None:
        while self.alive and self.is_parent_alive():
            self.notify()
            select.select(self.wait_fds, [], [], self.timeout)
            os.utime(self.tmp.fileno())
            self.nr += 1

    def handle_quit(self, signum: int, frame: FrameType | None) -> None:
        super().handle_quit(signum, frame)

class OwnSync(SyncWorker):
    def load_wsgi(self) -> None:
        super().load_wsgi()

class OwnThreads(ThreadWorker):
    @classmethod
    def check_config(cls, cfg: Config, log: Logger) -> None:
        log.warning("%d threads", cfg.threads)
""",
    "logger.py": """\
from __future__ import annotations
from gunicorn.config import Config
from gunicorn.glogging import CONFIG_DEFAULTS, Logger, SafeAtoms
from gunicorn.instrument.statsd import Statsd

class Atoms(SafeAtoms): ...

class OwnLogger(Logger):
    atoms_wrapper_class = Atoms

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.propagate = CONFIG_DEFAULTS["version"] == 1

    def now(self) -> str:
        return "now"

class OwnStatsd(Statsd):
    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
""",
    "gunicorn_conf.py": """\
from __future__ import annotations
from typing import Any
import gunicorn
from gunicorn.arbiter import Arbiter
from gunicorn.config import AccessLogFormat
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger
from gunicorn.http.message import Request
from gunicorn.http.wsgi import Response
from gunicorn.workers.base import Worker
from gunicorn.workers.sync import SyncWorker

gunicorn.SERVER = "own"
gunicorn.SERVER_SOFTWARE = "own/1"
bind = ["127.0.0.1:0"]
worker_class = SyncWorker
logger_class = Logger
access_log_format: str = AccessLogFormat.default

def on_starting(server: Arbiter) -> None:
    server.log.info("%s %s %d", server.address, server.proc_name, server.num_workers)
    if not server.LISTENERS and server.pid == 1:
        raise HaltServer("no sockets", 2)

def post_fork(server: Arbiter, worker: Worker) -> None:
    server.log.info("%s %d %s", worker.pid, worker.age, worker.cfg.bind[0])

def child_exit(server: Arbiter, worker: Worker) -> None:
    for pid, one in server.WORKERS.items():
        server.log.info("%d %s", pid, one.alive)

def pre_request(worker: Worker, req: Request) -> None:
    worker.log.debug("%s %s", req.method, req.path)

def post_request(worker: Worker, req: Request, environ: dict[str, Any], resp: Response) -> None:
    worker.log.info("%s %d %d", req.uri, resp.status_code, resp.sent)
""",
    "program.py": """\
from __future__ import annotations
import signal
from typing import Any
from gunicorn.app.base import Application, BaseApplication
from gunicorn.app.wsgiapp import WSGIApplication, run
from gunicorn.arbiter import Arbiter
from gunicorn.util import import_app

class Standalone(BaseApplication):
    def __init__(self, app: Any, options: dict[str, object]) -> None:
        self.options = options
        self.application = app
        super().__init__("usage", prog="prog")

    def load_config(self) -> None:
        for key, value in self.options.items():
            if key in self.cfg.settings:
                self.cfg.set(key.lower(), value)
        found = self.cfg.parser().parse_args(self.cfg.get_cmd_args_from_env())
        for name, value in vars(found).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self.application

    def run(self) -> None:
        OwnArbiter(self).run()

class OwnArbiter(Arbiter):
    def __init__(self, app: Application | BaseApplication) -> None:
        super().__init__(app)
        self.limit = self.num_workers + self.cfg.workers

    def manage_workers(self) -> None:
        super().manage_workers()
        if len(self.WORKERS) < self.limit:
            pid: int = self.spawn_worker()
            self.kill_worker(pid, signal.SIGTERM)

command = WSGIApplication("usage")
command.cfg.set("workers", 2)
Standalone(import_app("a:b"), {"workers": command.cfg.workers}).run()
run()
""",
}

# Each line that ends in a comment is wrong, with this code.
WRONG = """\
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

def post_fork(server: Arbiter, worker: Worker) -> None:
    server.cfg.no_such_setting  # attr-defined
    worker.pid + 1  # operator

class OwnLogger(Logger):
    def setup(self, cfg: int) -> None: ...  # override
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, str]]:
    """What one run of mypy says: file name, line and code of each error."""
    pytest.importorskip("mypy")
    directory = tmp_path_factory.mktemp("facade")
    files = {**RIGHT, "wrong.py": WRONG}
    for name, text in files.items():
        (directory / name).write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-pretty"]
    env = {"MYPYPATH": f"{FACADE}:{SOURCES}", "MYPY_CACHE_DIR": str(directory / "cache")}
    result = subprocess.run(
        [*command, *files],
        cwd=directory,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode in (0, 1), result.stderr
    found = re.findall(r"^(\w+\.py):(\d+): error: .*\[([\w-]+)\]$", result.stdout, re.MULTILINE)
    assert len(found) == result.stdout.count(" error: "), result.stdout
    return [(name, int(line), code) for name, line, code in found]


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right(verdicts: list[tuple[str, int, str]], name: str) -> None:
    assert [verdict for verdict in verdicts if verdict[0] == name] == []


def test_what_is_wrong(verdicts: list[tuple[str, int, str]]) -> None:
    marked = {
        (number, line.rpartition("  # ")[2])
        for number, line in enumerate(WRONG.splitlines(), 1)
        if "  # " in line
    }
    assert {(line, code) for name, line, code in verdicts if name == "wrong.py"} == marked
