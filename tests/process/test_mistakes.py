"""The mistakes that people make first: what exactly they are told, and the exit code.

Each case is one command in a directory of its own, with everything that it prints on standard
error below the level info. ``HERE`` stands for that directory, ``PID`` and ``ADDRESS`` for
numbers, and the date of log lines is left out.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import monoceros

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

APP = """\
def app(environ, start_response):
    return []
def create_app():
    return app
async def asgi(scope, receive, send):
    pass
async def create_async():
    return asgi
"""

FILES = {
    "app.py": APP,
    "shop/shop/__init__.py": "",
    "shop/shop/wsgi.py": APP,
    "site.ini": "[app:main]\nuse = egg:nothing\n",
    "file": "",
}

# Takes from root what others never had, so that the mistakes are mistakes for root too.
LIKE_A_USER = """\
import ctypes, os, sys
CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE, PR_CAPBSET_DROP = 1, 10, 24
if os.geteuid() == 0:
    for capability in (CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "monoceros", *sys.argv[1:]])
"""


class Mistake(NamedTuple):
    """A command line, the configuration file, and what comes of them."""

    arguments: str
    code: int
    told: str
    file: str = ""


def log(text: str) -> str:
    """Return a text as the only line of the log."""
    return f"[ERROR] {text}\n"


def no_boot(text: str) -> str:
    """Return what is told where the application's module cannot be imported."""
    return f"[ERROR] Exception in worker process\n{text}\n{_end(3, 'Worker failed to boot.')}"


def no_load(text: str) -> str:
    """Return what is told where there is no application in the module."""
    return f"[ERROR] {text}\n{_end(4, 'App failed to load.')}"


def _end(code: int, reason: str) -> str:
    return (
        f"[ERROR] Worker (pid:PID) exited with code {code}.\n"
        f"[ERROR] Shutting down: Master\n[ERROR] Reason: {reason}\n"
    )


def refusal(text: str) -> str:
    """Return what is told before there is a log."""
    return f"\nError: {text}\n"


ASYNC_FACTORY = (
    "Factories cannot be asynchronous: make it a plain function, and leave what has to be awaited "
    "to the application's lifespan."
)
PATH = f"/tmp/{'x' * 120}"

MISTAKES = {
    "module not found, when asked to check": Mistake(
        "--check-config ap:app",
        1,
        "\nError while loading the application:\n\n"
        "ModuleNotFoundError: No module named 'ap' in HERE or elsewhere on the module search "
        "path. Did you mean 'app:app'?\n",
    ),
    "module not found": Mistake(
        "ap:app",
        3,
        no_boot(
            "ModuleNotFoundError: No module named 'ap' in HERE or elsewhere on the module search "
            "path. Did you mean 'app:app'?"
        ),
    ),
    "wrong directory": Mistake(
        "shop.wsgi",
        3,
        no_boot(
            "ModuleNotFoundError: No module named 'shop.wsgi' in HERE or elsewhere on the module "
            "search path. There is one in HERE/shop: use '--chdir shop'."
        ),
    ),
    "a file name": Mistake(
        "app.py", 3, no_boot("ModuleNotFoundError: 'app.py' is a file. Did you mean 'app:app'?")
    ),
    "attribute missing": Mistake(
        "app:aap", 4, no_load("Failed to find attribute 'aap' in 'app'. Did you mean 'app:app'?")
    ),
    "attribute missing, and a misspelt setting": Mistake(
        "app:aap",
        4,
        "[WARNING] 'preload' is not a setting, did you mean 'preload_app'? "
        "Set in: HERE/gunicorn.conf.py:1.\n"
        + no_load("Failed to find attribute 'aap' in 'app'. Did you mean 'app:app'?"),
        file="preload = True\n",
    ),
    "factory without its call": Mistake(
        "app:create_app",
        4,
        no_load(
            "'app:create_app' is a function with the arguments (), while an application takes "
            "(environ, start_response). Did you mean 'app:create_app()'?"
        ),
    ),
    "ASGI application on a worker for WSGI": Mistake(
        "-k sync app:asgi",
        4,
        no_load(
            "'app:asgi' is an ASGI application, and this worker class serves WSGI applications "
            "only. The worker class asgi serves it, and is its default."
        ),
    ),
    "WSGI application on a worker for ASGI": Mistake(
        "-k asgi app:app",
        4,
        no_load(
            "'app:app' is a WSGI application, and this worker class serves ASGI applications "
            "only. The worker class sync serves it, and is its default."
        ),
    ),
    "asynchronous factory without its call": Mistake(
        "app:create_async",
        4,
        no_load(
            "'app:create_async' is asynchronous, with the arguments (), while an ASGI application "
            f"takes (scope, receive, send). {ASYNC_FACTORY}"
        ),
    ),
    "asynchronous factory without its call, when asked to check": Mistake(
        "--check-config -k asgi app:create_async",
        1,
        refusal(
            "'app:create_async' is asynchronous, with the arguments (), while an ASGI application "
            f"takes (scope, receive, send). {ASYNC_FACTORY}"
        ),
    ),
    "asynchronous factory": Mistake(
        "-k asgi app:create_async()",
        4,
        no_load(f"'create_async' in 'app' returns a coroutine. {ASYNC_FACTORY}"),
    ),
    "missing extra": Mistake(
        "--paste site.ini",
        4,
        no_load("The setting paste needs PasteDeploy: pip install 'monoceros[paste]'"),
        file="import sys\nsys.modules['paste.deploy'] = None\n",
    ),
    "PasteDeploy file missing": Mistake(
        "--paste nothing.ini", 4, no_load("paste: there is no file HERE/nothing.ini")
    ),
    "privileged port": Mistake(
        "-b 127.0.0.1:80 app:app",
        1,
        log(
            "Can't connect to ('127.0.0.1', 80): [Errno 13] Permission denied. Ports below 1024 "
            "need root or CAP_NET_BIND_SERVICE: bind to a higher one behind a proxy, or give the "
            "capability. Set in: command line."
        ),
    ),
    "unix socket: path too long": Mistake(
        f"-b unix:{PATH} app:app",
        1,
        log(
            f"Can't connect to {PATH}: AF_UNIX path too long. "
            "The path has 125 bytes, and 107 are allowed. Set in: command line."
        ),
    ),
    "unix socket: no directory": Mistake(
        "app:app",
        1,
        log(
            "Can't connect to nowhere/socket: [Errno 2] No such file or directory. The directory "
            "of the socket does not exist. Set in: HERE/gunicorn.conf.py:1."
        ),
        file="bind = 'unix:nowhere/socket'\n",
    ),
    "unix socket: directory not writable": Mistake(
        "-b unix:closed/socket app:app",
        1,
        log(
            "Can't connect to closed/socket: [Errno 13] Permission denied. The directory of the "
            "socket has to be writable for the user of the server. Set in: command line."
        ),
    ),
    "unix socket: a file in its place": Mistake(
        "-b unix:file app:app",
        1,
        log("Can't connect to file: the file exists and is not a socket."),
    ),
    "not an address of this machine": Mistake(
        "-b 192.0.2.1:8000 app:app",
        1,
        log(
            "Can't connect to ('192.0.2.1', 8000): [Errno 99] Cannot assign requested address. No "
            "network interface here has that address; 0.0.0.0 means all of them. "
            "Set in: command line."
        ),
    ),
    "unknown option": Mistake(
        "--worker 2 app:app",
        2,
        "monoceros: error: unrecognized arguments: --worker (did you mean --workers?)\n"
        "'monoceros --help' lists the usual options, '--help-all' all of them.\n",
    ),
    "wrong value": Mistake(
        "--workers many app:app",
        1,
        refusal(
            "Invalid value for workers: 'many'. Allowed: a whole number of processes from 0 to "
            "2147483647, or auto. Set in: command line."
        ),
    ),
    "wrong value in a file": Mistake(
        "app:app",
        1,
        refusal(
            "Invalid value for workers: 'many'. Allowed: a whole number of processes from 0 to "
            "2147483647, or auto. Set in: HERE/gunicorn.conf.py:2."
        ),
        file="\nworkers = 'many'\n",
    ),
    "worker class that is not there": Mistake(
        "-k asyncio app:app",
        1,
        refusal(
            "Invalid value for worker_class: 'asyncio' (an unknown name). "
            "Allowed: sync, gthread, gevent, eventlet, tornado, asgi, a dotted name, "
            "egg:DISTRIBUTION#NAME, or in a file a class or a function returning one. Set in: "
            "command line."
        ),
    ),
    "no configuration file": Mistake(
        "-c nothing.py app:app",
        1,
        refusal("The configuration file 'HERE/nothing.py' doesn't exist"),
    ),
    "error in the configuration file": Mistake(
        "app:app",
        1,
        refusal(
            "Failed to read config file: HERE/gunicorn.conf.py\n"
            "Traceback (most recent call last):\n"
            '  File "HERE/gunicorn.conf.py", line 2, in <module>\n'
            "    workers = 1 / 0\n"
            "ZeroDivisionError: division by zero"
        ),
        file="import os\nworkers = 1 / 0\n",
    ),
    "wrong arguments of a hook": Mistake(
        "app:app",
        1,
        refusal(
            "Invalid value for post_fork: <function post_fork at ADDRESS> (cannot be called with "
            "2 arguments: (server, worker)). Allowed: a callable with the arguments "
            "(server, worker), or its dotted name. Set in: HERE/gunicorn.conf.py:1."
        ),
        file="def post_fork(server): ...\n",
    ),
    "no application": Mistake(
        "--chdir shop",
        1,
        "Error: No application module specified, and none found in HERE/shop:\n"
        "  pyproject.toml: no such file\n"
        "  manage.py: no such file\n"
        "  wsgi.py: no such file\n"
        "  app.py: no such file\n"
        "  main.py: no such file\n"
        "  asgi.py: no such file\n"
        "Name it: MODULE:NAME, such as app:app or myproject.wsgi\n"
        "\n"
        "Examples:\n"
        "  monoceros myproject.wsgi                              a Django project\n"
        "  monoceros -w 4 -b 0.0.0.0:8000 'hello:create_app()'   an application factory\n"
        "  monoceros -c gunicorn.conf.py --access-logfile -      settings and application from a "
        "file\n"
        "\n"
        "monoceros --help tells more.\n",
    ),
}

# What the system itself says differs elsewhere.
OF_LINUX = ("unix socket: path too long", "not an address of this machine")


def run(directory: Path, arguments: str, replaced: tuple[str, str] = ("", "")) -> tuple[int, str]:
    """Run the command to its end; returns the exit code and its standard error, made comparable."""
    words = arguments.split()
    if "-b" not in words and not _sets_bind(directory / "gunicorn.conf.py"):
        words = ["-b", "127.0.0.1:0", *words]
    result = subprocess.run(
        [sys.executable, "-c", LIKE_A_USER, "--log-level", "warning", *words],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(monoceros.__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "WEB_CONCURRENCY": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == ""
    text = result.stderr.replace(str(directory), "HERE")
    text = text.replace(*replaced) if replaced[0] else text
    text = re.sub(r"^\[\d{4}-\d\d-\d\d [\d:]+ [+-]\d{4}\] \[\d+\] ", "", text, flags=re.MULTILINE)
    text = re.sub(r"\bat 0x[0-9a-f]+", "at ADDRESS", text)
    text = re.sub(r"pid:\d+", "pid:PID", text)
    # Python 3.11 began to underline what failed.
    return result.returncode, re.sub(r"^ +[~^]+\n", "", text, flags=re.MULTILINE)


def _sets_bind(file: Path) -> bool:
    return file.exists() and file.read_text().startswith("bind")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A project with something to get wrong."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "closed").mkdir(mode=0o500)
    return tmp_path


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str, directory: Path) -> None:
    if name in OF_LINUX and sys.platform != "linux":
        pytest.skip("other systems say it otherwise")
    if name == "privileged port" and not _are_low_ports_privileged():
        pytest.skip("here everybody may bind port 80")
    mistake = MISTAKES[name]
    if mistake.file:
        (directory / "gunicorn.conf.py").write_text(mistake.file)
    assert run(directory, mistake.arguments) == (mistake.code, mistake.told)


def _are_low_ports_privileged() -> bool:
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return sys.platform == "linux" and (not first.exists() or int(first.read_text()) > 80)


@pytest.fixture(scope="module", autouse=True)
def port_in_use(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[tuple[int, str]]]:
    """A run with a port that somebody else listens on; it takes seconds, beside other tests."""
    directory = tmp_path_factory.mktemp("port")
    (directory / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor() as pool:
        port = other.getsockname()[1]
        run_it = partial(run, directory, f"-b 127.0.0.1:{port} app:app", (f"{port}", "PORT"))
        yield pool.submit(run_it)


def test_port_in_use(port_in_use: Future[tuple[int, str]]) -> None:
    code, told = port_in_use.result(60)
    assert code == 1
    assert told == "[ERROR] Connection in use: ('127.0.0.1', PORT)\n" * 5 + log(
        "Can't connect to ('127.0.0.1', PORT): [Errno 98] Address already in use. Another process "
        "listens there: stop it, or bind to another port. Set in: command line."
    )
