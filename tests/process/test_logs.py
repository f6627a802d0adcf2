"""The logs of whole servers: rotation, recipes, syslog, statsd, and files that take nothing."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.e2e.load import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.load import Load
    from tests.process.conftest import Server

pytestmark = pytest.mark.process

# Has the server tell the test where it listens, wherever its own log goes.
ECHO = """\
import logging
def on_starting(server):
    server.log.error_log.addHandler(logging.StreamHandler())
"""

APP = """\
import os, sys
def app(environ, start_response):
    path = environ["PATH_INFO"]
    environ["wsgi.errors"].write(f"app {path}\\n")
    if path == "/print":
        print("printed")
        os.write(2, b"written\\n")
    status = "503 Busy" if path == "/busy" else "200 OK"
    start_response(status, [("Content-Length", "5"), ("X-Made-By", "app")])
    return [b"hello"]
"""


def files(config: str = "", echo: bool = True) -> dict[str, str]:
    """Return the application and a configuration file."""
    return {"app.py": APP, "gunicorn.conf.py": (ECHO if echo else "") + config}


def test_rotation_of_both_logs_under_load(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server(
        "--log-file", "error.log", "--access-logfile", "access.log", "--workers", "2",
        "--access-logformat", "%(U)s", "app:app", files=files(),
    )  # fmt: skip
    srv.wait_workers(2)
    logs = [tmp_path / "error.log", tmp_path / "access.log"]
    with load(srv, "/x") as clients:
        for turn in range(3):
            _wait_for_load(srv, clients)
            for log in logs:
                log.rename(log.with_suffix(f".{turn}"))
            srv.signal(signal.SIGUSR1)
            srv.wait_for("Handling signal: usr1", turn + 1)
            srv.wait_until(lambda: all(log.exists() for log in logs), "new files")
        _wait_for_load(srv, clients)
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0

    assert not clients.losses
    count = len(clients.answers)
    errors = "".join(one.read_text() for one in sorted(tmp_path.glob("error.*")))
    assert len(re.findall(r"^app /x$", errors, re.M)) == count
    assert errors.count("Handling signal: usr1") == 3
    accesses = "".join(one.read_text() for one in tmp_path.glob("access.*"))
    assert accesses == "/x\n" * count
    assert all("/x\n" in log.read_text() for log in logs)


def _wait_for_load(srv: Server, clients: Load) -> None:
    begun = len(clients.answers)
    srv.wait_until(lambda: len(clients.answers) > begun + 100, "some load")


JSON_RECIPE = """\
import json, logging, sys
class JsonFormatter(logging.Formatter):
    def format(self, record):
        atoms = record.args
        return json.dumps({"path": atoms["U"], "status": int(atoms["s"]), "ms": atoms["M"],
                           "id": atoms["{X-Request-Id}i"], "by": atoms["{x-made-by}o"],
                           "name": record.name, "line": record.getMessage()})
logconfig_dict = {
    "version": 1,
    "formatters": {"json": {"()": JsonFormatter}, "plain": {"format": "%(message)s"}},
    "handlers": {
        "access": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout",
                   "formatter": "json"},
        "error": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr",
                  "formatter": "plain"},
    },
    "root": {"level": "INFO", "handlers": []},
    "loggers": {
        "gunicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": False},
        "gunicorn.error": {"level": "DEBUG", "handlers": ["error"], "propagate": False},
    },
}
access_log_format = "%(m)s %(U)s"
"""


def test_a_formatter_that_reads_the_atoms(server: Callable[..., Server]) -> None:
    srv = server("app:app", files=files(JSON_RECIPE, echo=False))
    srv.get('/a"b', {"X-Request-Id": "7"})
    srv.wait_for('^app /a"b$')  # wsgi.errors goes to the handler's stream
    srv.wait_until(lambda: srv.output.endswith(b"\n"), "the line")
    fields = json.loads(srv.output)
    assert isinstance(fields.pop("ms"), int)
    assert fields == {
        "path": '/a\\"b',
        "status": 200,
        "id": "7",
        "by": "app",
        "name": "gunicorn.access",
        "line": 'GET /a\\"b',
    }
    srv.wait_for("^Listening at: ")


CLASS_RECIPE = """\
from monoceros.log.logger import Logger
class QuietLogger(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.info("set up by %s", type(self).__name__)
    def atoms(self, resp, req, environ, request_time):
        return super().atoms(resp, req, environ, request_time) | {"mine": "yes"}
    def access(self, resp, req, environ, request_time):
        if environ["PATH_INFO"] != "/health":
            super().access(resp, req, environ, request_time)
"""


def test_a_subclass_leaves_health_checks_out(server: Callable[..., Server]) -> None:
    srv = server(
        "--logger-class", "quiet.QuietLogger", "--access-logfile", "-",
        "--access-logformat", "%(U)s %(s)s %(mine)s %({x-made-by}o)s", "app:app",
        files={**files(echo=False), "quiet.py": CLASS_RECIPE},
    )  # fmt: skip
    srv.wait_for(r"\[INFO\] set up by QuietLogger")
    for path in ("/health", "/x", "/health", "/busy"):
        srv.get(path)
    srv.wait_until(lambda: srv.output.count(b"\n") == 2, "two lines")
    assert srv.output == b"/x 200 yes app\n/busy 503 yes app\n"
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: ")
    srv.wait_for(r"\[INFO\] set up by QuietLogger", 2)


_METRIC = re.compile(
    r"shop\.gunicorn\.(?P<name>requests|request\.duration|request\.status\.\d{3}|workers"
    r"|log\.(?:critical|error|warning|exception)):(?P<value>\d+(?:\.\d+)?)"
    r"\|(?P<kind>g|ms|h|c\|@1\.0)\|#env:test"
)


def test_statsd(server: Callable[..., Server]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(20)
        srv = server(
            "--statsd-host", f"127.0.0.1:{agent.getsockname()[1]}", "--statsd-prefix", "shop",
            "--dogstatsd-tags", "env:test", "app:app", files=files(echo=False),
        )  # fmt: skip
        srv.get("/x")  # measured, although there is no access log
        srv.get("/busy")
        wanted = {("request.status.200", "1"), ("request.status.503", "1"), ("workers", "1")}
        kinds: dict[str, str] = {}
        while wanted:
            match = _METRIC.fullmatch(agent.recv(1000).decode())
            assert match is not None
            wanted.discard((match["name"], match["value"]))
            kinds[match["name"]] = match["kind"]
        assert srv.output == b""
    assert kinds.pop("workers") == "g"
    assert kinds.pop("request.duration") == "ms"
    assert set(kinds.values()) == {"c|@1.0"}
    assert srv.get("/x").status == 200  # the agent has gone


CONFIG_FILE = """\
[loggers]
keys = root, error
[handlers]
keys = file{more}
[formatters]
keys =
[logger_root]
handlers =
[logger_error]
qualname = gunicorn.error
level = DEBUG
propagate = 0
handlers = file
[handler_file]
class = FileHandler
args = ("%(here)s/configured.log", "a")
"""
HANGING = "import time\ntime.sleep(600)\n"


@pytest.mark.parametrize("when", ["at the reload", "before it is given up"])
def test_a_mistake_in_logconfig_at_a_reload(
    when: str, server: Callable[..., Server], tmp_path: Path
) -> None:
    config, log = tmp_path / "log.ini", tmp_path / "configured.log"
    text = {"log.ini": CONFIG_FILE.format(more=""), **files("logconfig = 'log.ini'\n")}
    srv = server("app:app", files=text)

    def find(pattern: str, count: int = 1) -> None:
        srv.wait_until(lambda: len(re.findall(pattern, log.read_text())) >= count, pattern)

    find("is ready")
    (tmp_path / "app.py").write_text(HANGING)
    if when == "before it is given up":
        srv.signal(signal.SIGHUP)
        find("Booting worker", 2)
    config.write_text(CONFIG_FILE.format(more=", other"))
    srv.signal(signal.SIGHUP)
    extent = "everything" if when == "at the reload" else "everything else"
    find(f"Reload failed, {extent} stays as it was: Invalid value for logconfig: 'log.ini'")
    if when == "before it is given up":
        find("cannot be undone for the logs: Invalid value for logconfig: 'log.ini'")
    assert srv.get("/x").body == b"hello"
    find("(?m)^app /x$")

    config.write_text(CONFIG_FILE.format(more=""))
    (tmp_path / "app.py").write_text(APP)
    srv.signal(signal.SIGHUP)
    find("Reloaded: 1 new worker is ready")


@pytest.mark.parametrize("scheme", ["udp", "unix"])
def test_syslog(scheme: str, server: Callable[..., Server], tmp_path: Path) -> None:
    family = socket.AF_INET if scheme == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0) if scheme == "udp" else str(tmp_path / "log"))
        receiver.settimeout(20)
        where = f"127.0.0.1:{receiver.getsockname()[1]}" if scheme == "udp" else tmp_path / "log"
        srv = server(
            "--log-syslog", "--log-syslog-to", f"{scheme}://{where}",
            "--log-syslog-prefix", "shop", "--log-syslog-facility", "daemon",
            "--access-logformat", "%(U)s %(s)s", "app:app", files=files(echo=False),
        )  # fmt: skip
        srv.get("/x")
        messages = _until(receiver, r"<30>gunicorn\.shop\.access: \[\d+\] /x 200\0")
        assert any(
            re.fullmatch(r"<30>gunicorn\.shop\.error: \[\d+\] Listening at: .*\0", one)
            for one in messages
        )
        srv.wait_for(r"\[INFO\] Listening at: ")
    assert srv.get("/x").status == 200  # syslog has gone


def _until(receiver: socket.socket, pattern: str) -> list[str]:
    """Return all messages up to one that matches."""
    messages: list[str] = []
    while not messages or not re.fullmatch(pattern, messages[-1], re.S):
        messages.append(receiver.recv(5000).decode())
    return messages


def test_capture_output(server: Callable[..., Server], tmp_path: Path) -> None:
    # The echo would be captured too: the test reads the file.
    srv = server(
        "--capture-output", "--log-file", "error.log", "app:app",
        files=files(echo=False), listening=False,
    )  # fmt: skip
    log, old = tmp_path / "error.log", tmp_path / "error.log.1"

    def find(pattern: str) -> re.Match[str]:
        return srv.wait_until(
            lambda: re.search(pattern, log.read_text() if log.exists() else ""), pattern
        )

    port = int(find(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
    find("is ready")
    _get(port, "/print")
    find(r"(?m)^printed$(.|\n)*^written$|^written$(.|\n)*^printed$")
    log.rename(old)
    srv.signal(signal.SIGUSR1)
    srv.wait_until(log.exists, "the new file")

    def ask() -> bool:
        # Until the worker has heard of it, what it prints goes to the old file.
        _get(port, "/print")
        return "printed" in log.read_text() and "written" in log.read_text()

    srv.wait_until(ask, "output in the new file")
    srv.stop()
    assert srv.lines == []
    assert srv.output == b""


def _get(port: int, path: str) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
        while client.recv(4096):
            pass


@pytest.mark.parametrize("name", ["errorlog", "accesslog"])
def test_a_path_that_cannot_be_written(
    name: str, server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("app:app", files=files(f"\n{name} = 'no/x.log'", echo=False), listening=False)
    assert srv.wait() == 1
    srv.wait_for(
        rf"Invalid value for {name}: 'no/x.log' \(No such file or directory\)\. Allowed: a file "
        rf"that can be written\. Set in: {re.escape(str(tmp_path))}/gunicorn\.conf\.py:2\."
    )
    assert "Traceback" not in srv.log


def test_full_disks_stop_nothing(server: Callable[..., Server]) -> None:
    srv = server(
        "--log-file", "/dev/full", "--access-logfile", "/dev/full", "app:app", files=files()
    )
    for _ in range(20):
        assert srv.get("/x").body == b"hello"
    srv.signal(signal.SIGUSR1)
    srv.wait_for("Handling signal: usr1")
    assert srv.get("/x").body == b"hello"


@pytest.fixture
def fifo(tmp_path: Path) -> int:
    """The reading end of a pipe ``fifo`` in the test's directory."""
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    return reader


@pytest.mark.parametrize("access_format", ["%(U)s", "json"])
def test_a_reader_that_leaves(access_format: str, server: Callable[..., Server], fifo: int) -> None:
    srv = server(
        "--log-file", "fifo", "--access-logfile", "fifo", "--access-logformat", access_format,
        "app:app", files=files(),
    )  # fmt: skip
    received = bytearray()

    def read() -> None:
        while b"/x" not in received:
            received.extend(os.read(fifo, 4096))
        os.close(fifo)

    reader = threading.Thread(target=read)
    reader.start()
    assert srv.get("/x").body == b"hello"
    reader.join(20)
    assert not reader.is_alive()
    for _ in range(3):
        assert srv.get("/x").body == b"hello"
    srv.signal(signal.SIGUSR1)
    srv.wait_for("The log file .*/fifo' cannot be reopened: No such device or address")
    assert srv.get("/x").body == b"hello"


def test_a_reload_without_a_reader_changes_nothing(
    server: Callable[..., Server], fifo: int, tmp_path: Path
) -> None:
    config = "accesslog = 'fifo'\n"
    srv = server("app:app", files=files(config, echo=False))
    old = srv.wait_workers(1)
    os.close(fifo)
    srv.signal(signal.SIGHUP)
    srv.wait_for(
        "Reload failed, everything stays as it was: Invalid value for accesslog: 'fifo' "
        r"\(No such device or address: nobody reads this pipe\)\."
    )
    assert srv.get("/x").body == b"hello"
    assert srv.workers() == old

    (tmp_path / "gunicorn.conf.py").write_text("")
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded: ")


@pytest.mark.parametrize("name", ["errorlog", "accesslog"])
def test_a_start_without_a_reader(name: str, server: Callable[..., Server], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    srv = server("app:app", files=files(f"\n{name} = 'fifo'", echo=False), listening=False)
    assert srv.wait() == 1
    srv.wait_for(f"Invalid value for {name}: 'fifo' .*nobody reads this pipe")


REOPENED = """\
import logging
def post_worker_init(worker):
    logging.getLogger("mine").addHandler(logging.FileHandler("fifo"))
on_starting = post_worker_init
"""


def test_handlers_of_others_are_not_waited_for_either(
    server: Callable[..., Server], fifo: int
) -> None:
    srv = server("app:app", files=files(REOPENED, echo=False))
    srv.wait_workers(1)
    os.close(fifo)
    srv.signal(signal.SIGUSR1)
    srv.wait_for("The log file .*/fifo' cannot be reopened: .*nobody reads this pipe", 2)
    assert srv.get("/x").body == b"hello"


# As sent in User-Agent and Referer, and, quoted, in path and user name.
HOSTILE = [
    b'quotes " \\" and \\ \\\\',
    b'x" 200 5 "-" "-"\t127.0.0.1 - - "GET /forged',
    b'"}, {"path": "/forged", "user_agent": "',
    "\u20ac \u2028 \x85".encode(),
    b"\xff\xfe\xc3( \xed\xa0\x80",
    b"8" * 8000,
]
CONTROLS = b"\r\n\0\x1b[2J\x7f\x85"
WAYS = {"fast": "", "slow": "def post_worker_init(w): w.log.access_log.addFilter(lambda r: True)\n"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("access_format", ['"%(U)s" "%(u)s" "%(f)s" "%({User-Agent}i)s"', "json"])
def test_nothing_is_forged(access_format: str, way: str, server: Callable[..., Server]) -> None:
    srv = server(
        "--access-logfile", "-", "--access-logformat", access_format, "app:app",
        files=files(WAYS[way]),
    )  # fmt: skip
    for value in HOSTILE:
        user = base64.b64encode(value[:99] + CONTROLS + b":password").decode()
        field = value.decode("latin-1")
        headers = {"User-Agent": field, "Referer": field, "Authorization": f"Basic {user}"}
        assert srv.get("/" + quote(value[:99] + CONTROLS), headers).status == 200
        # What no field may hold is no line of either log.
        with srv.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\n\0forged\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    srv.wait_until(lambda: srv.output.count(b"\n") == len(HOSTILE), "the lines")

    read = read_json if access_format == "json" else read_quoted
    for line, value in zip(bytes(srv.output).splitlines(), HOSTILE, strict=True):
        assert not re.search(rb"[\x00-\x1f\x7f]", line)
        path, name, referer, agent = read(line)
        assert path == b"/" + value[:99] + CONTROLS
        assert name == (value[:99] + CONTROLS).partition(b":")[0]
        assert referer == agent == value
    refusals = [line for line in srv.lines if "Invalid request" in line]
    assert refusals
    assert not any("forged" in line for line in refusals)


def read_quoted(line: bytes) -> tuple[bytes, ...]:
    """Read four quoted values, each to its own end only."""
    match = re.fullmatch(b" ".join([rb'"((?:[^"\\]|\\.)*)"'] * 4), line)
    assert match is not None, line
    return tuple(re.sub(rb"\\(?:x([0-9a-f]{2})|(.))", _unescape, value) for value in match.groups())


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode()) if match[1] else match[2]


def read_json(line: bytes) -> tuple[bytes, ...]:
    """Read an object, whose texts are what the octets spell, or one character for each."""
    found = json.loads(line)
    return tuple(octets(found[name]) for name in ("path", "user", "referer", "user_agent"))


def octets(text: str) -> bytes:
    spelt = text.encode("utf-8")
    try:
        plain = text.encode("latin-1")
        plain.decode("utf-8")
    except UnicodeEncodeError:
        return spelt
    except UnicodeDecodeError:
        return plain
    return spelt


def test_json_logs(server: Callable[..., Server]) -> None:
    srv = server(
        "--log-format", "json", "--access-logfile", "-", "app:app", files=files(echo=False)
    )
    hostile = 'é"\\\t' + "x" * 4000
    srv.get("/x", {"User-Agent": hostile.encode().decode("latin-1")})
    srv.wait_until(lambda: srv.output.endswith(b"\n"), "the line")
    srv.wait_for('"wsgi.errors".*"app /x"')
    assert json.loads(srv.output)["user_agent"] == hostile
    entries = [json.loads(line) for line in srv.lines]
    assert {one["logger"] for one in entries} == {"gunicorn.error", "wsgi.errors"}
    assert not any("\x1b" in line for line in srv.lines)
