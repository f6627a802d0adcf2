"""What the tests of the logs share: loggers are global, and every test leaves them as they were."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Protocol

import pytest

from monoceros.config import load
from monoceros.log import outputs
from monoceros.log.logger import Logger
from monoceros.log.statsd import Statsd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from monoceros.config import Config

_NAMES = ("gunicorn.error", "gunicorn.access", None)


class OpenLog(Protocol):
    """Make a logger whose files are in the test's directory; ``file`` is the configuration."""

    def __call__(self, *argv: str, file: str = "", cls: type[Logger] = Logger) -> Logger: ...


@pytest.fixture(autouse=True)
def _loggers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    loggers = [logging.getLogger(name) for name in _NAMES]
    before = [
        (log.level, log.propagate, log.disabled, log.handlers[:], log.filters[:]) for log in loggers
    ]
    yield
    for log, state in zip(loggers, before, strict=True):
        outputs.remove_own(log)
        for handler in log.handlers:
            if handler not in state[3]:
                handler.close()
        log.level, log.propagate, log.disabled, log.handlers, log.filters = state
        log.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The error log of a test."""
    return tmp_path / "error.log"


@pytest.fixture
def access_path(tmp_path: Path) -> Path:
    """The access log of a test, where there is one."""
    return tmp_path / "access.log"


@pytest.fixture
def make_cfg(tmp_path: Path, path: Path) -> Callable[..., Config]:
    """Load a configuration in the test's directory."""

    def make(*argv: str, file: str = "") -> Config:
        (tmp_path / "gunicorn.conf.py").write_text(file)
        return load(
            ["--error-logfile", str(path), *argv, "app:app"], {}, str(tmp_path), "monoceros"
        )

    return make


@pytest.fixture
def open_log(make_cfg: Callable[..., Config]) -> Iterator[OpenLog]:
    """Make loggers; see OpenLog."""
    opened: list[Logger] = []

    def open_log(*argv: str, file: str = "", cls: type[Logger] = Logger) -> Logger:
        opened.append(log := cls(make_cfg(*argv, file=file)))
        return log

    yield open_log
    for log in opened:
        if isinstance(log, Statsd):
            log.close()
