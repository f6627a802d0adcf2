"""How the tests of the package build it, and use it on a machine without a compiler."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*.so")
SECONDS = 240  # the longest that one build may take on a busy machine


def run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command with only these MONOCEROS_* variables; its output is kept as text."""
    foreign = ("MONOCEROS_", "PYTHON")  # PYTHONPATH would bring this tree into the environments
    env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return subprocess.run(
        [str(part) for part in command],
        env=env | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def succeed(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed, or fail with it."""
    assert result.returncode == 0, result.stdout
    return result.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and how to use it on a machine without a compiler."""

    root: Path
    empty: Path  # a folder with nothing in it, to be the PATH

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    def run(self, *arguments: str | Path, **environ: str) -> str:
        """Run this environment's Python without a compiler in reach."""
        return succeed(run(self.python, *arguments, PATH=str(self.empty), **environ))

    def install(self, wheel: Path) -> None:
        """Install a wheel and what it depends on, building nothing."""
        self.run("-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel)


def build_wheel(
    python: Path, source: Path, folder: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Build a wheel from a source distribution or folder, in an environment of its own."""
    return run(python, "-m", "pip", "wheel", "--no-deps", "-w", folder, source, **environ)


def compile_wheel(python: Path, source: Path, folder: Path) -> Path:
    """Build the wheel with extensions for an interpreter."""
    if shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) is None:
        pytest.skip("needs a C compiler")
    succeed(build_wheel(python, source, folder, MONOCEROS_EXT="require"))
    (wheel,) = folder.iterdir()
    return wheel


def make_environment(python: Path, root: Path, empty: Path) -> Environment:
    """Create an empty virtual environment with pip."""
    succeed(run(python, "-m", "venv", root))
    return Environment(root, empty)


def find_interpreter(version: str) -> Path | None:
    """Return a CPython of this version ("3.12"): this one, one on the PATH, or one of pyenv's."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    found = shutil.which(f"python{version}")
    if found and run(found, "-c", "").returncode == 0:
        return Path(found)
    if shutil.which("pyenv") is None:
        return None
    for name in reversed(run("pyenv", "versions", "--bare").stdout.split()):
        if re.fullmatch(rf"{re.escape(version)}\.\d+", name):
            return Path(run("pyenv", "prefix", name).stdout.strip()) / "bin" / "python"
    return None
