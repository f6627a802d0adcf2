"""What a callable is, judged by how it can be called."""

from __future__ import annotations

import re
from types import FunctionType
from typing import TYPE_CHECKING

from monoceros.arity import accepts, is_async, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

_FACTORY_NAME = re.compile(r"(create|make|build|get)_\w+|\w*factory")
_ASGI = ("scope", "receive", "send")


def is_factory(found: object, name: str) -> TypeGuard[FunctionType]:
    """Whether a function can only make applications: it cannot be called like one.

    A function named like a factory counts as one if it also can be called without arguments.
    """
    if not isinstance(found, FunctionType):
        return False
    if not takes(found, 2):
        return True
    return _FACTORY_NAME.fullmatch(name) is not None and takes(found, 0)


def takes(function: Callable[..., object], count: int) -> bool:
    """Whether a function can be called with ``count`` arguments.

    What a wrapper wraps says nothing about how the wrapper can be called.
    """
    return accepts(function, count, follow_wrapped=False)


def is_asgi(app: object) -> bool:
    """Whether a callable can only be an ASGI application: it awaits, or is called as one."""
    if is_plain(app):
        code = app.__code__
        positional = code.co_varnames[: code.co_argcount]
        return is_async(app) or positional[-3:] == _ASGI
    # Imported late, as it takes long and simple applications do without.
    import inspect

    call = app if inspect.isroutine(app) else getattr(app, "__call__", app)  # noqa: B004
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return True
    try:
        names = tuple(inspect.signature(call).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return names[-3:] == _ASGI
