"""How a callable can be called: with how many arguments, and whether it then has to be awaited.

Plain functions are judged by their code: ``inspect`` knows all callables, but takes ten
milliseconds to import.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

_VARIABLE = 0x04  # inspect.CO_VARARGS
_AWAITED = 0x80 | 0x200  # inspect.CO_COROUTINE, CO_ASYNC_GENERATOR


def is_plain(function: object) -> TypeGuard[FunctionType]:
    """Whether a callable is a function, and nothing says that it stands for another one."""
    return type(function) is FunctionType and not vars(function)


def is_async(function: object) -> bool:
    """Whether a function does nothing before its result is awaited or iterated."""
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & _AWAITED)


def accepts(function: Callable[..., object], count: int, *, follow_wrapped: bool = True) -> bool:
    """Whether a callable can be called with ``count`` positional arguments.

    ``follow_wrapped`` asks what a wrapper wraps instead of the wrapper. True where a callable
    written in C does not tell.
    """
    if is_plain(function):
        return _plain_accepts(function, count)
    import inspect

    try:
        signature = inspect.signature(function, follow_wrapped=follow_wrapped)
    except ValueError:
        return True
    try:
        signature.bind(*(None,) * count)
    except TypeError:
        return False
    return True


def _plain_accepts(function: FunctionType, count: int) -> bool:
    code = function.__code__
    if code.co_kwonlyargcount > len(function.__kwdefaults__ or ()):
        return False
    least = code.co_argcount - len(function.__defaults__ or ())
    return least <= count and (count <= code.co_argcount or bool(code.co_flags & _VARIABLE))
