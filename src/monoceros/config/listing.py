"""Settings as text: for ``--print-config`` and for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.config.config import Config


def format_settings(cfg: Config) -> str:
    """Return one line for each setting, sorted: name, value and where it was set."""
    values = cfg.values()
    width = max(map(len, values))
    return "\n".join(
        f"{name:{width}} = {_show(values[name])}  # {cfg.origin(name)}" for name in sorted(values)
    )


def _show(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return f"<{name}()>" if callable(value) and name else repr(value)
