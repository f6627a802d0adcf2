"""``wsgi.errors``: to wherever the error log goes."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.unit.log.conftest import OpenLog


class Broken(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError("no space")


def test_text_stays_as_it_is_in_each_stream(open_log: OpenLog, path: Path) -> None:
    log = open_log()
    other = io.StringIO()
    for stream in (Broken(), other):
        log.error_log.addHandler(logging.StreamHandler(stream))
    log.error_log.addHandler(logging.NullHandler())
    assert log.stream.write("half a \x1b line\ud800") == 14
    assert path.read_text() == "half a \x1b line\\ud800"
    assert other.getvalue() == "half a \x1b line\ud800"


def test_without_a_stream_it_is_the_standard_error(
    open_log: OpenLog, capfd: pytest.CaptureFixture[str]
) -> None:
    log = open_log()
    log.error_log.handlers = [logging.NullHandler()]
    log.stream.write("text")
    assert capfd.readouterr().err == "text"
