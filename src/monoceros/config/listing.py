"""Settings as text: for ``--print-config``, ``--help`` and the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.config.hooks import ignore

if TYPE_CHECKING:
    from monoceros.config.config import Config


def format_settings(cfg: Config) -> str:
    """Return one line for each setting, sorted: name, value and where it was set."""
    values = cfg.values()
    width = max(map(len, values))
    return "\n".join(
        f"{name:{width}} = {_show(values[name])}  # {cfg.origin(name)}" for name in sorted(values)
    )


def format_json(cfg: Config) -> str:
    """Return an object that has for each setting its value and where it was set."""
    # Imported late: nearly nobody asks for it.
    import json

    values = cfg.values()
    found = {name: {"value": values[name], "origin": cfg.origin(name)} for name in sorted(values)}
    return json.dumps(found, indent=2, default=_show)


def format_default(value: object) -> str:
    """Return a default as one would write it on a command line."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if value is None or value == {}:
        return "none"
    if callable(value):
        return "does nothing" if value is ignore else str(getattr(value, "__name__", value))
    shown = str(value)
    return shown if shown else "empty"


def _show(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    if isinstance(value, type):
        return f"<{value.__module__}.{name}>"
    return f"<{name}()>" if callable(value) and name else repr(value)
