"""Where the benchmarks find the project and keep what they build."""

from __future__ import annotations

from pathlib import Path

SOURCES = Path(__file__).resolve().parent
PROJECT = SOURCES.parent
BUILD = PROJECT / "build" / "benchmarks"
VENV = BUILD / "venv"
VENV_PYTHON = VENV / "bin" / "python"
