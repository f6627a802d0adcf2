"""The kinds of values that settings take."""

from __future__ import annotations

import grp
import ipaddress
import os
import pwd
import re
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from monoceros.config.addresses import ALLOWED as ADDRESSES
from monoceros.config.addresses import parse_address, parse_host_and_port
from monoceros.config.setting import Kind

T = TypeVar("T")

AUTO = "auto"
STATSD_PORT = 8125
C_INT_MAX = 2**31 - 1
C_LONG_MAX = 2**63 - 1

_TRUE = frozenset({"true", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "no", "n", "off", "0"})
_SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>[KMGT])(i?B)?\Z", re.IGNORECASE)
_OLD_OCTAL = re.compile(r"0[0-7]+\Z")


def whole(unit: str, minimum: int = 0, maximum: int = C_INT_MAX) -> Kind[int]:
    """A whole number of ``unit``; text in decimal, or with a 0x, 0o or 0b prefix, counts too."""

    def parse(value: object) -> int:
        number = _number(value)
        if not minimum <= number <= maximum:
            raise ValueError
        return number

    allowed = f"a whole number of {unit} from {minimum} to {maximum}"
    return Kind(parse, allowed, resets=False)


def seconds(maximum: int = C_INT_MAX) -> Kind[float]:
    """A number of seconds that may have a fraction."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        try:
            number = float(value)
        except ValueError:
            raise ValueError from None
        if not 0 <= number <= maximum:
            raise ValueError
        return int(number) if number.is_integer() else number

    return Kind(
        parse, f"a number of seconds from 0 to {maximum}, also with a fraction", resets=False
    )


def or_auto(kind: Kind[T]) -> Kind[T | str]:
    """``kind``, or the word ``auto``, which is a value of its own."""

    def parse(value: object) -> T | str:
        if isinstance(value, str) and value.strip().lower() == AUTO:
            return AUTO
        return kind.parse(value)

    return Kind(parse, f"{kind.allowed}, or {AUTO}", resets=False)


def count_or_auto(unit: str) -> Kind[int]:
    """A whole number of ``unit``, or the word ``auto``, which nobody sees: it gives a number."""
    return cast("Kind[int]", or_auto(whole(unit)))


def off(kind: Kind[T], default: object, feature: str) -> Kind[T]:
    """``kind`` for a feature that is not there yet: only what leaves it off is a value.

    An empty text leaves it off as None does.
    """
    left_off = kind.parse(default)

    def parse(value: object) -> T:
        parsed = left_off if value == "" and left_off is None else kind.parse(value)
        if parsed != left_off:
            raise ValueError(f"{feature} is not in this version")
        return parsed

    allowed = "nothing" if callable(left_off) else f"only {left_off!r}"
    return kind.narrow(parse, f"{allowed} in this version")


def _number(value: object) -> int:
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, str):
        raise ValueError
    try:
        return int(value)
    except ValueError:
        try:
            return int(value, 0)
        except ValueError:
            raise ValueError from None


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a string")
    return value.strip()


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def choice(*words: str, also: Mapping[str, str] | None = None) -> Kind[str]:
    """One of a few words; their case does not matter. ``also`` are other names for them."""
    others = also or {}

    def parse(value: object) -> str:
        word = _text(value).lower()
        word = others.get(word, word)
        if word not in words:
            raise ValueError
        return word

    return Kind(parse, ", ".join(words[:-1]) + " or " + words[-1])


def _items(value: object) -> list[str]:
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple) or not all(isinstance(one, str) for one in entries):
        raise ValueError("neither a string nor a list of strings")
    return [str(one).strip() for one in entries]


def _addresses(value: object) -> list[str]:
    entries = _items(value)
    if not entries:
        raise ValueError("no address at all")
    for entry in entries:
        parse_address(entry)
    return entries


def _assignments(value: object) -> list[str]:
    entries = _items(value)
    for entry in entries:
        name, separator, text = entry.partition("=")
        if not name or not separator or "\0" in name + text:
            raise ValueError(f"{entry!r} is not of the form NAME=VALUE")
    return entries


def _comma_separated(value: object) -> list[str]:
    if value is None:
        return []
    parts = value.split(",") if isinstance(value, str) else _items(value)
    return [part.strip() for part in parts if part.strip()]


def _networks(value: object) -> list[str]:
    entries = _comma_separated(value)
    for entry in entries:
        if entry != "*":
            ipaddress.ip_network(entry)
    return entries


def _field_names(value: object) -> list[str]:
    return [name.upper() for name in _comma_separated(value)]


def _field_values(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("not a dict")
    if not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise ValueError("names and values must be strings")
    return {str(name).upper(): str(text) for name, text in value.items()}


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError("not a dict with names as its keys")
    return dict(value)


def _statsd_address(value: object) -> tuple[str, int] | str | None:
    text = _optional_text(value)
    if not text:
        return None
    if text.startswith("unix://"):
        return text.removeprefix("unix://")
    host, port = parse_host_and_port(text, STATSD_PORT)
    return host, port


def _octets(value: object) -> int:
    match = _SIZE.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        return whole("bytes", maximum=C_LONG_MAX).parse(value)
    octets = int(float(match["number"]) * 1024 ** (1 + "KMGT".index(match["unit"].upper())))
    return whole("bytes", maximum=C_LONG_MAX).parse(octets)


def _file_mode(value: object) -> int:
    # The C habit: a leading zero alone makes a number octal.
    if isinstance(value, str) and _OLD_OCTAL.match(value):
        value = "0o" + value[1:]
    number = _number(value)
    if not 0 <= number <= 0o777:
        raise ValueError
    return number


def _user(value: object) -> int:
    return _account(value, os.geteuid, lambda name: pwd.getpwnam(name).pw_uid, "user")


def _group(value: object) -> int:
    return _account(value, os.getegid, lambda name: grp.getgrnam(name).gr_gid, "group")


def _account(
    value: object, current: Callable[[], int], find: Callable[[str], int], what: str
) -> int:
    if value is None:
        return current()
    if isinstance(value, str) and not value.isdecimal():
        try:
            return find(value)
        except KeyError:
            raise ValueError(f"there is no such {what}") from None
    number = _number(value)
    if number < 0:
        raise ValueError
    return number


SWITCH = Kind(_switch, "True or False", flag=True)
OCTETS = Kind(
    _octets,
    "a number of bytes, or one with K, M, G or T after it (1024, 1024 x 1024, ...)",
    resets=False,
)
TEXT = Kind(_text, "a string")
OPTIONAL_TEXT = Kind(_optional_text, "a string or None")
ADDRESS_LIST = Kind(_addresses, f"{ADDRESSES}, or a list of these", repeated=True)
TEXT_LIST = Kind(_items, "a string, or a list of strings", repeated=True)
MAPPING = Kind(_mapping, "a dict")
STATSD_ADDRESS = Kind(_statsd_address, "HOST:PORT, unix://PATH or None")
ASSIGNMENTS = Kind(_assignments, "NAME=VALUE, or a list of these", repeated=True)
NETWORKS = Kind(
    _networks,
    "IP addresses and networks such as 10.0.0.0/8, separated by commas, or *",
    resets=False,
)
FIELD_NAMES = Kind(_field_names, "field names, separated by commas, or *", resets=False)
FIELD_VALUES = Kind(_field_values, "a dict of field names and values, both strings")
UMASK = Kind(_file_mode, "a file mode such as 0o022, from 0 to 0o777", resets=False)
USER = Kind(_user, "a user name or a user id")
GROUP = Kind(_group, "a group name or a group id")
