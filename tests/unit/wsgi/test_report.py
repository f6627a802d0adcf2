"""How loud the HTTP layer's reports are."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from monoceros.http.errors import BadRequest
from monoceros.wsgi.report import Reporter

if TYPE_CHECKING:
    from monoceros.log.logger import Logger


class Levels:
    """A logger that keeps the level of what it was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, msg: str, *args: object) -> None:
        self.lines.append(("info", msg % args))

    def warning(self, msg: str, *args: object) -> None:
        self.lines.append(("warning", msg % args))


@pytest.mark.parametrize(("status", "level"), [(400, "info"), (431, "info"), (500, "warning")])
def test_what_is_not_the_clients_fault_is_a_warning(status: int, level: str) -> None:
    log = Levels()
    reporter = Reporter(cast("Logger", log), None, None)
    reporter.refused("192.0.2.1", BadRequest(status, "a reason"))
    assert log.lines == [(level, f"Invalid request from ip=192.0.2.1: {status} a reason")]
