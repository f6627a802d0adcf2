"""Settings that a reload reads and cannot follow: they are named, so that nobody waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.config import Config
    from monoceros.log.logger import Logger

_BY_STATSD = "follows from statsd_host"


def warn(log: Logger, first: Config, new: Config) -> None:
    """Log which settings stay as the server was started with them, by ``first``."""
    for name in _find(log, first, new):
        log.warning(
            "%s is not changed by a reload: it takes effect with SIGUSR2 or a restart. Set in: %s",
            name,
            new.origin(name),
        )


def _find(log: Logger, first: Config, new: Config) -> Iterator[str]:
    # Hooks and handlers hold on to the logger, so that it is not exchanged.
    if _name(log.__class__) != _name(new.logger_class):
        if new.origin("logger_class") == _BY_STATSD:
            yield "statsd_host"
        elif new.is_given("logger_class") or first.origin("logger_class") != _BY_STATSD:
            yield "logger_class"  # a logger for statsd without a host is like any other
    # The arbiter may have imported the one of the two by now, for all workers.
    if new.http_parser != first.http_parser:
        yield "http_parser"


def _name(cls: type) -> tuple[str, str]:
    """Return what stays the same when a file that defines a class is read again."""
    return cls.__module__, cls.__qualname__
