"""Server hooks: functions of a configuration file that the server calls at its turning points."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable

from monoceros.config.setting import Kind

Hook = Callable[..., object]


def ignore(*args: object) -> None:
    """Do nothing; the default of every hook."""


def hook(*arguments: str) -> Kind[Hook]:
    """A callable that takes exactly these positional arguments, or its dotted name."""
    signature = f"({', '.join(arguments)})"

    def parse(value: object) -> Hook:
        function = _resolve(value) if isinstance(value, str) else value
        if not callable(function):
            raise ValueError("not callable")
        if not _accepts(function, len(arguments)):
            raise ValueError(f"cannot be called with {len(arguments)} arguments: {signature}")
        return function

    return Kind(parse, f"a callable with the arguments {signature}, or its dotted name")


def _resolve(path: str) -> object:
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError("not a dotted name")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot be imported: {error}") from error


def _accepts(function: Hook, count: int) -> bool:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some callables written in C do not tell
        return True
    try:
        signature.bind(*(None,) * count)
    except TypeError:
        return False
    return True
