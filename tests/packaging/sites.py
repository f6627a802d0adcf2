"""Environments in which Monoceros and Gunicorn are installed and uninstalled, by pip and by uv."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.packaging.builds import run, succeed

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@dataclass(frozen=True)
class Site:
    """A virtual environment that takes everything from a folder of wheels."""

    root: Path
    tool: str  # "pip" or "uv"
    uv: Path
    wheelhouse: Path

    def create(self) -> Site:
        """Make it, without pip where uv does the work."""
        if self.tool == "pip":
            succeed(run(sys.executable, "-m", "venv", self.root))
        else:
            succeed(self.call(self.uv, "venv", "--quiet", "--python", sys.executable, self.root))
        return self

    @property
    def python(self) -> Path:
        return self.root / "bin/python"

    @property
    def path(self) -> str:
        """A PATH as in an environment that was activated, with uv."""
        return os.pathsep.join([str(self.root / "bin"), str(self.uv.parent), "/usr/bin", "/bin"])

    def call(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in it, away from the sources."""
        folder = str(self.wheelhouse)
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": folder, "PIP_NO_COMPILE": "1"}
        uv = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": folder, "UV_OFFLINE": "1"}
        cache = {"UV_CACHE_DIR": f"{folder}/.cache", "PYTHONSAFEPATH": "1"}
        return run(*command, PATH=self.path, **pip, **uv, **cache)

    def install(self, *requirements: str) -> None:
        self._manage("install", *requirements)

    def uninstall(self, *names: str) -> None:
        self._manage("uninstall", *(("--yes",) if self.tool == "pip" else ()), *names)

    def _manage(self, verb: str, *words: str) -> None:
        if self.tool == "pip":
            succeed(self.call(self.python, "-m", "pip", verb, *words))
        else:
            succeed(self.call("uv", "pip", verb, "--python", self.python, *words))
