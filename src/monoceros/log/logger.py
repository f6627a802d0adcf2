"""The logger: ``gunicorn.error`` and ``gunicorn.access``, under the names that recipes override.

Theory of operation. The arbiter makes one Logger and its workers inherit it. ``setup`` opens the
files and may run again at a reload; ``reopen_files`` follows a rotation in each process.

There are two ways for a response into the access log. The fast path formats lines beside the
parser and writes them to ``access_sink``; it never calls ``logging``. Where anybody could tell the
difference, ``wants_access_calls`` says so, and each request goes through ``access``.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from monoceros.log import outputs
from monoceros.log.atoms import SafeAtoms, make_atoms, microseconds
from monoceros.log.defaults import CONFIG_DEFAULTS
from monoceros.log.errorstream import ErrorStream
from monoceros.log.formatters import ColourFormatter, JsonFormatter, wants_colour
from monoceros.log.handlers import AccessHandler, LogHandler
from monoceros.log.layout import needs_percent
from monoceros.log.snapshot import undone_on_failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from monoceros.config import Config
    from monoceros.http.access import AccessFormat
    from monoceros.log.access import AccessSink
    from monoceros.log.handlers import LogStream
    from monoceros.log.protocols import Duration, LoggedRequest, LoggedResponse

__all__ = ["CONFIG_DEFAULTS", "Logger", "SafeAtoms"]


class Logger:
    """Both logs of one process, in Gunicorn's shape.

    Writing never raises and never waits for long: what a log does not take is dropped.
    """

    LOG_LEVELS = {  # noqa: RUF012 (recipes replace it, nobody writes to it)
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
    }
    loglevel = logging.INFO

    error_fmt = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
    datefmt = "[%Y-%m-%d %H:%M:%S %z]"
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"

    atoms_wrapper_class: type[SafeAtoms] = SafeAtoms

    _format: AccessFormat | None = None
    _configured: tuple[tuple[logging.Logger, logging.Handler], ...] = ()
    _captures = False

    def __init__(self, cfg: Config) -> None:
        """Open the logs; raises ConfigError."""
        self.error_log = logging.getLogger("gunicorn.error")
        self.error_log.propagate = False
        self.access_log = logging.getLogger("gunicorn.access")
        self.access_log.propagate = False
        self.stream = ErrorStream(self.error_log)
        self.cfg = cfg
        self.setup(cfg)

    @classmethod
    def install(cls) -> None:
        """Do nothing; for subclasses that prepare something before the first instance."""

    def setup(self, cfg: Config) -> None:
        """Take over a configuration; raises ConfigError, and then changes nothing."""
        fresh = outputs.open_all(self, cfg)
        error_handler = fresh[0][1]
        try:
            with undone_on_failure():
                replaced = self._detach()
                self._attach(fresh, cfg)
                configured = _apply_logconfig(cfg, (self.error_log, self.access_log))
        except BaseException:
            outputs.dispose(fresh)
            raise
        self.cfg = cfg
        self._format = None
        self.loglevel = self._level(cfg)
        self._configured = configured
        self._capture(cfg, error_handler)
        outputs.dispose_unused([*replaced, *fresh])

    # -- the error log

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what ends the server or a worker."""
        self._error_logger().critical(msg, *args, **kwargs)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what failed."""
        self._error_logger().error(msg, *args, **kwargs)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what an operator should know."""
        self._error_logger().warning(msg, *args, **kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what the server does."""
        self._error_logger().info(msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what helps to find a fault."""
        self._error_logger().debug(msg, *args, **kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what failed, with the traceback of the exception being handled."""
        self._error_logger().exception(msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        """Log at a level given by number or name."""
        if isinstance(lvl, str):
            lvl = self.LOG_LEVELS.get(lvl.lower(), logging.INFO)
        self._error_logger().log(lvl, msg, *args, **kwargs)

    def _error_logger(self) -> logging.Logger:
        # logging.config disables all loggers that it was not told of, unless asked not to.
        self.error_log.disabled = False
        return self.error_log

    # -- the access log

    @property
    def access_log_enabled(self) -> bool:
        """Whether responses are logged at all."""
        cfg = self.cfg
        return bool(
            cfg.accesslog
            or cfg.logconfig
            or cfg.logconfig_dict
            or cfg.logconfig_json
            or (cfg.syslog and not cfg.disable_redirect_access_to_syslog)
        )

    def access(
        self,
        resp: LoggedResponse,
        req: LoggedRequest,
        environ: Mapping[str, object],
        request_time: Duration,
    ) -> None:
        """Log one response; ``args`` of the record is the dict of atoms."""
        if not self.access_log_enabled:
            return
        try:
            self._log_access(resp, req, environ, request_time)
        except Exception:  # border: atoms are the application's objects, handlers the user's
            self.exception("A line of the access log cannot be written")

    def atoms(
        self,
        resp: LoggedResponse,
        req: LoggedRequest,
        environ: Mapping[str, object],
        request_time: Duration,
    ) -> dict[str, object]:
        """Return what the names in ``access_log_format`` stand for, not yet escaped."""
        return make_atoms(resp, req, environ, request_time, self.now())

    def now(self) -> str:
        """Return the time as the Common Log Format has it."""
        import time

        from monoceros.http.access import format_time

        return format_time(time.time())

    def wants_access_calls(self) -> bool:
        """Whether each request must go through ``access``, because somebody may see it there.

        Handlers and filters count as they are at the time of the call.
        """
        cls = type(self)
        if cls.access is not _ACCESS:
            return True
        if not self.access_log_enabled:
            return False
        is_own = (cls.atoms, cls.now, cls.atoms_wrapper_class) == (_ATOMS, _NOW, SafeAtoms)
        is_plain = is_own and outputs.is_plain(self.access_log, self.cfg.accesslog)
        return not is_plain or needs_percent(self.cfg.access_log_format)

    def access_sink(self) -> AccessSink | None:
        """Return what the fast path writes to; None where it has nothing to write."""
        if not self.access_log_enabled or self.wants_access_calls():
            return None
        handler = outputs.own_handler(self.access_log)
        return handler.sink() if isinstance(handler, AccessHandler) else None

    def _log_access(
        self,
        resp: LoggedResponse,
        req: LoggedRequest,
        environ: Mapping[str, object],
        request_time: Duration,
    ) -> None:
        lines = self._access_format()
        if lines.skips(dict(environ), str(resp.status)):
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        message = self.cfg.access_log_format
        if lines.is_json:
            text = outputs.json_line(lines, resp, environ, microseconds(request_time))
            # The record's text is made from the message and the atoms, also in other handlers.
            message = text.replace("%", "%%")
        self.access_log.disabled = False
        self.access_log.info(message, atoms)

    def _access_format(self) -> AccessFormat:
        if self._format is None:
            from monoceros.http.access import AccessFormat

            self._format = AccessFormat(self.cfg.access_log_format, self.cfg.access_log_skip)
        return self._format

    # -- files

    def reopen_files(self) -> None:
        """Open all log files of this process anew, as after a rotation; a failure is logged."""
        for path, error in outputs.reopen_all(self.cfg.uid, self.cfg.gid):
            self.error("The log file %r cannot be reopened: %s", path, error)
        if self._captures:
            self._capture(self.cfg, outputs.own_handler(self.error_log))

    def close_on_exec(self) -> None:
        """Keep the files from programs that this process becomes; they are opened that way."""

    def error_formatter(self, cfg: Config, fd: int = -1) -> logging.Formatter:
        """Return what formats the error log; ``fd`` tells terminals, which get colours."""
        if cfg.log_format == "json":
            return JsonFormatter()
        coloured = fd >= 0 and wants_colour(fd, os.environ)
        return (ColourFormatter if coloured else logging.Formatter)(self.error_fmt, self.datefmt)

    def _set_handler(
        self,
        log: logging.Logger,
        output: str | None,
        fmt: logging.Formatter,
        stream: TextIO | LogStream | None = None,
    ) -> None:
        """Replace our handler of a logger; without an output there is none afterwards."""
        name = "accesslog" if log is self.access_log else "errorlog"
        fresh = None
        if output is not None:
            fresh = outputs.open_handler(self.cfg, name, output, fmt, stream)
        outputs.remove_own(log)
        if fresh is not None:
            log.addHandler(fresh)

    def _get_gunicorn_handler(self, log: logging.Logger) -> logging.Handler | None:
        """Return our handler of a logger."""
        return next((one for one in log.handlers if getattr(one, "_gunicorn", False)), None)

    def _capture(self, cfg: Config, handler: logging.Handler | None) -> None:
        is_file = isinstance(handler, LogHandler) and not handler.file.is_standard
        if self._captures and not (cfg.capture_output and is_file):
            self.warning("capture_output is not given up before the next start")
        elif cfg.capture_output and isinstance(handler, LogHandler) and is_file:
            outputs.capture(handler.file.fd)
            self._captures = True

    def _detach(self) -> outputs.Fresh:
        """Take away the handlers that came from a configuration, and return them."""
        own = [
            (log, one)
            for log in (self.error_log, self.access_log)
            for one in log.handlers
            if getattr(one, "_gunicorn", False)
        ]
        for log, _ in self._configured:
            log.propagate = False
        for log, handler in (*own, *self._configured):
            log.removeHandler(handler)
        return [*own, *self._configured]

    def _level(self, cfg: Config) -> int:
        return self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)

    def _attach(self, fresh: outputs.Fresh, cfg: Config) -> None:
        self.error_log.setLevel(self._level(cfg))
        self.access_log.setLevel(logging.INFO)
        for log, handler in fresh:
            log.addHandler(handler)


def _apply_logconfig(
    cfg: Config, logs: tuple[logging.Logger, ...]
) -> tuple[tuple[logging.Logger, logging.Handler], ...]:
    """Apply what is meant for logging.config, and return the handlers that have come by it."""
    if not (cfg.logconfig_dict or cfg.logconfig_json or cfg.logconfig):
        return ()
    from monoceros.log import logconfig

    before = [(log, one) for log in logs for one in log.handlers]
    logconfig.apply(cfg)
    return tuple((log, one) for log in logs for one in log.handlers if (log, one) not in before)


# What a subclass, or somebody who replaces a method from outside, has overridden.
_ACCESS = Logger.access
_ATOMS = Logger.atoms
_NOW = Logger.now
