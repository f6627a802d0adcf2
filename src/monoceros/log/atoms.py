"""The atoms of an access line as a dict, which is what handlers and recipes see in record.args."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monoceros.log.protocols import Duration, LoggedRequest, LoggedResponse

_UNSAFE = re.compile(r'[\x00-\x1f\x7f"\\]')


class SafeAtoms(dict[str, object]):
    """Atoms made safe inside quotes: nothing of a value can end the quote or the line.

    A missing atom is ``-``, and names of fields and variables are found in any case.
    """

    def __init__(self, atoms: Mapping[str, object]) -> None:
        super().__init__((name, _make_safe(value)) for name, value in atoms.items())

    def __missing__(self, name: str) -> object:
        lower = name.lower() if name.startswith("{") else name
        return "-" if lower == name else self[lower]


def _make_safe(value: object) -> object:
    # Numbers stay numbers for formats such as %(D)06d; whatever else an environ holds is text.
    return value if isinstance(value, int | float) else escape(str(value))


def escape(value: str) -> str:
    """Return the value with quotes, backslashes and control characters escaped."""
    return _UNSAFE.sub(_escape_one, value) if _UNSAFE.search(value) else value


def _escape_one(match: re.Match[str]) -> str:
    char = match[0]
    return "\\" + char if char in '"\\' else f"\\x{ord(char):02x}"


def make_atoms(
    resp: LoggedResponse,
    req: LoggedRequest,
    environ: Mapping[str, object],
    request_time: Duration,
    now: str,
) -> dict[str, object]:
    """Return all atoms, unescaped, under Gunicorn's names."""
    elapsed_us = microseconds(request_time)
    atoms = _plain_atoms(environ, now)
    atoms |= {
        "s": status_code(resp),
        "B": resp.sent,
        "b": str(resp.sent),
        "T": elapsed_us // 1_000_000,
        "D": elapsed_us,
        "M": elapsed_us // 1000,
        "L": f"{elapsed_us // 1_000_000}.{elapsed_us % 1_000_000:06}",
        "p": f"<{os.getpid()}>",
    }
    for name, value in req.headers:
        key = f"{{{name.lower()}}}i"
        atoms[key] = f"{atoms[key]},{value}" if key in atoms else value
    for name, value in resp.headers:
        atoms[f"{{{name.lower()}}}o"] = value
    for name, item in environ.items():
        atoms[f"{{{name.lower()}}}e"] = item
    return atoms


def status_code(resp: LoggedResponse) -> str:
    """Return the three digits of a response's status."""
    return str(resp.status)[:3]


def microseconds(duration: Duration) -> int:
    """Return how long something took; also of what only looks like a timedelta."""
    days: int = getattr(duration, "days", 0)
    return (days * 86400 + duration.seconds) * 1_000_000 + duration.microseconds


def _plain_atoms(environ: Mapping[str, object], now: str) -> dict[str, object]:
    # Only workers log access lines; the arbiter must not load the HTTP side.
    from monoceros.http.access import user_name

    get = environ.get
    line = f"{get('REQUEST_METHOD')} {get('RAW_URI')} {get('SERVER_PROTOCOL')}"
    return {
        "h": get("REMOTE_ADDR", "-"),
        "l": "-",
        "u": user_name(str(get("HTTP_AUTHORIZATION", ""))),
        "t": now,
        "r": line,
        "m": get("REQUEST_METHOD"),
        "U": get("PATH_INFO"),
        "q": get("QUERY_STRING"),
        "H": get("SERVER_PROTOCOL"),
        "f": get("HTTP_REFERER", "-"),
        "a": get("HTTP_USER_AGENT", "-"),
    }
