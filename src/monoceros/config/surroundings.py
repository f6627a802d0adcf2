"""What a configuration makes of the process around the application."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monoceros.config.config import Config


def enter(cfg: Config) -> None:
    """Change to ``chdir``, put it and ``pythonpath`` first on the search path, set ``raw_env``."""
    os.chdir(cfg.chdir)
    _take_on(cfg)


def reenter(old: Config, new: Config) -> None:
    """Move from one configuration to the next; raises OSError, with nothing changed, for ``chdir``.

    What ``old`` put on the search path is taken off it, and its variables become what they were.
    """
    os.chdir(new.chdir)
    for entry in _list_entries(old):
        # One that was there before stays, farther back.
        with contextlib.suppress(ValueError):
            sys.path.remove(entry)
    _restore_variables(old)
    _take_on(new)


def go_back(new: Config, old: Config, path: Sequence[str]) -> None:
    """Restore variables and search path, which was ``path``, after ``reenter`` to ``new``."""
    sys.path[:] = path
    _restore_variables(new)
    os.environ.update(old.env)


def _take_on(cfg: Config) -> None:
    sys.path[:0] = _list_entries(cfg)
    os.environ.update(cfg.env)


def _list_entries(cfg: Config) -> list[str]:
    """Return what comes first on the search path."""
    given = (cfg.pythonpath or "").split(",")
    own = [str(Path(cfg.chdir, entry.strip())) for entry in given if entry]
    return [*reversed(own), cfg.chdir]


def _restore_variables(old: Config) -> None:
    for name in old.env:
        if name in old.environ:
            os.environ[name] = old.environ[name]
        else:
            os.environ.pop(name, None)
