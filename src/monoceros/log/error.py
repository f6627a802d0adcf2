"""The error log: what the server itself has to say."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError
from monoceros.log.file import STANDARD, LogFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.config import Config

STDERR = 2
LOGGER = "gunicorn.error"
FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"


class ErrorLog:
    """The logger ``gunicorn.error``, writing in Gunicorn's form to ``errorlog``.

    Writing never raises: what the log does not take is dropped.
    """

    def __init__(self, cfg: Config) -> None:
        self.error_log = logging.getLogger(LOGGER)
        self.error_log.propagate = False
        self.setup(cfg)

    def setup(self, cfg: Config) -> None:
        """Take over a configuration; raises ConfigError where a log cannot be opened.

        Also creates the access log, and gives both to the user that workers run as.
        """
        file = _open(cfg, "errorlog", cfg.errorlog)
        prepare_access_log(cfg)
        self.cfg = cfg
        self._file = file
        self.stream = ErrorStream(file)
        self._replace_handler(_Handler(file))
        self.error_log.setLevel(cfg.loglevel.upper())

    def critical(self, msg: object, *args: object) -> None:
        """Log what ends the server or a worker."""
        self._logger().critical(msg, *args)

    def error(self, msg: object, *args: object) -> None:
        """Log what failed."""
        self._logger().error(msg, *args)

    def warning(self, msg: object, *args: object) -> None:
        """Log what an operator should know."""
        self._logger().warning(msg, *args)

    def info(self, msg: object, *args: object) -> None:
        """Log what the server does."""
        self._logger().info(msg, *args)

    def debug(self, msg: object, *args: object) -> None:
        """Log what helps to find a fault."""
        self._logger().debug(msg, *args)

    def exception(self, msg: object, *args: object) -> None:
        """Log what failed, with the traceback of the exception being handled."""
        self._logger().exception(msg, *args)

    def log(self, level: int | str, msg: object, *args: object) -> None:
        """Log at a level given by number or name."""
        number = logging.getLevelName(level.upper()) if isinstance(level, str) else level
        self._logger().log(number if isinstance(number, int) else logging.INFO, msg, *args)

    def reopen(self) -> None:
        """Open the log's path anew, as after a rotation; the old file stays where that fails."""
        if not self._file.reopen():
            self.error("errorlog: %r cannot be reopened", self._file.path)
        self._file.give_to(self.cfg.user, self.cfg.group)
        try:
            prepare_access_log(self.cfg)
        except ConfigError as error:
            self.error("%s", error)

    def _logger(self) -> logging.Logger:
        # logging.config disables all loggers that it was not told of, unless asked not to.
        self.error_log.disabled = False
        return self.error_log

    def _replace_handler(self, handler: _Handler) -> None:
        for old in list(self.error_log.handlers):
            if isinstance(old, _Handler):
                self.error_log.removeHandler(old)
                old.file.close()
        self.error_log.addHandler(handler)


class ErrorStream:
    """PEP 3333's ``wsgi.errors``: text that goes to the error log as it is."""

    def __init__(self, file: LogFile) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write at once; what the log does not take is dropped."""
        self._file.write(_encode(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all lines, adding nothing to them."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


class _Handler(logging.Handler):
    # close() leaves the file open: logging.config closes every handler that there is when an
    # application configures its own logging, and the number would next be a client's.

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self.file = file
        self.setFormatter(logging.Formatter(FORMAT, DATE_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        self.file.write(_encode(self._text(record) + "\n"))

    def _text(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # border: the arguments may be the application's objects
            record.msg = f"A message cannot be formatted ({type(error).__name__}): {record.msg!r}"
            record.args = record.exc_info = None
            return self.format(record)


def prepare_access_log(cfg: Config) -> None:
    """Create the access log for the workers, which may have less rights; raises ConfigError."""
    if cfg.accesslog and cfg.accesslog != STANDARD:
        _open(cfg, "accesslog", cfg.accesslog).close()


def _open(cfg: Config, name: str, path: str) -> LogFile:
    try:
        file = LogFile(path, STDERR)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"Invalid value for {name}: {path!r} ({reason}). "
            f"Allowed: a file that can be written. Set in: {cfg.origin(name)}."
        ) from error
    file.give_to(cfg.user, cfg.group)
    return file


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
