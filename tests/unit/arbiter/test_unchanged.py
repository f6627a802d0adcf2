"""What a reload cannot change, and when it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from monoceros.arbiter.unchanged import warn
from monoceros.config import Config, load
from monoceros.log.logger import Logger
from monoceros.log.statsd import Statsd

if TYPE_CHECKING:
    from pathlib import Path

STATSD = ("--statsd-host", "127.0.0.1:9")


@pytest.mark.parametrize(
    ("running", "first", "new", "named"),
    [
        (Logger, (), (), []),
        (Logger, (), STATSD, ["statsd_host"]),
        (Statsd, STATSD, (), []),
        (Statsd, STATSD, ("--statsd-host", "127.0.0.1:10"), []),
        (Logger, (), ("--logger-class", "monoceros.log.statsd.Statsd"), ["logger_class"]),
        (Statsd, ("--logger-class", "monoceros.log.statsd.Statsd"), (), ["logger_class"]),
        (Logger, (), ("--http-parser", "python", *STATSD), ["statsd_host", "http_parser"]),
        (Logger, ("--http-parser", "python"), ("--http-parser", "python"), []),
    ],
)
def test_what_is_named(
    running: type[Logger],
    first: tuple[str, ...],
    new: tuple[str, ...],
    named: list[str],
    tmp_path: Path,
) -> None:
    def make(argv: tuple[str, ...]) -> Config:
        return load([*argv, "app:app"], {}, str(tmp_path))

    log = Mock(spec=running)
    warn(log, make(first), make(new))
    assert [call.args[1] for call in log.warning.call_args_list] == named
