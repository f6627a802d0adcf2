"""Access formats as printf has them, which Gunicorn takes too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.log.layout import needs_percent
from tests.unit.log.support import call

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.log.conftest import OpenLog


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("%(s)5s|", "  200|"),
        ("%(h)-12s|", "192.0.2.7   |"),
        ("%(D)09d", "001500007"),
        ("%(L).3s", "1.5"),
        ("%(M)x %(U)r", "5dc '/p'"),
        ("%(M).1f", "1500.0"),
        ("%({request_method}e)s", "GET"),
        ("%({Request_Method}e)s", "GET"),
    ],
)
def test_laid_out(text: str, line: str, open_log: OpenLog, access_path: Path) -> None:
    log = open_log("--access-logfile", str(access_path), "--access-logformat", text)
    assert log.wants_access_calls()
    call(log)
    assert access_path.read_text() == line + "\n"


@pytest.mark.parametrize(
    "text",
    ["json", "%(h)s %(D)d %(T)i", "100%% of %(s)s", "100% %(s)s", "%({X}e)s %({x-y}i)s %({a}o)s"],
)
def test_plain(text: str, open_log: OpenLog) -> None:
    assert not needs_percent(text)
    log = open_log("--access-logfile", "access.log", "--access-logformat", text)
    assert not log.wants_access_calls()
