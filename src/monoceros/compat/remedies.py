"""The commands that install and uninstall, for the installer that an environment was made with."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution


def install(requirement: str, beside: Distribution | None) -> str:
    """Return the command that installs a requirement, as ``beside`` was installed."""
    return _command("install", beside, shlex.quote(requirement))


def reinstall(one: Distribution) -> str:
    """Return the command that puts all files of a distribution back."""
    force = "--reinstall" if _is_by_uv(one) else "--force-reinstall"
    name = one.metadata["Name"]
    return _command("install", one, f"{force} --no-deps {name}=={one.version}")


def uninstall(one: Distribution) -> str:
    """Return the command that removes a distribution."""
    return _command("uninstall", one, one.metadata["Name"])


def _command(verb: str, one: Distribution | None, words: str) -> str:
    interpreter = shlex.quote(sys.executable)
    if _is_by_uv(one):
        return f"uv pip {verb} --python {interpreter} {words}"
    return f"{interpreter} -m pip {verb} {words}"


def _is_by_uv(one: Distribution | None) -> bool:
    return one is not None and (one.read_text("INSTALLER") or "").strip() == "uv"
