"""What is imported, and when: start-up time and the memory of every worker depend on it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros

if TYPE_CHECKING:
    from collections.abc import Iterator

# Modules that nothing on the way to a serving worker needs, and that take their time.
SUPERFLUOUS = {
    "ast",
    "asyncio",
    "bz2",
    "concurrent.futures",
    "ctypes",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "email",
    "http",
    "importlib.metadata",
    "inspect",
    "json",
    "multiprocessing",
    "platform",
    "random",
    "shlex",
    "shutil",
    "ssl",
    "subprocess",
    "tempfile",
    "unittest",
    "uuid",
    "xml",
    "gunicorn",
    "monoceros.arbiter.daemon",
    "monoceros.compat.application",
    "monoceros.compat.settings",
    "monoceros.compat.command",
    "monoceros.config.discovery",
    "monoceros.config.documentation",
    "monoceros.config.file",
    "monoceros.config.usage",
    "monoceros.demo",
    "monoceros.http.access_json",
    "monoceros.workers.signs",
    "monoceros.workers.spew",
}

# The way from the command to a worker that serves a plain function, without its processes.
SERVER = """
import os
from monoceros import cli
from monoceros.hosting import load_http
from monoceros.config import load
from monoceros.workers.application import Application

def app(environ, start_response): ...

cfg = load(["--workers", "1", "--access-logfile", "-", "__main__:app"], {}, "/", "monoceros")
load_http(cfg.http_parser)
import monoceros.arbiter.loop
log = cfg.logger_class(cfg)
worker_class = cfg.worker_class
worker_class.setup()
application = Application(cfg)
worker = worker_class(1, os.getppid(), [], application, 1.0, cfg, log)
from monoceros.wsgi.core import make_core
make_core(worker, application.wsgi(), slot=worker.slot)
"""

PACKAGE = Path(monoceros.__file__).parent
RUN_BY_WORKERS = (
    *("arity.py", "spelling.py", "http/*.py", "log/*.py", "workers/*.py", "wsgi/*.py"),
    *("asgi/*.py", "workers/asgi/*.py"),
)
LEAVES = ("arity", "errors", "garbage", "identity", "scoreboard", "spelling")
# Where these are needed, the arbiter has needed them before.
OF_THE_ARBITER = {"monoceros.log.logconfig", "monoceros.log.syslog"}
BY_SETUP = {"monoceros.workers.pywsgi"}  # of a class that few use
OPTIONAL = {"uvloop"}  # not a dependency


def modules_after(code: str) -> set[str]:
    """Return the names of all modules of a fresh interpreter that has run ``code``."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return set(process.stdout.split())


def imported_by(code: str) -> set[str]:
    """Return the names of the modules that ``code`` adds to those of the interpreter."""
    return modules_after(code) - modules_after("")


def test_import_of_the_package() -> None:
    assert imported_by("import monoceros") <= {"monoceros", "monoceros._version", "__future__"}


def test_import_of_the_server() -> None:
    modules = imported_by(SERVER)

    assert "monoceros.workers.reactor" in modules
    assert modules & SUPERFLUOUS == set()


def late_imports(path: Path) -> Iterator[str]:
    """Yield the names of the modules that functions of a file import."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in (inner for function in functions for inner in ast.walk(function)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            yield node.module
            folder = PACKAGE.parent.joinpath(*node.module.split("."))
            names = (one.name for one in node.names)
            yield from (f"{node.module}.{one}" for one in names if (folder / f"{one}.py").exists())


def test_workers_without_access_to_the_library() -> None:
    every = f"{SERVER}\nfrom monoceros.workers import latecomers\nlatecomers.import_all(asgi=True)"
    paths = [path for pattern in RUN_BY_WORKERS for path in PACKAGE.glob(pattern)]
    late = {name for path in paths for name in late_imports(path)}

    assert "tempfile" in late
    assert late - modules_after(every) == OF_THE_ARBITER | BY_SETUP | OPTIONAL


@pytest.mark.parametrize("module", LEAVES)
def test_leaves_stay_leaves(module: str) -> None:
    ours = {name for name in imported_by(f"import monoceros.{module}") if "monoceros" in name}

    assert ours <= {"monoceros", "monoceros._version", f"monoceros.{module}"}
