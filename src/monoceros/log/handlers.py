"""The handlers of both logs: whole lines into a ``LogFile``, whatever happens.

They are StreamHandlers for everybody who looks at them: third parties read ``stream``,
``formatter`` and ``level``, and hang the handlers of ``gunicorn.error`` on loggers of their own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from monoceros.log.access import AccessSink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.log.file import LogFile

    _StreamHandler = logging.StreamHandler["LogStream"]
else:
    # Only from Python 3.11 on it takes a type in brackets.
    _StreamHandler = logging.StreamHandler


class LogStream:
    """A log's file as a text stream; what it does not take is dropped."""

    encoding = "utf-8"
    closed = False

    def __init__(self, file: LogFile) -> None:
        self.file = file

    @property
    def name(self) -> str:
        """The path, as files have it."""
        return self.file.path

    def write(self, text: str) -> int:
        """Write at once."""
        self.file.write_lines(encode(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all lines, adding nothing to them."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Do nothing: the logger closes the file when it takes another one."""

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.file.fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.file.is_terminal()

    def writable(self) -> bool:
        """Return True."""
        return True


class LogHandler(_StreamHandler):
    """Writes each record with one call; a message that cannot be formatted says so.

    close() leaves the file open: logging.config closes every handler that there is when an
    application configures its own logging, and the number would next be a client's.
    """

    _gunicorn = True

    def __init__(self, file: LogFile, formatter: logging.Formatter) -> None:
        super().__init__(LogStream(file))
        self.file = file
        self.given_formatter = formatter
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if not isinstance(self.stream, LogStream):  # somebody called setStream()
            super().emit(record)
            return
        self.stream.file.write_lines(self._encode(record, self.format(record) + self.terminator))

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, or what is wrong with it."""
        try:
            return super().format(record)
        except Exception as error:  # border: the arguments may be the application's objects
            return super().format(_explain(record, error))

    def _encode(self, record: logging.LogRecord, text: str) -> bytes:
        return encode(text)


class AccessHandler(LogHandler):
    """Writes lines of atoms in the octets that the client sent, as the fast path does."""

    def sink(self) -> AccessSink:
        """Return the file for whoever formats lines without this handler."""
        return AccessSink(self.file.path, self.file)

    def _encode(self, record: logging.LogRecord, text: str) -> bytes:
        if isinstance(record.args, dict):
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                return _encode_octets(text)
        return encode(text)


def encode(text: str) -> bytes:
    """Return text as UTF-8; what cannot be encoded is written out."""
    return text.encode("utf-8", "backslashreplace")


def _encode_octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no octet
        return encode(text)


def _explain(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    attributes: dict[str, Any] = dict(record.__dict__)
    attributes.update(
        msg=f"A message cannot be formatted ({type(error).__name__}): {record.msg!r}",
        args=None,
        exc_info=None,
        exc_text=None,
        stack_info=None,
    )
    return logging.makeLogRecord(attributes)
