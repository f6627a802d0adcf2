"""The handlers of a Logger: opened, looked through, reopened, captured into."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError
from monoceros.log.file import STDERR, STDOUT, LogFile, check_reader, give_away
from monoceros.log.handlers import AccessHandler, LogHandler
from monoceros.log.snapshot import names_kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

    from monoceros.config import Config
    from monoceros.http.access import AccessFormat
    from monoceros.log.handlers import LogStream
    from monoceros.log.logger import Logger
    from monoceros.log.protocols import LoggedResponse

Fresh = list[tuple[logging.Logger, logging.Handler]]


def open_all(logger: Logger, cfg: Config) -> Fresh:
    """Open what a configuration asks for, but for logging.config; raises ConfigError."""
    with contextlib.ExitStack() as undo:
        fresh: Fresh = []

        def add(log: logging.Logger, handler: logging.Handler) -> None:
            undo.callback(_dispose, handler)
            fresh.append((log, handler))

        file = open_file(cfg, "errorlog", cfg.errorlog)
        add(logger.error_log, LogHandler(file, logger.error_formatter(cfg, file.fd)))
        if cfg.accesslog:
            file = open_file(cfg, "accesslog", cfg.accesslog)
            add(logger.access_log, AccessHandler(file, logging.Formatter(logger.access_fmt)))
        if cfg.syslog:
            from monoceros.log.syslog import open_handlers

            for log, handler in open_handlers(logger, cfg):
                add(log, handler)
        undo.pop_all()
    return fresh


def open_handler(
    cfg: Config,
    name: str,
    output: str,
    formatter: logging.Formatter,
    stream: TextIO | LogStream | None,
) -> logging.Handler:
    """Return a handler for a path or ``-``, which may mean a stream; raises ConfigError."""
    if output == "-" and stream not in (None, sys.stdout, sys.stderr):
        handler: logging.Handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        handler._gunicorn = True  # type: ignore[attr-defined]
        return handler
    standard = STDOUT if stream is sys.stdout is not None else STDERR
    file = open_file(cfg, name, output, standard)
    return (AccessHandler if name == "accesslog" else LogHandler)(file, formatter)


def open_file(cfg: Config, name: str, path: str, standard: int | None = None) -> LogFile:
    """Open a log for the user that workers run as; raises ConfigError."""
    if standard is None:
        standard = STDOUT if name == "accesslog" else STDERR
    try:
        file = LogFile(path, standard)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"Invalid value for {name}: {path!r} ({reason}). "
            f"Allowed: a file that can be written. Set in: {cfg.origin(name)}."
        ) from error
    file.give_to(cfg.uid, cfg.gid)
    return file


def own_handler(log: logging.Logger) -> LogHandler | None:
    """Return the handler that ``setup`` gave to a logger, if it is still there."""
    return next((one for one in log.handlers if isinstance(one, LogHandler)), None)


def remove_own(log: logging.Logger) -> None:
    """Take away the handlers that are ours, and close them; those of others stay."""
    for handler in log.handlers[:]:
        if getattr(handler, "_gunicorn", False):
            log.removeHandler(handler)
            _dispose(handler)


def dispose(handlers: Fresh) -> None:
    """Close handlers, with the files of ours."""
    with names_kept():
        for handler in {one for _, one in handlers}:
            _dispose(handler)


def dispose_unused(handlers: Fresh) -> None:
    """Close those of the handlers that no logger has; what is ours also elsewhere than it was."""
    used = set(all_handlers())
    dispose(
        [
            (log, one)
            for log, one in handlers
            if one not in (log.handlers if isinstance(one, LogHandler) else used)
        ]
    )


def is_plain(log: logging.Logger, output: str | None) -> bool:
    """Whether a record of the access log could only end as its message in ``output``."""
    handlers = log.handlers
    if not output:
        return False
    return (
        type(log) is logging.Logger
        and len(handlers) == 1
        and type(handlers[0]) is AccessHandler
        and _is_untouched(handlers[0])
        and not log.filters
        and not log.propagate
        and log.getEffectiveLevel() <= logging.INFO
        and log.manager.disable < logging.INFO
    )


def json_line(
    lines: AccessFormat, resp: LoggedResponse, environ: Mapping[str, object], elapsed_us: int
) -> str:
    """Return a line of the JSON access log, without its newline."""
    import time

    from monoceros.http.access import Entry

    when = lines.format_time(time.time())
    entry = Entry(dict(environ), str(resp.status), list(resp.headers), resp.sent, elapsed_us, when)
    return lines.line(entry).decode("ascii").rstrip("\n")


def reopen_all(uid: int, gid: int) -> Iterator[tuple[str, str]]:
    """Reopen the file of each handler of each logger; yields path and reason of a failure.

    Root gives the files to the user that workers run as, who reopen them next.
    """
    for handler in set(all_handlers()):
        if isinstance(handler, LogHandler):
            if not handler.file.reopen():
                yield handler.file.path, handler.file.problem
            handler.file.give_to(uid, gid)
        elif isinstance(handler, logging.FileHandler):
            try:
                _reopen_handler(handler)
                give_handler(handler, uid, gid)
            except (OSError, ValueError) as error:
                yield handler.baseFilename, str(error)


def give_handler(handler: logging.FileHandler, uid: int, gid: int) -> None:
    """Give the file of a handler to a user; does nothing without root's rights."""
    if handler.stream is not None and os.geteuid() == 0:
        give_away(handler.stream.fileno(), handler.baseFilename, uid, gid)


def capture(fd: int) -> None:
    """Let everything that this process prints go to a log."""
    for stream, standard in ((sys.stdout, STDOUT), (sys.stderr, STDERR)):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
        os.dup2(fd, standard)
        if isinstance(stream, io.TextIOWrapper):
            # A file would get what is printed at the process's end only.
            stream.reconfigure(line_buffering=True)


def _is_untouched(handler: LogHandler) -> bool:
    formatter = handler.formatter
    return (
        formatter is handler.given_formatter
        and type(formatter) is logging.Formatter
        and formatter._fmt == "%(message)s"
        and handler.level <= logging.INFO
        and not handler.filters
        and getattr(handler.stream, "file", None) is handler.file
    )


def all_handlers() -> Iterator[logging.Handler]:
    """Yield the handlers of all loggers; one of several loggers comes several times."""
    yield from logging.root.handlers
    for log in list(logging.root.manager.loggerDict.values()):
        if isinstance(log, logging.Logger):
            yield from log.handlers


def _reopen_handler(handler: logging.FileHandler) -> None:
    stream = handler.stream
    if stream is None:
        return
    # After a rotation "w" would be the same, without one it would lose everything.
    handler.mode = handler.mode.replace("w", "a")
    stream.flush()
    check_reader(handler.baseFilename)
    fresh = handler._open()
    if type(fresh) is type(stream) is io.TextIOWrapper:
        # This may run inside of the handler's emit(), which goes on with the stream that it has.
        os.dup2(fresh.fileno(), stream.fileno(), inheritable=False)
        fresh.close()
    else:
        handler.stream = fresh
        stream.close()


def _dispose(handler: logging.Handler) -> None:
    if isinstance(handler, LogHandler):
        handler.file.close()
    handler.close()
