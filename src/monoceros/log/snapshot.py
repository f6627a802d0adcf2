"""The state of ``logging``, kept so that a configuration which fails half-way leaves no trace.

``logging.config`` closes all handlers that it finds in ``logging``'s own list before it makes the
first new one. Meanwhile that list has a single one, which tells whether it came to that; the others
are closed once the new ones have proved good.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_State = tuple[int, bool, bool, list[logging.Handler], list[Any]]

_logging: Any = logging  # what is private there is not in its stubs


@contextlib.contextmanager
def undone_on_failure() -> Iterator[None]:
    """Take back what was done to loggers and handlers if an exception passes."""
    before = _Snapshot()
    try:
        yield
    except BaseException:
        before.restore()
        raise
    before.settle()


class _Sentinel(logging.NullHandler):
    """Knows whether it was closed."""

    was_closed = False

    def close(self) -> None:
        self.was_closed = True


class _Snapshot:
    """Loggers with their handlers, and ``logging``'s list of handlers, at one moment."""

    def __init__(self) -> None:
        self._loggers: dict[logging.Logger, _State] = {
            log: (log.level, log.propagate, log.disabled, log.handlers[:], log.filters[:])
            for log in _all_loggers()
        }
        self._levels = {one: one.level for log in self._loggers for one in log.handlers}
        self._names = dict(_logging._handlers)
        self._handlers = _logging._handlerList[:]
        self._sentinel = _Sentinel()
        _logging._handlerList[:] = [weakref.ref(self._sentinel)]

    def restore(self) -> None:
        """Make everything what it was, and close what has come."""
        unused: _State = (logging.NOTSET, True, False, [], [])
        for log in _all_loggers():
            level, log.propagate, log.disabled, handlers, filters = self._loggers.get(log, unused)
            log.setLevel(level)
            # In place: the lists may be those of an application's loggers too.
            log.handlers[:], log.filters[:] = handlers, filters
        for handler, level in self._levels.items():
            handler.setLevel(level)
        logging.shutdown(_logging._handlerList[:])
        _logging._handlerList[:] = self._handlers
        _logging._handlers.update(self._names)

    def settle(self) -> None:
        """Do to the handlers of before what ``logging.config`` did to its list."""
        if not self._sentinel.was_closed:
            _logging._handlerList[:1] = self._handlers
            return
        with names_kept():
            logging.shutdown(self._handlers)


@contextlib.contextmanager
def names_kept() -> Iterator[None]:
    """While handlers are closed, keep them from taking their names from whoever has them by now."""
    named = dict(_logging._handlers)
    yield
    _logging._handlers.update(named)


def _all_loggers() -> list[logging.Logger]:
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(one for one in known if isinstance(one, logging.Logger))]
