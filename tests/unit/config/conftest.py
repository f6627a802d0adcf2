"""What the tests of the configuration share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

import pytest

from monoceros.config import Config, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Configure(Protocol):
    """Write a configuration file, if there is any text for it, and load everything."""

    def __call__(
        self, file: str = "", argv: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> Config: ...


@pytest.fixture(autouse=True)
def _search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what loading does to the module search path."""
    monkeypatch.setattr(sys, "path", sys.path[:])


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Load a configuration in a directory of its own."""

    def configure(
        file: str = "", argv: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> Config:
        if file:
            (tmp_path / "gunicorn.conf.py").write_text(file)
        return load(argv, environ or {}, str(tmp_path))

    return configure
