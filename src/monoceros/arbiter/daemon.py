"""The setting ``daemon``: leaving terminal, session and parent before the server begins.

The working directory stays, so that relative paths go on to mean the same files.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError
from monoceros.unpatched import fork

if TYPE_CHECKING:
    from monoceros.config import Config

UMASK = 0o22  # as Gunicorn: what a daemon creates is writable for nobody else
UPGRADE_VARIABLE = "GUNICORN_FD"  # names the sockets of a server that this one takes over from


def detach(cfg: Config) -> None:
    """Go on as a daemon; every process in between exits with 0.

    Raises ConfigError, while there is somebody to read it, where the error log cannot be opened.
    """
    if UPGRADE_VARIABLE in cfg.environ:
        return
    _check_error_log(cfg)
    sys.stdout.flush()
    sys.stderr.flush()
    _continue_in_child()
    os.setsid()
    # A process that leads no session can never get a terminal back.
    _continue_in_child()
    os.umask(UMASK)
    _redirect(cfg)


def _continue_in_child() -> None:
    if fork():
        os._exit(0)


def _redirect(cfg: Config) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    for fd in (1, 2):
        if not cfg.enable_stdio_inheritance or os.isatty(fd):
            os.dup2(null, fd)
    if null > 2:
        os.close(null)


def _check_error_log(cfg: Config) -> None:
    if cfg.errorlog == "-":
        if not _is_heard(cfg):
            print(
                "Warning: the daemon's error log goes to /dev/null: errorlog is '-', which is the "
                "standard error. Set errorlog to a file.",
                file=sys.stderr,
            )
        return
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        os.close(os.open(cfg.errorlog, flags, 0o644))
    except OSError as error:
        raise ConfigError(
            f"Invalid value for errorlog: {cfg.errorlog!r} ({error.strerror}). "
            f"Allowed: a file that can be written. Set in: {cfg.origin('errorlog')}."
        ) from error


def _is_heard(cfg: Config) -> bool:
    """Whether what is logged reaches somebody other than a terminal."""
    configured = (cfg.syslog, cfg.logconfig, cfg.logconfig_dict, cfg.logconfig_json)
    return any(configured) or (cfg.enable_stdio_inheritance and not os.isatty(2))
