"""Compiles the C programs of this directory when they are missing or older than their sources."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from benchmarks.paths import BUILD, SOURCES

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = {
    "raw_epoll": ("raw_epoll.c",),
    "loadgen": ("loadgen.c", "answers.c", "answers.h", "timing.c", "timing.h"),
    "wsload": ("wsload.c", "timing.c", "timing.h"),
}


def build(program: str) -> Path:
    """Return the path of the built program; ``RuntimeError`` without a C compiler."""
    sources = [SOURCES / name for name in PROGRAMS[program]]
    binary = BUILD / "bin" / program
    if binary.exists() and binary.stat().st_mtime >= max(s.stat().st_mtime for s in sources):
        return binary
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError(f"{program} needs a C compiler (cc, gcc or clang): none found")
    binary.parent.mkdir(parents=True, exist_ok=True)
    units = [str(source) for source in sources if source.suffix == ".c"]
    subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-o", str(binary), *units], check=True, timeout=120
    )
    return binary
