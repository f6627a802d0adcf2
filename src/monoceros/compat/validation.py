"""Checks of values as functions, which return the value in its final type or raise an error.

They are the checks of our own settings. A wrong value raises ValueError, which ``TypeError`` is not
told apart from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from monoceros.config import kinds
from monoceros.config.hooks import hook, hook_of_any

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.config.hooks import Hook


def validate_bool(val: Any) -> bool | None:
    """A switch; None stays None."""
    return None if val is None else kinds.SWITCH.parse(val)


def validate_dict(val: Any) -> dict[str, Any]:
    """A dict with names as its keys."""
    return kinds.MAPPING.parse(val)


def validate_pos_int(val: Any) -> int:
    """A whole number from 0 on."""
    return kinds.whole("items", maximum=kinds.C_LONG_MAX).parse(val)


def validate_string(val: Any) -> str | None:
    """Text, without space around it; None stays None."""
    return kinds.OPTIONAL_TEXT.parse(val)


def validate_list_string(val: Any) -> list[str]:
    """A list of texts, also of a single one; None is an empty one."""
    return kinds.TEXT_LIST.parse(val or [])


def validate_string_to_list(val: Any) -> list[str]:
    """A list of texts, also of one with commas."""
    if not val:
        return []
    parts = val.split(",") if isinstance(val, str) else kinds.TEXT_LIST.parse(val)
    return [part.strip() for part in parts if part.strip()]


def validate_file_exists(val: Any) -> str | None:
    """The path of something that exists; None stays None."""
    path = validate_string(val)
    if path is not None and not Path(path).exists():
        raise ValueError(f"File {path} does not exist.")
    return path


def validate_chdir(val: Any) -> str:
    """The path of a directory, made absolute."""
    path = Path(str(validate_string(val))).absolute()
    if not path.is_dir():
        raise ValueError(f"there is no directory {path}")
    return str(path)


def validate_class(val: Any) -> Any:
    """A class, its name, or what a function returns."""
    if callable(val) and not isinstance(val, type):
        val = val()
    return val if isinstance(val, type) else validate_string(val)


def validate_callable(arity: int) -> Callable[[Any], Hook]:
    """Return a check for functions that can be called with so many arguments, or their names.

    -1 is for any number of them.
    """
    if arity < 0:
        return _any_callable
    return hook(*(f"argument{number}" for number in range(1, arity + 1))).parse


def validate_post_request(val: Any) -> Hook:
    """A function that takes up to four arguments, the first two at least."""
    return hook_of_any("worker", "req", "environ", "resp", least=2).parse(val)


def validate_user(val: Any) -> int:
    """The id of a user, by number or name; that of this process for None."""
    return kinds.USER.parse(val)


def validate_group(val: Any) -> int:
    """The id of a group, by number or name; that of this process for None."""
    return kinds.GROUP.parse(val)


def _any_callable(val: Any) -> Hook:
    if not callable(val):
        raise ValueError("not callable")
    found: Hook = val
    return found
