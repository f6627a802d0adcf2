"""Access lines as JSON: one object per response, with nothing of a client's left unescaped.

The fields are atoms of the text format under names of their own; what a request did not have is
null. A line is pure ASCII.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.access import Entry

# Field and atom; those of the time and the process come before them.
FIELDS = (
    ("remote_addr", "h"),
    ("user", "u"),
    ("method", "m"),
    ("path", "U"),
    ("query", "q"),
    ("protocol", "H"),
    ("status", "s"),
    ("bytes", "B"),
    ("duration_us", "D"),
    ("referer", "f"),
    ("user_agent", "a"),
)
NUMBERS = frozenset("sBD")


def json_pieces() -> tuple[str, ...]:
    """Return the format as literal text and atoms in turn, beginning and ending with text."""
    # Loggers of one process write the same number: it belongs to the text around the atoms.
    start = f'", "level": "INFO", "logger": "gunicorn.access", "pid": {os.getpid()}'
    pieces = ['{"time": "', "t"]
    for name, atom in FIELDS:
        pieces += [f'{start}, "{name}": ', atom]
        start = ""
    return (*pieces, "}")


def format_time(seconds: float) -> str:
    """Return a time as ISO 8601 has it, local with its offset."""
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}{zone[:3]}:{zone[3:]}"


def encode_text(value: object) -> str:
    """Return a value of an environ, whose text stands for octets, as JSON."""
    return json.dumps(decode_octets(value) if isinstance(value, str) else str(value))


def decode_octets(value: str) -> str:
    """Return the text that the octets behind a latin-1 str spell, as far as they spell any."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def json_atom(
    name: str, keys: dict[str, str], plain: Callable[[Entry], str]
) -> Callable[[Entry], str]:
    """Return what writes one field; ``keys`` are the environ's keys behind atoms."""
    if name == "t":
        return lambda entry: entry.when
    if name in NUMBERS:
        return lambda entry: str(int(plain(entry)))
    if name == "u":
        return lambda entry: _or_null(plain(entry))

    def atom(entry: Entry) -> str:
        value = entry.environ.get(keys[name])
        return "null" if value is None else encode_text(value)

    return atom


def _or_null(value: str) -> str:
    return "null" if value == "-" else encode_text(value)
