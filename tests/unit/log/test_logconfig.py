"""logging.config through the settings: which one counts, and what is wrong with it."""

from __future__ import annotations

import copy
import json
import logging
import logging.config
import os
from typing import TYPE_CHECKING

import pytest

from monoceros.errors import ConfigError
from monoceros.log.handlers import LogHandler
from monoceros.log.logger import CONFIG_DEFAULTS
from tests.unit.log.support import call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monoceros.config import Config
    from tests.unit.log.conftest import OpenLog


def to_file(name: str) -> dict[str, object]:
    """Return a configuration that writes both logs to a file."""
    loggers = ("gunicorn.error", "gunicorn.access")
    return {
        "version": 1,
        "root": {"level": "INFO"},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": name, "formatter": "f"}},
        "formatters": {"f": {"format": "%(name)s|%(message)s"}},
        "loggers": {
            logger: {"level": "INFO", "handlers": ["file"], "propagate": False}
            for logger in loggers
        },
    }


INI = """\
[loggers]
keys = root, error
[handlers]
keys = file
[formatters]
keys = f
[logger_root]
handlers =
[logger_error]
qualname = gunicorn.error
level = INFO
propagate = 0
handlers = file
[handler_file]
class = FileHandler
formatter = f
args = ("%(here)s/from_ini", "a")
[formatter_f]
format = %(name)s|%(message)s
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a configuration of each kind."""
    (tmp_path / "json").write_text(json.dumps(to_file("from_json")))
    (tmp_path / "ini").write_text(INI)
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        (("dict", "json", "ini"), "from_dict"),
        (("dict",), "from_dict"),
        (("json", "ini"), "from_json"),
        (("ini",), "from_ini"),
    ],
)
def test_precedence(
    settings: tuple[str, ...], written: str, files: Path, open_log: OpenLog, path: Path
) -> None:
    given = {
        "dict": f"logconfig_dict = {to_file('from_dict')!r}",
        "json": "logconfig_json = 'json'",
        "ini": "logconfig = 'ini'",
    }
    log = open_log(file="\n".join(given[name] for name in settings))
    log.info("seen")
    assert (files / written).read_text() == "gunicorn.error|seen\n"
    assert {one.name for one in files.glob("from_*")} == {written}
    assert path.read_text() == ""
    assert log.access_log_enabled


def test_access_goes_through_logging(open_log: OpenLog, tmp_path: Path) -> None:
    config = to_file("out") | {"formatters": {"f": {"format": "%(message)s"}}}
    log = open_log("--access-logformat", "%(U)s", file=f"logconfig_dict = {config!r}")
    assert log.wants_access_calls()
    call(log)
    assert (tmp_path / "out").read_text() == "/p\n"


def test_what_is_left_out_is_as_in_gunicorn(
    open_log: OpenLog, capfd: pytest.CaptureFixture[str]
) -> None:
    before = copy.deepcopy(CONFIG_DEFAULTS)
    log = open_log(file="logconfig_dict = {'root': {'level': 'INFO', 'handlers': []}}")
    logging.getLogger("gunicorn.access").info("an access")
    log.info("an error")
    out, err = capfd.readouterr()
    assert out.endswith("[INFO] an access\n")
    assert err.endswith("[INFO] an error\n")
    assert before == CONFIG_DEFAULTS


def test_disabling_loggers_does_not_silence_ours(open_log: OpenLog, tmp_path: Path) -> None:
    config = {"version": 1, "disable_existing_loggers": True, "root": {}, "loggers": {}}
    log = open_log(
        "--access-logfile",
        "access",
        "--access-logformat",
        "%(U)s",
        file=f"logconfig_dict = {config!r}",
    )
    log.info("seen")
    call(log)
    assert "seen" in (tmp_path / "error.log").read_text()
    assert (tmp_path / "access").read_text() == "/p\n"


def test_the_next_configuration_takes_it_back(open_log: OpenLog, path: Path) -> None:
    log = open_log(file=f"logconfig_dict = {to_file('out')!r}")
    log.setup(open_log().cfg)
    log.info("seen")
    assert [type(one) for one in log.error_log.handlers] == [LogHandler]
    assert "seen" in path.read_text()


def test_files_of_all_loggers_are_reopened(open_log: OpenLog, tmp_path: Path) -> None:
    log = open_log()
    handler = logging.FileHandler(tmp_path / "app", "w")
    logging.getLogger("some.app").addHandler(handler)
    try:
        stream = handler.stream
        assert stream is not None
        logging.getLogger("some.app").warning("one")
        log.reopen_files()  # nothing was moved: nothing may be lost
        logging.getLogger("some.app").warning("two")
        (tmp_path / "app").rename(tmp_path / "old")
        log.reopen_files()
        # A handler that was interrupted by the signal goes on with the stream that it has.
        stream.write("late\n")
        stream.flush()
        logging.getLogger("some.app").warning("three")
        assert (tmp_path / "old").read_text() == "one\ntwo\n"
        assert (tmp_path / "app").read_text() == "late\nthree\n"
        assert not os.get_inheritable(stream.fileno())
        assert handler.stream is stream
    finally:
        logging.getLogger("some.app").removeHandler(handler)
        handler.close()


def test_a_file_that_cannot_be_reopened_is_told(
    open_log: OpenLog, tmp_path: Path, path: Path
) -> None:
    log = open_log()
    (tmp_path / "there").mkdir()
    handler = logging.FileHandler(tmp_path / "there" / "app")
    logging.getLogger("some.app").addHandler(handler)
    try:
        (tmp_path / "there").rename(tmp_path / "gone")
        log.reopen_files()
        assert f"The log file '{tmp_path}/there/app' cannot be reopened: " in path.read_text()
        logging.getLogger("some.app").warning("still here")
        assert (tmp_path / "gone" / "app").read_text() == "still here\n"
    finally:
        logging.getLogger("some.app").removeHandler(handler)
        handler.close()


FAILURES = {
    "a file that is gone": "logconfig = 'no'",
    "a file with a mistake": "logconfig = 'bad'",
    "a file with an unknown handler": "logconfig = 'typo'",
    "an object with an unknown class": "logconfig_json = 'typo.json'",
    "a path that is not there": "accesslog = 'no/x.log'",
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=list(FAILURES))
@pytest.mark.parametrize("before", ["logconfig = 'ini'", ""])
def test_one_that_fails_changes_nothing(
    before: str, failure: str, files: Path, open_log: OpenLog, make_cfg: Callable[..., Config]
) -> None:
    (files / "bad").write_text("}")
    (files / "typo").write_text(INI.replace("handlers = file", "handlers = file, other"))
    broken = to_file("from_typo") | {"version": 1}
    broken["loggers"] = {"another": {"level": "DEBUG", "handlers": ["no"]}}
    (files / "typo.json").write_text(json.dumps(broken))
    open_log("--access-logfile", "access").info("before")
    log = open_log("--access-logfile", "access", file=before)
    application = logging.getLogger("an.application")
    application.setLevel("INFO")
    application.handlers = log.error_log.handlers
    other = logging.FileHandler(files / "other", "w")
    other.name = "file"
    application.addHandler(other)
    state = [(one.level, one.handlers[:], one.disabled) for one in (logging.root, log.access_log)]
    cfg, level = log.cfg, log.loglevel
    with pytest.raises(ConfigError):
        log.setup(make_cfg("--log-level", "error", file=failure))

    now = [(one.level, one.handlers[:], one.disabled) for one in (logging.root, log.access_log)]
    assert now == state
    assert (log.cfg, log.loglevel) == (cfg, level)
    log.info("still here")
    application.info("and here")
    call(log)
    written = (files / ("from_ini" if before else "error.log")).read_text()
    assert all(text in written for text in ("still here", "and here"))
    assert (files / "other").read_text() == "still here\nand here\n"
    assert (files / "access").read_text().count("\n") == 1
    assert application.handlers is log.error_log.handlers
    application.handlers = []
    other.close()


def test_handlers_of_before_are_closed_once_it_is_applied(
    open_log: OpenLog, make_cfg: Callable[..., Config], tmp_path: Path
) -> None:
    log = open_log(file=f"logconfig_dict = {to_file('one')!r}")
    before = log.error_log.handlers[0]
    log.setup(make_cfg(file=f"logconfig_dict = {to_file('two')!r}"))
    log.info("seen")
    assert isinstance(before, logging.FileHandler)
    assert before.stream is None
    assert (tmp_path / "two").read_text() == "gunicorn.error|seen\n"
    # An incremental one finds handlers by their names.
    more = {"version": 1, "incremental": True, "handlers": {"file": {"level": "ERROR"}}}
    logging.config.dictConfig(more)
    assert log.error_log.handlers[0].level == logging.ERROR


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("logconfig", "'no'", "'no' (No such file or directory)"),
        ("logconfig", "'bad'", "'bad' (MissingSectionHeaderError: "),
        ("logconfig_json", "'no'", "'no' (No such file or directory)"),
        ("logconfig_json", "'bad'", "'bad' (not JSON: "),
        ("logconfig_json", "'list'", "'list' (not an object)"),
        (
            "logconfig_dict",
            "{'handlers': {'console': {'class': 'no.Such'}}}",
            "... (ValueError: Unable to configure handler 'console', from ",
        ),
        ("logconfig_dict", "{'version': 2}", "... (ValueError: Unsupported version: 2)"),
    ],
)
def test_mistakes(
    setting: str, value: str, message: str, open_log: OpenLog, tmp_path: Path
) -> None:
    (tmp_path / "bad").write_text("}")
    (tmp_path / "list").write_text("[]")
    with pytest.raises(ConfigError) as caught:
        open_log(file=f"\n{setting} = {value}")
    text = str(caught.value)
    assert text.startswith(f"Invalid value for {setting}: {message}")
    assert text.endswith(f" Set in: {tmp_path}/gunicorn.conf.py:2.")
