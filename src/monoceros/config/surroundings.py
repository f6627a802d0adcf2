"""What a configuration makes of the process around the application."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.config.config import Config


def enter(cfg: Config) -> None:
    """Change to ``chdir``, extend the module search path and set ``raw_env``."""
    os.chdir(cfg.chdir)
    if cfg.chdir not in sys.path:
        sys.path.insert(0, cfg.chdir)
    for entry in (cfg.pythonpath or "").split(","):
        path = str(Path(cfg.chdir, entry.strip()))
        if entry and path not in sys.path:
            sys.path.insert(0, path)
    os.environ.update(cfg.env)


def reenter(old: Config, new: Config) -> None:
    """Move from one configuration to the next: ``old``'s variables first become what they were."""
    for name in old.env:
        if name in old.environ:
            os.environ[name] = old.environ[name]
        else:
            os.environ.pop(name, None)
    enter(new)
