"""The logger: Gunicorn's form, and nothing that an application can break."""

from __future__ import annotations

import logging
import logging.config
import os
import re
from typing import TYPE_CHECKING

import pytest

from monoceros.config import load
from monoceros.errors import ConfigError
from monoceros.log.logger import Logger

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.log.conftest import OpenLog


LINE = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[%d\] \[%s\] %s\n"


def test_form_of_a_line(open_log: OpenLog, path: Path) -> None:
    log = open_log()
    log.info("Listening at: %s (%s)", "http://127.0.0.1:8000", 7)
    expected = LINE % (os.getpid(), "INFO", r"Listening at: http://127\.0\.0\.1:8000 \(7\)")
    assert re.fullmatch(expected, path.read_text())


def test_levels(open_log: OpenLog, path: Path) -> None:
    log = open_log("--log-level", "WARNING")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("at %s", level)
    log.log("Error", "by name")
    log.log(logging.CRITICAL, "by number")
    log.log("invented", "as info")
    found = re.findall(r"\[([A-Z]+)\] (.*)", path.read_text())
    assert found == [
        ("WARNING", "at warning"),
        ("ERROR", "at error"),
        ("CRITICAL", "at critical"),
        ("ERROR", "by name"),
        ("CRITICAL", "by number"),
    ]


def test_exceptions_have_their_traceback(open_log: OpenLog, path: Path) -> None:
    log = open_log()
    try:
        raise LookupError("gone")
    except LookupError:
        log.exception("Exception in worker process")
    text = path.read_text()
    assert "[ERROR] Exception in worker process\nTraceback (most recent call last):\n" in text
    assert text.endswith("LookupError: gone\n")


def test_the_standard_error_output(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Logger(load([], {}, str(tmp_path))).warning("seen")
    assert capfd.readouterr().err.endswith("[WARNING] seen\n")


def test_one_log_at_a_time(open_log: OpenLog, path: Path) -> None:
    open_log()
    open_log().info("once")
    assert path.read_text().count("once") == 1


def test_handlers_of_others_stay(open_log: OpenLog, path: Path) -> None:
    log = open_log()
    other = logging.NullHandler()
    log.error_log.addHandler(other)
    log.setup(log.cfg)
    assert other in log.error_log.handlers
    assert len(log.error_log.handlers) == 2


def test_setup_moves_to_another_file(open_log: OpenLog, path: Path, tmp_path: Path) -> None:
    log = open_log()
    other = tmp_path / "other.log"
    log.setup(load(["--log-file", str(other), "--log-level", "error"], {}, str(tmp_path)))
    log.info("hidden")
    log.error("shown")
    assert path.read_text() == ""
    assert "shown" in other.read_text()
    assert "hidden" not in other.read_text()


def test_setup_that_fails_keeps_the_old_file(open_log: OpenLog, path: Path, tmp_path: Path) -> None:
    log = open_log()
    with pytest.raises(ConfigError):
        log.setup(load(["--log-file", str(tmp_path / "no" / "x")], {}, str(tmp_path)))
    log.info("still here")
    assert "still here" in path.read_text()


def test_reopen(open_log: OpenLog, path: Path, tmp_path: Path) -> None:
    log = open_log()
    path.rename(tmp_path / "old.log")
    log.reopen_files()
    log.info("after")
    assert "after" in path.read_text()
    assert (tmp_path / "old.log").read_text() == ""


def test_reopen_creates_the_access_log(open_log: OpenLog, path: Path, tmp_path: Path) -> None:
    access = tmp_path / "access.log"
    log = open_log("--access-logfile", str(access))
    access.unlink()
    log.reopen_files()
    assert access.exists()


def test_reopen_that_fails_is_told(open_log: OpenLog, tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    log = open_log(
        "--log-file",
        str(directory / "error.log"),
        "--access-logfile",
        str(directory / "access.log"),
    )
    directory.rename(tmp_path / "moved")
    log.reopen_files()
    text = (tmp_path / "moved" / "error.log").read_text()
    assert f"{directory}/error.log' cannot be reopened: No such file or directory" in text
    assert "cannot be reopened" in text
    assert f"{directory}/access.log' cannot be reopened" in text


@pytest.mark.parametrize("name", ["errorlog", "accesslog"])
def test_a_log_that_cannot_be_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(f"{name} = '{tmp_path}/no/x.log'\n")
    with pytest.raises(ConfigError) as caught:
        Logger(load([], {}, str(tmp_path)))
    assert str(caught.value) == (
        f"Invalid value for {name}: '{tmp_path}/no/x.log' (No such file or directory). "
        f"Allowed: a file that can be written. Set in: {tmp_path}/gunicorn.conf.py:1."
    )


class Unspeakable:
    """An object without a usable text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_message_that_cannot_be_formatted(open_log: OpenLog, path: Path) -> None:
    log = open_log()
    log.error("too few: %s %s", 1)
    log.error("object: %s", Unspeakable())
    lines = path.read_text().splitlines()
    assert lines[0].endswith("A message cannot be formatted (TypeError): 'too few: %s %s'")
    assert lines[1].endswith("A message cannot be formatted (RuntimeError): 'object: %s'")


def test_text_that_cannot_be_encoded(open_log: OpenLog, path: Path) -> None:
    open_log().error("half \ud800 pair")
    assert path.read_text().endswith("half \\ud800 pair\n")


def test_an_application_configures_logging(open_log: OpenLog, path: Path) -> None:
    log = open_log()
    # Both are what an application's own dictConfig does: it disables every logger that it does
    # not name, and closes every handler that there is.
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    assert log.error_log.disabled
    log.error("still here")
    assert path.read_text().endswith("still here\n")


def test_the_errors_stream(open_log: OpenLog, path: Path) -> None:
    stream = open_log().stream
    assert stream.write("a\ud800") == 2
    stream.writelines(["b", "\n"])
    stream.flush()
    assert path.read_text() == "a\\ud800b\n"
