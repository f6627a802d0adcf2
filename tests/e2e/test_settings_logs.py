"""What the settings of logs and metrics change, each in a running server."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = pytest.mark.process

HELLO = """\
def app(environ, start_response):
    print("printed for", environ["PATH_INFO"], flush=True)
    start_response("404 No" if "missing" in environ["PATH_INFO"] else "200 OK", [])
    return [b"hello"]
"""

LOGGER = """\
from monoceros.log.logger import Logger

class logger_class(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.info("a logger of my own")
"""


def ask(srv: Server, path: Path) -> None:
    """Send a request over a unix socket as soon as it is there, and read the answer."""

    def connected() -> socket.socket | None:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        if not client.connect_ex(str(path)):
            return client
        client.close()
        return None

    with srv.wait_until(connected, "a listening socket") as client:
        client.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        while client.recv(1000):
            pass


def test_access_log(serve: Serve, tmp_path: Path) -> None:
    srv = serve(
        *("--access-logfile", "access.log", "--access-logformat", "%(m)s %(U)s %(s)s"),
        *("--access-log-skip", "/health", "--access-log-skip", "/static/*", "app:app"),
        files={"app.py": HELLO},
    )
    for target in ("/health", "/static/a", "/static/missing", "/healthy"):
        srv.get(target)
    srv.wait_until(lambda: (tmp_path / "access.log").read_text().count("\n") == 2)
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert lines == ["GET /static/missing 404", "GET /healthy 200"]


def test_files(server: Callable[..., Server], tmp_path: Path) -> None:
    address = tmp_path / "s"
    srv = server(
        *("--bind", f"unix:{address}", "--error-logfile", "error.log", "--capture-output"),
        *("--log-level", "warning", "app:app"),
        files={"app.py": HELLO, "gunicorn.conf.py": "preload = True\n"},
        listening=False,
    )
    ask(srv, address)
    log = (tmp_path / "error.log").read_text()
    assert "printed for /x" in log.splitlines()  # capture_output
    assert "[WARNING] 'preload' is not a setting" in log  # errorlog
    assert "[INFO]" not in log  # loglevel
    assert srv.log == ""


def receiver(stack: contextlib.ExitStack) -> tuple[socket.socket, int]:
    """Return a socket for datagrams, and its port."""
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(20)
    return sock, sock.getsockname()[1]


def wait_for(sock: socket.socket, part: bytes) -> bytes:
    """Return the first datagram that has ``part`` in it."""
    while part not in (packet := sock.recv(2000)):
        pass
    return packet


def test_logs_elsewhere(server: Callable[..., Server]) -> None:
    with contextlib.ExitStack() as stack:
        syslog, syslog_port = receiver(stack)
        statsd, statsd_port = receiver(stack)
        srv = server(
            *("--log-syslog", "--log-syslog-to", f"udp://127.0.0.1:{syslog_port}"),
            *("--log-syslog-prefix", "shop", "--log-syslog-facility", "local3"),
            "--disable-redirect-access-to-syslog",
            *("--statsd-host", f"127.0.0.1:{statsd_port}", "--statsd-prefix", "web"),
            *("--dogstatsd-tags", "env:test", "--log-format", "json", "app:app"),
        )
        srv.get("/x")
        # statsd_host, statsd_prefix, dogstatsd_tags
        requests = wait_for(statsd, b"gunicorn.requests:")
        assert requests == b"web.gunicorn.requests:1|c|@1.0|#env:test"
        # syslog, syslog_addr, syslog_prefix, syslog_facility: local3 is 19, info is 6
        assert wait_for(syslog, b"Using worker").startswith(b"<158>gunicorn.shop.error: ")
        # log_format
        line = next(line for line in srv.lines if "Using worker" in line)
        assert json.loads(line)["message"] == "Using worker: sync"
        # disable_redirect_access_to_syslog: the request is not among the messages
        syslog.settimeout(0)
        with pytest.raises(BlockingIOError):
            wait_for(syslog, b'"GET /x')


def test_logger_of_my_own(server: Callable[..., Server]) -> None:
    srv = server("app:app", files={"app.py": HELLO, "gunicorn.conf.py": LOGGER})
    srv.wait_for("a logger of my own")


LOGCONFIG = """\
[loggers]
keys = root, gunicorn.error
[handlers]
keys = file
[formatters]
keys = mine
[logger_root]
handlers =
[logger_gunicorn.error]
handlers = file
level = INFO
qualname = gunicorn.error
[handler_file]
class = FileHandler
args = ("mine.log",)
formatter = mine
[formatter_mine]
format = mine %(message)s
"""


def test_logconfig(server: Callable[..., Server], tmp_path: Path) -> None:
    address = tmp_path / "s"
    files = {"app.py": HELLO, "log.ini": LOGCONFIG}
    srv = server(
        *("--bind", f"unix:{address}", "--log-config", "log.ini", "app:app"),
        files=files,
        listening=False,
    )
    ask(srv, address)
    assert "mine Using worker: sync" in (tmp_path / "mine.log").read_text().splitlines()
