"""Which way a response takes into the access log, and what it looks like in ``logging``."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from monoceros.http.access import AccessFormat, Entry
from monoceros.log.logger import Logger, SafeAtoms
from tests.unit.log.support import ENVIRON, Response, call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from monoceros.log.protocols import Duration, LoggedRequest, LoggedResponse
    from tests.unit.log.conftest import OpenLog


class Keeper(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class OwnAccess(Logger):
    """Overrides access()."""

    def access(
        self,
        resp: LoggedResponse,
        req: LoggedRequest,
        environ: Mapping[str, object],
        request_time: Duration,
    ) -> None:
        if environ["PATH_INFO"] != "/health":
            super().access(resp, req, environ, request_time)


class OwnNow(Logger):
    """Overrides now()."""

    def now(self) -> str:
        return "[now]"


class OwnWrapper(Logger):
    """Replaces the dict of atoms."""

    atoms_wrapper_class = type("Atoms", (SafeAtoms,), {})


class OwnFormat(Logger):
    """Replaces the form of the access log."""

    access_fmt = "access: %(message)s"


class OwnHandler(Logger):
    """Replaces a handler's formatter after the fact, as recipes do."""

    def setup(self, cfg: object) -> None:
        super().setup(cfg)  # type: ignore[arg-type]
        self._set_handler(
            self.access_log, self.cfg.accesslog, logging.Formatter("%(asctime)s %(message)s")
        )


@pytest.mark.parametrize("cls", [OwnAccess, OwnNow, OwnWrapper, OwnFormat, OwnHandler])
def test_a_subclass_is_called(cls: type[Logger], open_log: OpenLog) -> None:
    log = open_log("--access-logfile", "access.log", cls=cls)
    assert log.wants_access_calls()
    assert log.access_sink() is None


def add_handler(log: logging.Logger) -> None:
    log.addHandler(Keeper())


def add_filter(log: logging.Logger) -> None:
    log.addFilter(lambda record: True)


def add_handler_filter(log: logging.Logger) -> None:
    log.handlers[0].addFilter(lambda record: True)


def change_formatter(log: logging.Logger) -> None:
    log.handlers[0].setFormatter(logging.Formatter("%(message)s"))


def change_stream(log: logging.Logger) -> None:
    handler = log.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(io.StringIO())


def propagate(log: logging.Logger) -> None:
    log.propagate = True


def silence(log: logging.Logger) -> None:
    log.setLevel(logging.WARNING)


def silence_handler(log: logging.Logger) -> None:
    log.handlers[0].setLevel(logging.WARNING)


def take_handlers(log: logging.Logger) -> None:
    log.handlers.clear()


@pytest.mark.parametrize(
    "change",
    [
        add_handler,
        add_filter,
        add_handler_filter,
        change_formatter,
        change_stream,
        propagate,
        silence,
        silence_handler,
        take_handlers,
    ],
)
def test_whoever_could_tell_is_called(
    change: Callable[[logging.Logger], None], open_log: OpenLog
) -> None:
    log = open_log("--access-logfile", "access.log")
    assert not log.wants_access_calls()
    change(log.access_log)
    assert log.wants_access_calls()
    assert log.access_sink() is None


def test_a_method_replaced_from_outside(open_log: OpenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()
    assert not log.wants_access_calls()
    monkeypatch.setattr(Logger, "access", lambda *args: None)
    assert log.wants_access_calls()


def test_nobody_is_called_for_nothing(open_log: OpenLog) -> None:
    log = open_log(cls=OwnNow)
    log.access_log.addHandler(Keeper())
    assert not log.access_log_enabled
    assert not log.wants_access_calls()
    assert log.access_sink() is None


def test_the_sink_is_the_handlers_file(
    open_log: OpenLog, access_path: Path, tmp_path: Path
) -> None:
    log = open_log("--access-logfile", str(access_path))
    sink = log.access_sink()
    assert sink is not None
    access_path.rename(tmp_path / "old")
    log.reopen_files()
    sink.write(b"line\n")
    assert access_path.read_bytes() == b"line\n"


def test_records_carry_the_atoms(open_log: OpenLog) -> None:
    log = open_log("--access-logfile", "access.log")
    keeper = Keeper()
    log.access_log.addHandler(keeper)
    # Disabled is what a dictConfig leaves behind that does not name the logger.
    log.access_log.disabled = True
    call(log, headers=(("X-ID", "7"),))
    (record,) = keeper.records
    assert record.msg == log.cfg.access_log_format
    assert isinstance(record.args, dict)
    assert (record.args["U"], record.args["{x-id}i"]) == ("/p", "7")
    assert record.args["{nothing}i"] == "-"
    assert record.name == "gunicorn.access"
    assert record.levelno == logging.INFO
    assert record.getMessage().endswith('"GET /p?q=1 HTTP/1.1" 200 5 "-" "probe/1"')


def test_a_subclass_leaves_paths_out(open_log: OpenLog, access_path: Path) -> None:
    log = open_log(
        "--access-logfile", str(access_path), "--access-logformat", "%(U)s", cls=OwnAccess
    )
    call(log, PATH_INFO="/health")
    call(log)
    assert access_path.read_text() == "/p\n"


def test_access_never_raises(open_log: OpenLog, path: Path) -> None:
    log = open_log("--access-logfile", "access.log")
    log.access(None, None, ENVIRON, None)  # type: ignore[arg-type]
    assert "[ERROR] A line of the access log cannot be written\nTraceback" in path.read_text()


def test_a_format_with_mistakes(open_log: OpenLog, access_path: Path) -> None:
    log = open_log("--access-logfile", str(access_path), "--access-logformat", "%(U)s %(nix")
    call(log)
    assert access_path.read_text() == (
        "A message cannot be formatted (ValueError): '%(U)s %(nix'\n"
    )


def test_skipped_paths(open_log: OpenLog, access_path: Path) -> None:
    log = open_log(
        "--access-logfile",
        str(access_path),
        "--access-logformat",
        "%(U)s %(s)s",
        file="access_log_skip = ['/health', '/probe/*']",
    )
    for route in ("/health", "/health/x", "/probe/1"):
        call(log, PATH_INFO=route)
        call(log, "503 Busy", PATH_INFO=route)
    assert access_path.read_text().splitlines() == [
        "/health 503",
        "/health/x 200",
        "/health/x 503",
        "/probe/1 503",
    ]


def test_json_is_that_of_the_fast_path(open_log: OpenLog, access_path: Path) -> None:
    log = open_log("--access-logfile", str(access_path), "--access-logformat", "json")
    keeper = Keeper()
    log.access_log.addHandler(keeper)
    referer, route = '50%s"\n\x00\xc3\xa9\xff', "/\xc3\xa9"
    environ = {**ENVIRON, "HTTP_REFERER": referer, "PATH_INFO": route}
    call(log, HTTP_REFERER=referer, PATH_INFO=route)
    fields = json.loads(access_path.read_text())
    entry = Entry(environ, "200 OK", Response().headers, 5, 1_500_007, fields["time"])
    assert fields == json.loads(AccessFormat("json").line(entry))
    assert (fields["path"], fields["status"], fields["user"]) == ("/é", 200, None)
    assert isinstance(keeper.records[0].args, dict)
    assert keeper.records[0].getMessage() == access_path.read_text().rstrip("\n")
