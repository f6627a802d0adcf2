"""Every exception that a user of Monoceros may meet, under one root."""

from __future__ import annotations


class MonocerosError(Exception):
    """Root of all errors raised by Monoceros on purpose."""


class ConfigError(MonocerosError):
    """A setting, a configuration file or the command line is wrong; exit code 1.

    The message names the setting, its value, what is allowed and where it was set.
    """


class AppImportError(MonocerosError):
    """The application named on the command line cannot be found or called; exit code 4."""


class LifespanFailed(MonocerosError):
    """The application did not start, by its own account or against ``asgi_lifespan``; exit code 3.

    The message says why, with the application's own words and the traceback that it gave.
    """


class BindError(MonocerosError):
    """A listening address cannot be used; exit code 1."""


class CallExpired(BaseException):
    """Ends a call of the application that has been answered for, where its worker leaves.

    No ``Exception``, so that an application lets it pass.
    """


class HaltServer(BaseException):
    """Raised by a hook: ends the server with ``exit_status``, and the log says the ``reason``."""

    def __init__(self, reason: str, exit_status: int = 1) -> None:
        super().__init__(reason, exit_status)
        self.reason = reason
        self.exit_status = exit_status

    def __str__(self) -> str:
        return f"<HaltServer {self.reason!r} {self.exit_status}>"


class StopWorker(SystemExit):
    """Ends a worker process from inside a signal handler.

    A type of its own, so that it passes through the border around an application call
    while an application's own ``SystemExit`` does not.
    """
