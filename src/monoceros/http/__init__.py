"""HTTP/1.1 for servers, without I/O policy: two twins behind one seam.

The compiled twin is taken where it is built, the pure-Python twin otherwise. ``MONOCEROS_IMPL``
(``c`` or ``py``) asks for exactly one. A compiled twin that is there and does not load is an
error: falling back would hide a broken installation behind a slow one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "IMPL",
    "IMPL_REASON",
    "Calls",
    "Conn",
    "Core",
    "Dialogue",
    "HeadReader",
    "Record",
    "Watch",
    "Wire",
    "accept",
    "look",
    "parse_head",
]

_COMPILED = tuple(
    f"monoceros.http.{name}"
    for name in (
        "_accept",
        "_access",
        "_calls",
        "_channel",
        "_conn",
        "_core",
        "_dialogue",
        "_environ",
        "_exchange",
        "_exchange_log",
        "_head",
        "_names",
        "_reader",
        "_ready",
        "_record",
        "_request",
        "_watch",
        "_wire",
    )
)


def _choose(wanted: str) -> tuple[ModuleType, str]:
    if wanted not in ("", "c", "py"):
        raise ConfigError(f"MONOCEROS_IMPL is {wanted!r}; allowed are 'c' and 'py'")
    if wanted == "py":
        return _load("py"), "asked for by MONOCEROS_IMPL"
    try:
        return _load("c"), "asked for by MONOCEROS_IMPL" if wanted else "compiled extension found"
    except ModuleNotFoundError as error:
        if error.name not in _COMPILED or any(map(importlib.util.find_spec, _COMPILED)):
            raise _broken(error) from error
        if wanted:
            raise ImportError(
                "MONOCEROS_IMPL is 'c', but this installation has no compiled extension; "
                "install a wheel for this platform, or a C compiler and build again"
            ) from error
        return _load("py"), "no compiled extension in this installation"
    except ImportError as error:
        raise _broken(error) from error


def _broken(error: ImportError) -> ImportError:
    return ImportError(
        f"the compiled extension of monoceros is broken ({error}); "
        "reinstall it, or set MONOCEROS_IMPL=py to run without it"
    )


def _load(impl: str) -> ModuleType:
    return importlib.import_module(f"monoceros.http._{impl}")


if TYPE_CHECKING:
    # The pure-Python twin is the type of record.
    from monoceros.http._py import (
        Calls,
        Conn,
        Core,
        Dialogue,
        HeadReader,
        Record,
        Watch,
        Wire,
        accept,
        look,
        parse_head,
    )

    IMPL: str = "py"
    IMPL_REASON: str = ""
else:
    _twin, IMPL_REASON = _choose(os.environ.get("MONOCEROS_IMPL", ""))
    IMPL = _twin.IMPL
    Conn, Core, Watch = _twin.Conn, _twin.Core, _twin.Watch
    Calls, Dialogue = _twin.Calls, _twin.Dialogue
    HeadReader, Record, Wire = _twin.HeadReader, _twin.Record, _twin.Wire
    accept, look, parse_head = _twin.accept, _twin.look, _twin.parse_head
