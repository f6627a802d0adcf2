"""What a callable is, judged by how it can be called."""

from __future__ import annotations

import enum
import re
from types import FunctionType
from typing import TYPE_CHECKING

from monoceros.arity import accepts, is_async, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

_FACTORY_NAME = re.compile(r"(create|make|build|get)_\w+|\w*factory")
_ASGI = ("scope", "receive", "send")
_ASGI_2 = ("scope",)  # and what that returns is called with the rest
_WSGI_COUNT = 2  # environ, start_response
_ASGI_COUNT = len(_ASGI)


class Wanted(enum.Enum):
    """Which applications a worker class has use for; ``ANY`` is for it to judge."""

    WSGI = enum.auto()
    ASGI = enum.auto()
    EITHER = enum.auto()
    ANY = enum.auto()


def is_factory(found: object, name: str, wanted: Wanted = Wanted.EITHER) -> TypeGuard[FunctionType]:
    """Whether a function can only make applications: it cannot be called like one.

    A function named like a factory counts as one if it also can be called without arguments.
    """
    if not isinstance(found, FunctionType):
        return False
    is_callable = takes(found, _WSGI_COUNT)
    if wanted is Wanted.ASGI:
        is_callable = is_callable or takes(found, _ASGI_COUNT)
    if not is_callable:
        return True
    return is_named_like_a_factory(name) and takes(found, 0)


def is_named_like_a_factory(name: str) -> bool:
    """Whether a name is one that people give to what makes applications."""
    return _FACTORY_NAME.fullmatch(name) is not None


def takes(function: Callable[..., object], count: int) -> bool:
    """Whether a function can be called with ``count`` arguments.

    What a wrapper wraps says nothing about how the wrapper can be called.
    """
    return accepts(function, count, follow_wrapped=False)


def is_asgi(app: object) -> bool:
    """Whether a callable can only be an ASGI application: it awaits, or is called as one."""
    if _is_awaited(app):
        return True
    if is_plain(app):
        code = app.__code__
        return _is_named_so(code.co_varnames[: code.co_argcount])
    import inspect

    try:
        return _is_named_so(tuple(inspect.signature(app).parameters))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def is_awaited_in_vain(app: Callable[..., object]) -> bool:
    """Whether a callable has to be awaited, and cannot be called as an ASGI application.

    Those of ASGI 2 need not be awaited where they are called with the scope.
    """
    # What awaits are the instances of a class.
    return not isinstance(app, type) and _is_awaited(app) and not takes(app, _ASGI_COUNT)


def _is_awaited(app: object) -> bool:
    if is_plain(app):
        return is_async(app)
    # Imported late, as it takes long and simple applications do without.
    import inspect

    call = app if inspect.isroutine(app) else getattr(app, "__call__", app)  # noqa: B004
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call)


def _is_named_so(names: tuple[str, ...]) -> bool:
    return names[-_ASGI_COUNT:] == _ASGI or names == _ASGI_2


def is_wsgi(app: Callable[..., object]) -> bool:
    """Whether a callable can only be a WSGI application."""
    return accepts(app, _WSGI_COUNT) and not accepts(app, _ASGI_COUNT) and not is_asgi(app)


def is_class_of_asgi(found: object) -> bool:
    """Whether a class is none of ASGI 2, but one whose instances are called as applications."""
    if not isinstance(found, type):
        return False
    call = getattr(found, "__call__", None)  # noqa: B004
    count = 1 + _ASGI_COUNT  # itself first
    return isinstance(call, FunctionType) and takes(call, count) and not takes(call, count - 1)
