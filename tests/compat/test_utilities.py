"""The small functions of ``gunicorn.util`` and its neighbours."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gunicorn.app.pasterapp
import gunicorn.debug
import gunicorn.glogging
import gunicorn.http.errors
import gunicorn.pidfile
import gunicorn.sock
import gunicorn.systemd
import gunicorn.workers
import pytest
from gunicorn import util

from monoceros.compat.settings import EditableConfig
from monoceros.errors import AppImportError
from monoceros.log import outputs
from monoceros.log.logger import Logger
from monoceros.workers.gthread import ThreadWorker
from monoceros.workers.sync import SyncWorker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sync", SyncWorker),
        ("gunicorn.workers.gthread.ThreadWorker", ThreadWorker),
        ("egg:gunicorn#sync", SyncWorker),
        ("gunicorn.glogging.Logger", Logger),
        (SyncWorker, SyncWorker),
        ("", SyncWorker),
    ],
)
def test_load_class(name: Any, found: type) -> None:
    assert util.load_class(name) is found


@pytest.mark.parametrize("name", ["nothing.at.All", "sys.path", "egg:nothing#at"])
def test_load_class_fails(name: str) -> None:
    with pytest.raises(RuntimeError, match="class uri"):
        util.load_class(name)


def test_import_app() -> None:
    assert util.import_app("monoceros.demo:app").__name__ == "app"
    with pytest.raises(AppImportError):
        util.import_app("monoceros.demo:nothing")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/a.sock", "/run/a.sock"),
        ("unix:///run/a.sock", "/run/a.sock"),
        ("fd://3", 3),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("127.0.0.1", ("127.0.0.1", 81)),
        ("[::1]:80", ("::1", 80)),
        ("", ("0.0.0.0", 81)),
        (":80", ("0.0.0.0", 80)),
    ],
)
def test_parse_address(text: str, address: object) -> None:
    assert util.parse_address(text, default_port="81") == address


def test_texts() -> None:
    assert util.to_bytestring("ä") == "ä".encode()
    assert util.to_bytestring(b"a") == b"a"
    with pytest.raises(TypeError, match="not a string"):
        util.to_bytestring(1)  # type: ignore[arg-type]
    assert util.bytes_to_str(b"\xe4") == util.bytes_to_str("ä") == "ä"
    assert util.unquote_to_wsgi_str("/%C3%A4") == "/Ã¤"
    assert util.http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert util.http_date().endswith(" GMT")
    assert util.is_hoppish(" Keep-Alive")
    assert not util.is_hoppish("Content-Type")
    assert util.is_ipv6("::1")
    assert not util.is_ipv6("127.0.0.1")
    assert util.is_glob_pattern("*.py")
    assert util.split_request_uri("//a/b?c=d").path == "//a/b"
    assert util.split_request_uri("//a/b?c=d").query == "c=d"
    assert util.split_request_uri("/a?b").query == "b"
    assert util.get_arity(lambda a, b, *c, d: None) == 2


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    util.check_is_writable(str(path))
    util.chown(str(path), os.geteuid(), os.getegid())
    util.unlink(str(path))
    util.unlink(str(path))
    assert not path.exists()
    with pytest.raises(RuntimeError, match="isn't writable"):
        util.check_is_writable(str(tmp_path))
    assert Path(util.getcwd()).samefile(".")
    assert util.has_fileno(sys.__stdout__)
    assert not util.has_fileno(None)
    assert util.get_username(0) == "root"
    util.set_owner_process(os.geteuid(), os.getegid())
    util.seed()


def test_warn(capsys: pytest.CaptureFixture[str]) -> None:
    util.warn("a\nb")
    assert capsys.readouterr().err == "!!! WARNING: a\n!!! b\n"


def test_reraise() -> None:
    try:
        raise LookupError("first")
    except LookupError as error:
        with pytest.raises(LookupError, match="first") as caught:
            util.reraise(type(error), error, error.__traceback__)
    assert caught.value is not None
    with pytest.raises(KeyError):
        util.reraise(KeyError, None)


def test_sockets() -> None:
    near, far = socket.socketpair()
    with near, far:
        util.write(near, b"a")
        util.write(near, b"b", chunked=True)
        util.write_nonblock(near, b"c")
        assert far.recv(99) == b"a1\r\nb\r\nc"
        util.write_error(near, 404, "", "nothing here")
        assert far.recv(999).startswith(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n")
        util.set_non_blocking(far.fileno())
        util.close_on_exec(far.fileno())
        assert not os.get_inheritable(far.fileno())
        with pytest.raises(BlockingIOError):
            far.recv(1)
        util.close(near)
        assert far.recv(1) == b""


@pytest.fixture
def log() -> Iterator[Logger]:
    """A logger, of which nothing is left afterwards."""
    made = Logger(EditableConfig())
    yield made
    for one in (made.error_log, made.access_log):
        outputs.remove_own(one)
        one.propagate = True
        one.setLevel(logging.NOTSET)


def test_pidfile(tmp_path: Path) -> None:
    file = gunicorn.pidfile.Pidfile(str(tmp_path / "pid"))
    assert file.validate() is None
    file.create(os.getpid())
    assert file.validate() == os.getpid()
    file.rename(str(tmp_path / "other"))
    assert not (tmp_path / "pid").exists()
    assert (tmp_path / "other").read_text() == f"{os.getpid()}\n"
    file.unlink()
    assert not (tmp_path / "other").exists()


def test_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Logger) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    assert gunicorn.systemd.listen_fds() == 2
    assert gunicorn.systemd.listen_fds() == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        gunicorn.systemd.sd_notify("STATUS=x", log, unset_environment=True)
        assert manager.recv(99) == b"STATUS=x"
    gunicorn.systemd.sd_notify("STATUS=x", log)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    gunicorn.systemd.sd_notify("STATUS=x", log)


def test_listening_sockets(log: Logger) -> None:
    cfg = EditableConfig()
    cfg.set("bind", "127.0.0.1:0")
    (sock,) = gunicorn.sock.create_sockets(cfg, log)
    (same,) = gunicorn.sock.create_sockets(cfg, log, fds=[os.dup(sock.fileno())])
    assert same.getsockname() == sock.getsockname()
    assert isinstance(sock, gunicorn.sock.TCPSocket)
    assert isinstance(sock, gunicorn.sock.BaseSocket)
    assert not isinstance(sock, gunicorn.sock.UnixSocket | gunicorn.sock.TCP6Socket)
    assert not isinstance(sock.fileno(), gunicorn.sock.BaseSocket)
    with pytest.raises(TypeError, match="TCPSocket is for isinstance"):
        gunicorn.sock.TCPSocket("127.0.0.1")  # type: ignore[call-arg]
    gunicorn.sock.close_sockets([sock, same])
    assert sock.fileno() == -1


def test_tracing(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.gettrace()
    try:
        gunicorn.debug.spew()
        test_warn.__name__.upper()
        logging.getLogger("spew").isEnabledFor(10)
        gunicorn.debug.unspew()
    finally:
        sys.settrace(before)
    assert "logging:" in capfd.readouterr().err


def test_names_of_workers() -> None:
    found = gunicorn.workers.SUPPORTED_WORKERS
    assert found["sync"] == "monoceros.workers.sync.SyncWorker"
    assert "egg:gunicorn#sync" not in found


def test_errors_while_a_body_is_read() -> None:
    assert issubclass(gunicorn.http.errors.NoMoreData, OSError)


def test_paste(tmp_path: Path) -> None:
    pytest.importorskip("paste.deploy")
    file = tmp_path / "site.ini"
    file.write_text(
        "[app:main]\npaste.app_factory = monoceros.demo:nothing\n[loggers]\nkeys=root\n"
    )
    assert gunicorn.app.pasterapp.has_logging_config(str(file))
    with pytest.raises((AttributeError, LookupError, ImportError)):
        gunicorn.app.pasterapp.get_wsgi_app(f"config:{file}")


def test_the_kinds_of_metrics(log: Logger) -> None:
    found: list[object] = []
    statsd = importlib.import_module("gunicorn.instrument.statsd")
    logger = statsd.Statsd(EditableConfig())
    for kind in ("gauge", "increment", "histogram", "timer"):
        setattr(logger, kind, lambda name, value, kind=kind: found.append((kind, name, value)))
    for kind in (statsd.GAUGE_TYPE, statsd.COUNTER_TYPE, statsd.HISTOGRAM_TYPE, statsd.TIMER_TYPE):
        extra = {statsd.METRIC_VAR: "m", statsd.VALUE_VAR: 7, statsd.MTYPE_VAR: kind}
        logger.info("x", extra=extra)
    assert found == [(kind, "m", 7) for kind in ("gauge", "increment", "histogram", "timer")]
