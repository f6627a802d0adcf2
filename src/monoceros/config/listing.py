"""Settings as text: for ``--print-config``, ``--help`` and the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.config.config import Config
    from monoceros.config.setting import Setting


def format_settings(cfg: Config) -> str:
    """Return one line for each setting, sorted: name, value and where it was set."""
    values = cfg.values()
    width = max(map(len, values))
    return "\n".join(
        f"{name:{width}} = {_show(values[name])}  # {cfg.origin(name)}" for name in sorted(values)
    )


def format_default(setting: Setting[object]) -> str:
    """Return a default as one would write it on a command line."""
    value = setting.default
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return "does nothing" if callable(value) else str(value)


def _show(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return f"<{name}()>" if callable(value) and name else repr(value)
