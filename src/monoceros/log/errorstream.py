"""PEP 3333's ``wsgi.errors``: text that an application writes into the error log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from monoceros.log.file import STANDARD, STDERR, LogFile
from monoceros.log.formatters import JsonFormatter
from monoceros.log.handlers import LogStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOGGER = "wsgi.errors"


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


class ErrorStream:
    """Writes to the streams of the error log's handlers as they are at the time.

    The text is left as it is, but for a handler that writes JSON: there each line with anything
    on it is a record of the logger ``wsgi.errors``.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._fallback = LogStream(LogFile(STANDARD, STDERR))

    def write(self, text: str) -> int:
        """Write at once; what the log does not take is dropped."""
        reached = False
        for handler in self._log.handlers:
            stream: _Writable | None = getattr(handler, "stream", None)
            if isinstance(handler.formatter, JsonFormatter):
                _write_records(handler, text)
            elif stream is not None:
                _write(stream, text)
            else:
                continue
            reached = True
        if not reached:
            self._fallback.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all lines, adding nothing to them."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


def _write(stream: _Writable, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except Exception:  # border: the stream may be anybody's, and a full disk stops no request
        return


def _write_records(handler: logging.Handler, text: str) -> None:
    for line in _lines(text):
        handler.handle(logging.LogRecord(LOGGER, logging.ERROR, "", 0, line, None, None))


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if line.strip())
