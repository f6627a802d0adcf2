"""How callables can be called, with and without ``inspect``."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING

import pytest

from monoceros.arity import accepts, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable


def two(a: object, b: object) -> None: ...


@functools.wraps(two)
def wrapper(*args: object) -> None: ...


class Callables:
    def method(self, a: object) -> None: ...

    def __call__(self, a: object, b: object = None) -> None: ...


PLAIN: list[Callable[..., object]] = [
    two,
    lambda: None,
    lambda a, b=1, c=2: None,
    lambda a, /, b: None,
    lambda *args: None,
    lambda a, b=1, *args: None,
    lambda a, *, key: None,
    lambda a, *, key=1: None,
    lambda a, *args, key=1, **rest: None,
    lambda **rest: None,
]
OTHERS: list[Callable[..., object]] = [
    wrapper,
    functools.partial(two, 1),
    Callables().method,
    Callables(),
    Callables,
    len,
]


def binds(function: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("function", [*PLAIN, *OTHERS])
def test_as_inspect_sees_it(function: Callable[..., object]) -> None:
    expected = [binds(function, count) for count in range(5)]

    assert [accepts(function, count) for count in range(5)] == expected
    assert is_plain(function) == (function in PLAIN)


def test_wrappers() -> None:
    assert not accepts(wrapper, 3)
    assert accepts(wrapper, 3, follow_wrapped=False)


def test_callables_that_do_not_tell() -> None:
    assert accepts(type, 7)
