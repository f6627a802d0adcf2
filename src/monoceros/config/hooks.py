"""Server hooks: functions of a configuration file that the server calls at its turning points."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable
from typing import Any

from monoceros.arity import accepts, is_async
from monoceros.config.setting import Kind

Hook = Callable[..., object]


def ignore(*args: object) -> None:
    """Do nothing; the default of most hooks."""


def log_request(worker: Any, req: Any) -> None:
    """Log method and path; the default of ``pre_request``."""
    worker.log.debug("%s %s", req.method, req.path)


def hook(*arguments: str) -> Kind[Hook]:
    """A callable that takes exactly these positional arguments, or its dotted name."""
    signature = f"({', '.join(arguments)})"

    def parse(value: object) -> Hook:
        function = _resolve(value) if isinstance(value, str) else value
        if not callable(function):
            raise ValueError("not callable")
        if is_async(function):
            raise ValueError("an async function, whose result nobody would await")
        if not accepts(function, len(arguments)):
            raise ValueError(f"cannot be called with {len(arguments)} arguments: {signature}")
        return function

    return Kind(parse, f"a callable with the arguments {signature}, or its dotted name")


def hook_of_any(*arguments: str, least: int) -> Kind[Hook]:
    """As ``hook``, for callables that may leave out arguments at the end, down to ``least``."""
    signature = f"({', '.join(arguments)})"

    def parse(value: object) -> Hook:
        for count in range(len(arguments), least, -1):
            with contextlib.suppress(ValueError):
                return _first(hook(*arguments[:count]).parse(value), count, len(arguments))
        return _first(hook(*arguments[:least]).parse(value), least, len(arguments))

    allowed = f"a callable with {least} to {len(arguments)} of the arguments {signature}"
    return Kind(parse, f"{allowed}, or its dotted name")


def _first(function: Hook, count: int, all_of_them: int) -> Hook:
    if count == all_of_them:
        return function

    @functools.wraps(function)
    def call(*args: object) -> object:
        return function(*args[:count])

    return call


def _resolve(path: str) -> object:
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError("not a dotted name")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot be imported: {error}") from error
