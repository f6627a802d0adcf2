"""The forms of the error log beside plain text: JSON, and colour for terminals."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLOURS = {
    logging.DEBUG: "2",
    logging.INFO: "32",
    logging.WARNING: "33",
    logging.ERROR: "31",
    logging.CRITICAL: "1;31",
}


class JsonFormatter(logging.Formatter):
    """One object per record, in pure ASCII, which every parser takes whatever was logged."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object without a newline; raises what the arguments raise."""
        import json

        fields: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": _clean(record.getMessage()),
        }
        if exception := self._exception(record):
            fields["exception"] = _clean(exception)
        return json.dumps(fields)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time as ISO 8601, with milliseconds and offset."""
        local = time.localtime(record.created)
        zone = time.strftime("%z", local)
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", local)
        return f"{seconds}.{int(record.msecs):03}{zone[:3]}:{zone[3:]}"

    def _exception(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info and record.exc_info[0]:
            parts.append(self.formatException(record.exc_info))
        elif record.exc_text:
            parts.append(record.exc_text)
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return "\n".join(parts)


class ColourFormatter(logging.Formatter):
    """Plain text with the level's name in colour."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line, leaving the record as it was."""
        name = record.levelname
        colour = _COLOURS.get(record.levelno, "0")
        record.levelname = f"\x1b[{colour}m{name}\x1b[0m"
        try:
            return super().formatMessage(record)
        finally:
            record.levelname = name


def wants_colour(fd: int, environ: Mapping[str, str]) -> bool:
    """Whether ``fd`` is a terminal and nobody asked for plain text (no-color.org)."""
    return os.isatty(fd) and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _clean(text: str) -> str:
    # Half a surrogate pair is refused by strict parsers even where it is escaped.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
