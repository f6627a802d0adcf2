"""The access log's format: Gunicorn's atoms, compiled once and filled in for each response."""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from monoceros.http.dates import MONTHS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, Field

_ATOM = re.compile(r"%\((?P<name>[^)]+)\)[sdi]|%%")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"\\]')
JSON = "json"  # the format that means an object per line


class Entry(NamedTuple):
    """What one line is made of; ``sent`` counts octets of content."""

    environ: Environ
    status: str
    headers: list[Field]
    sent: int
    elapsed_us: int
    when: str  # as ``format_time`` gives it
    line: str = ""  # the request line, where it is at hand


Atom = Callable[[Entry], str]


def format_time(seconds: float) -> str:
    """Return a time in the manner of the Common Log Format, local time with its offset."""
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    return (
        f"[{local.tm_mday:02}/{MONTHS[local.tm_mon - 1]}/{local.tm_year}"
        f":{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02} {zone}]"
    )


def escape(value: str) -> str:
    """Make a value safe inside quotes: nothing of it can end the quote or the line."""
    return _UNSAFE.sub(_escape_one, value) if _UNSAFE.search(value) else value


def _escape_one(match: re.Match[str]) -> str:
    char = match[0]
    return "\\" + char if char in '"\\' else f"\\x{ord(char):02x}"


def user_name(authorization: str) -> str:
    """Return the user of basic credentials (RFC 7617), or ``-``.

    Its characters stand for octets, as all that an environ has of a client.
    """
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "-"
    try:
        text = base64.b64decode(credentials.strip().encode("latin-1"), validate=True)
    except (binascii.Error, ValueError):
        return "-"
    return text.partition(b":")[0].decode("latin-1") or "-"


def _from_environ(key: str) -> Atom:
    def atom(entry: Entry) -> str:
        value = entry.environ.get(key)
        return "-" if value is None else escape(str(value))

    return atom


def _response_field(name: str) -> Atom:
    def atom(entry: Entry) -> str:
        for field, value in reversed(entry.headers):
            if field.lower() == name:
                return escape(value)
        return "-"

    return atom


def _request_line(entry: Entry) -> str:
    if entry.line:
        return escape(entry.line)
    environ = entry.environ
    line = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"
    return escape(line)


# The environ's keys behind atoms that are nothing but a value.
VALUE_KEYS = {
    "h": "REMOTE_ADDR",
    "m": "REQUEST_METHOD",
    "U": "PATH_INFO",
    "q": "QUERY_STRING",
    "H": "SERVER_PROTOCOL",
    "f": "HTTP_REFERER",
    "a": "HTTP_USER_AGENT",
}


def _user(entry: Entry) -> str:
    return user_name(entry.environ.get("HTTP_AUTHORIZATION", ""))


_ATOMS: dict[str, Atom] = {
    **{name: _from_environ(key) for name, key in VALUE_KEYS.items()},
    "l": lambda entry: "-",
    "u": lambda entry: escape(_user(entry)),
    "t": lambda entry: entry.when,
    "r": _request_line,
    "s": lambda entry: entry.status[:3],
    "B": lambda entry: str(entry.sent),
    "b": lambda entry: str(entry.sent),
    "T": lambda entry: str(entry.elapsed_us // 1_000_000),
    "D": lambda entry: str(entry.elapsed_us),
    "M": lambda entry: str(entry.elapsed_us // 1000),
    "L": lambda entry: f"{entry.elapsed_us // 1_000_000}.{entry.elapsed_us % 1_000_000:06}",
    "p": lambda entry: f"<{os.getpid()}>",
}


def _find_atom(name: str) -> Atom:
    if name in _ATOMS:
        return _ATOMS[name]
    match = re.fullmatch(r"\{([^}]+)\}([ioe])", name)
    if match is None:
        return lambda entry: "-"
    key, kind = match.groups()
    if kind == "i":
        upper = key.upper().replace("-", "_")
        plain = upper in ("CONTENT_TYPE", "CONTENT_LENGTH")
        return _from_environ(upper if plain else "HTTP_" + upper)
    return _response_field(key.lower()) if kind == "o" else _from_environ(key)


class AccessFormat:
    """A compiled ``access_log_format``: text with atoms, or ``json``.

    ``pieces`` alternates literal text and atom names, beginning and ending with text, for a
    twin that fills in the usual atoms itself. Responses below 400 to the paths in ``skip`` get no
    line; a ``*`` at the end of one stands for all paths that begin so.
    """

    def __init__(self, text: str, skip: Iterable[str] = ()) -> None:
        self.is_json = text == JSON
        if self.is_json:
            self._compile_json()
        else:
            self.pieces = _split(text)
            self.format_time = format_time
            self._atoms = [_find_atom(name) for name in self.pieces[1::2]]
        skip = tuple(skip)
        self._paths = frozenset(path for path in skip if not path.endswith("*"))
        self._beginnings = tuple(path[:-1] for path in skip if path.endswith("*"))
        self.has_skips = bool(skip)

    def skips(self, environ: Environ, status: str) -> bool:
        """Whether a response gets no line."""
        if not self.has_skips or status >= "400":
            return False
        path = str(environ.get("PATH_INFO"))
        return path in self._paths or path.startswith(self._beginnings)

    def line(self, entry: Entry) -> bytes:
        """Return one line with its newline; what is not latin-1 comes out as UTF-8."""
        parts = [self.pieces[0]]
        missing = "null" if self.is_json else "-"
        for atom, literal in zip(self._atoms, self.pieces[2::2], strict=True):
            parts += (_fill_in(atom, entry, missing), literal)
        line = "".join(parts) + "\n"
        try:
            return line.encode("latin-1")
        except UnicodeEncodeError:
            return _encode(line)

    def _compile_json(self) -> None:
        # Imported late, for it imports ``json``.
        from monoceros.http import access_json

        self.pieces = access_json.json_pieces()
        self.format_time = access_json.format_time
        self._atoms = [
            access_json.json_atom(name, VALUE_KEYS, _user if name == "u" else _ATOMS[name])
            for name in self.pieces[1::2]
        ]


def _encode(line: str) -> bytes:
    try:
        return line.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no octet
        return line.encode("utf-8", "backslashreplace")


def _fill_in(atom: Atom, entry: Entry, missing: str) -> str:
    try:
        return atom(entry)
    except Exception:  # border: the application may have put anything into environ and fields
        return missing


def _split(text: str) -> tuple[str, ...]:
    # Values are text that stands for octets; what is around them becomes so, too.
    text = text.encode("utf-8", "surrogateescape").decode("latin-1")
    pieces = [""]
    position = 0
    for match in _ATOM.finditer(text):
        pieces[-1] += text[position : match.start()]
        position = match.end()
        if match["name"] is None:
            pieces[-1] += "%"
        else:
            pieces += (match["name"], "")
    pieces[-1] += text[position:]
    return tuple(pieces)
