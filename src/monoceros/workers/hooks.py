"""Calling the hooks of a configuration, so that what they raise is reported by their name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.workers.failure import format_application_error

if TYPE_CHECKING:
    from monoceros.config import Config
    from monoceros.log.logger import Logger


class HookError(Exception):
    """A hook raised where the process cannot go on; ``error`` is what it raised."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(describe(name, error))
        self.error = error


def describe(name: str, error: Exception) -> str:
    """Return the hook's name and the traceback of its own code."""
    return f"Exception in hook {name}\n{format_application_error(error)}"


def call(cfg: Config, name: str, *args: object) -> None:
    """Call a hook that the process depends on; raises HookError for what it raises."""
    try:
        getattr(cfg, name)(*args)
    except Exception as error:  # the border around a hook
        raise HookError(name, error) from error


def try_call(cfg: Config, log: Logger, name: str, *args: object) -> None:
    """Call a hook that the process goes on without: what it raises is logged."""
    try:
        getattr(cfg, name)(*args)
    except Exception as error:  # the border around a hook
        log.error("%s", describe(name, error))
