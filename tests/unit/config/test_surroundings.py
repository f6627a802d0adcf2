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
    monkeypatch.setattr(sys, "path", sys.path[:])
    os.environ.pop("M_NEW", None)
    os.environ["M_OLD"] = "before"


def test_enter(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    argv = ["--chdir", "app", "--pythonpath", "/first, ../second", "-e", "M_NEW=1"]
    enter(load(argv, os.environ, str(tmp_path)))
    assert Path.cwd() == tmp_path / "app"
    assert sys.path[:3] == [f"{tmp_path}/app/../second", "/first", f"{tmp_path}/app"]
    assert os.environ["M_NEW"] == "1"


def test_the_directory_comes_first_wherever_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ["/before", str(tmp_path)]
    monkeypatch.setattr(sys, "path", before[:])
    cfg = load([], os.environ, str(tmp_path))
    enter(cfg)
    assert sys.path == [str(tmp_path), *before]


def test_reenter_follows_the_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ["/before", str(tmp_path)]
    monkeypatch.setattr(sys, "path", before[:])
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    configs = [
        load(argv, os.environ, str(tmp_path))
        for argv in ([], ["--chdir", "one", "--pythonpath", "/first"], ["--chdir", "two"])
    ]
    added = [[str(tmp_path)], ["/first", f"{tmp_path}/one"], [f"{tmp_path}/two"]]
    enter(configs[0])
    current = 0
    for following in (1, 2, 1, 0, 0):
        reenter(configs[current], configs[following])
        assert sys.path == [*added[following], *before]
        current = following


def test_reenter_a_directory_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    first = load(["-e", "M_NEW=1"], dict(os.environ), str(tmp_path))
    second = load(["--chdir", "one"], dict(os.environ), str(tmp_path))
    enter(first)
    path = sys.path[:]
    (tmp_path / "one").rmdir()
    with pytest.raises(FileNotFoundError):
        reenter(first, second)
    assert (sys.path, os.environ["M_NEW"]) == (path, "1")


def test_reenter_restores_variables_first(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("raw_env = ['M_NEW=1', 'M_OLD=after']\n")
    first = load([], dict(os.environ), str(tmp_path))
    enter(first)
    assert (os.environ["M_NEW"], os.environ["M_OLD"]) == ("1", "after")
    (tmp_path / "gunicorn.conf.py").write_text("raw_env = 'M_OTHER=2'\n")
    reenter(first, first.again())
    assert "M_NEW" not in os.environ
    assert (os.environ["M_OLD"], os.environ["M_OTHER"]) == ("before", "2")
