"""What entering a configuration does to the process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from monoceros.config import load
from monoceros.config.surroundings import enter, reenter


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Undo what entering does to the directory and the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("M_NEW", None)
    os.environ["M_OLD"] = "before"


def test_enter(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    argv = ["--chdir", "app", "--pythonpath", "/first, ../second", "-e", "M_NEW=1"]
    enter(load(argv, os.environ, str(tmp_path)))
    assert Path.cwd() == tmp_path / "app"
    assert sys.path[:3] == [f"{tmp_path}/app/../second", "/first", f"{tmp_path}/app"]
    assert os.environ["M_NEW"] == "1"


def test_entering_twice_adds_nothing(tmp_path: Path) -> None:
    cfg = load(["--pythonpath", "/first"], os.environ, str(tmp_path))
    enter(cfg)
    path = sys.path[:]
    enter(cfg)
    assert sys.path == path


def test_reenter_restores_variables_first(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("raw_env = ['M_NEW=1', 'M_OLD=after']\n")
    first = load([], dict(os.environ), str(tmp_path))
    enter(first)
    assert (os.environ["M_NEW"], os.environ["M_OLD"]) == ("1", "after")
    (tmp_path / "gunicorn.conf.py").write_text("raw_env = 'M_OTHER=2'\n")
    reenter(first, first.again())
    assert "M_NEW" not in os.environ
    assert (os.environ["M_OLD"], os.environ["M_OTHER"]) == ("before", "2")
