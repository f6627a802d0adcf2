"""The error log as JSON, and in colour."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from monoceros.log.formatters import wants_colour

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.log.conftest import OpenLog


def test_json(open_log: OpenLog, path: Path) -> None:
    log = open_log("--log-format", "json")
    log.info("Listening at: %s", "here")
    (line,) = path.read_text().splitlines()
    fields = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", fields.pop("time"))
    assert fields == {
        "level": "INFO",
        "logger": "gunicorn.error",
        "pid": os.getpid(),
        "message": "Listening at: here",
    }


def test_json_with_a_traceback(open_log: OpenLog, path: Path) -> None:
    log = open_log("--log-format", "json")
    try:
        raise LookupError("gone\n\ud800")
    except LookupError:
        log.exception("failed")
    fields = json.loads(path.read_text())
    assert fields["message"] == "failed"
    assert fields["exception"].startswith("Traceback (most recent call last):\n")
    assert fields["exception"].endswith("LookupError: gone\n\\ud800")


@pytest.mark.parametrize(
    "text",
    ["a\nb", '"', "\\", "\x00\x1b[31m\x7f", "\ud800", "x\udcff", "\u2028", "\U0001f984", "%s", "{"],
)
def test_any_text_is_one_line_of_json(open_log: OpenLog, path: Path, text: str) -> None:
    open_log("--log-format", "json").error(text)
    line = path.read_bytes()
    assert line.count(b"\n") == 1
    assert line.isascii()
    message = json.loads(line)["message"]
    assert message == text.encode("utf-8", "backslashreplace").decode()


def test_json_of_a_message_that_cannot_be_formatted(open_log: OpenLog, path: Path) -> None:
    open_log("--log-format", "json").error("two: %s %s", 1)
    message = json.loads(path.read_text())["message"]
    assert message == "A message cannot be formatted (TypeError): 'two: %s %s'"


def test_what_applications_write_is_json_too(open_log: OpenLog, path: Path) -> None:
    log = open_log("--log-format", "json")
    print("first\n\nsecond\x00", file=log.stream)
    fields = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(one["logger"], one["level"], one["message"]) for one in fields] == [
        ("wsgi.errors", "ERROR", "first"),
        ("wsgi.errors", "ERROR", "second\x00"),
    ]


@pytest.mark.parametrize(
    ("environ", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals(environ: dict[str, str], colour: bool) -> None:
    ours, theirs = pty.openpty()
    assert wants_colour(theirs, environ) is colour
    os.close(ours)
    os.close(theirs)


def test_no_colour_elsewhere(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert not wants_colour(file.fileno(), {"TERM": "xterm"})


def test_only_the_level_is_coloured(
    open_log: OpenLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain = tmp_path / "plain"
    ours, theirs = pty.openpty()
    with closing(os.fdopen(ours, "rb", 0)) as reader, closing(os.fdopen(theirs, "wb", 0)) as writer:
        log = open_log("--log-file", os.ttyname(writer.fileno()))
        other = logging.FileHandler(plain)
        other.setFormatter(logging.Formatter(log.error_fmt, log.datefmt))
        log.error_log.addHandler(other)
        log.warning("careful")
        line = reader.read(1000).decode()
        assert "[\x1b[33mWARNING\x1b[0m] careful" in line
        assert re.sub(r"\x1b\[\d*m", "", line).rstrip() == plain.read_text().rstrip()
        other.close()
        log.error_log.removeHandler(other)
        log.setup(log.cfg.again())
