"""Reading scripts: whose they are, and what runs them."""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from monoceros.compat import scripts

HERE = Path(sys.executable)
BY_INSTALLERS = """\
# -*- coding: utf-8 -*-
import re
import sys
from {module} import {name}
if __name__ == '__main__':
    sys.exit({name}())
"""
GUNICORN = BY_INSTALLERS.format(module="gunicorn.app.wsgiapp", name="run")
MONOCEROS = BY_INSTALLERS.format(module="monoceros.__main__", name="main")


def write(path: Path, first: str, text: str) -> scripts.Script:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first}\n{text}")
    path.chmod(0o755)
    return scripts.read(path)


@pytest.mark.parametrize(
    ("first", "text", "package", "interpreter"),
    [
        ("#!/srv/venv/bin/python3.11", GUNICORN, "gunicorn", "/srv/venv/bin/python3.11"),
        ("#!/srv/venv/bin/python", MONOCEROS, "monoceros", "/srv/venv/bin/python"),
        ("#! /usr/bin/python3 -sE", GUNICORN, "gunicorn", "/usr/bin/python3"),
        (
            "#!/bin/sh\n'''exec' \"/srv/a b/bin/python\" \"$0\" \"$@\"\n' '''",
            MONOCEROS,
            "monoceros",
            "/srv/a b/bin/python",
        ),
        ("#!/bin/sh", "exec /srv/venv/bin/gunicorn\n", "", "/bin/sh"),
        ("\x7fELF", "\x00", "", ""),
    ],
)
def test_read(tmp_path: Path, first: str, text: str, package: str, interpreter: str) -> None:
    path = tmp_path / "gunicorn"
    script = write(path, first, text)

    assert script == scripts.Script(path, package, interpreter)
    assert not script.is_of_this_environment


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert scripts.read(tmp_path) == scripts.Script(tmp_path, "", "")


@pytest.mark.parametrize("name", ["python", "python3", HERE.name])
def test_the_interpreter_of_this_environment_has_several_names(tmp_path: Path, name: str) -> None:
    script = write(tmp_path / "gunicorn", f"#!{HERE.with_name(name)}", GUNICORN)

    assert script.is_of_this_environment


def test_the_path_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert scripts.find_on_path() is None

    script = write(tmp_path / "b/gunicorn", "#!/usr/bin/python3", GUNICORN)

    assert scripts.find_on_path() == script


def install(root: Path, script: str | None = "../../bin/gunicorn") -> PathDistribution:
    """Put metadata of a distribution there whose script is at a place relative to it."""
    info = root / "lib/site-packages/some-1.dist-info"
    info.mkdir(parents=True)
    files = "some/gunicorn.py,,\nsome/bin/gunicorn/x,,\n"
    (info / "RECORD").write_text(f"{files}{script},sha256=x,1\n" if script else files)
    return PathDistribution(info)


def test_a_distribution_knows_its_place_also_where_nothing_is_there(tmp_path: Path) -> None:
    distribution = install(tmp_path)

    assert scripts.place(distribution) == tmp_path / "bin/gunicorn"
    assert scripts.find_of([distribution]) is None

    (tmp_path / "lib/bin").mkdir()
    script = write(tmp_path / "bin/gunicorn", "#!/usr/bin/python3", GUNICORN)
    assert scripts.find_of([distribution]) == script


def test_a_folder_that_pip_was_told_to_install_in(tmp_path: Path) -> None:
    distribution = install(tmp_path)
    script = write(tmp_path / "lib/site-packages/bin/gunicorn", "#!/usr/bin/python3", MONOCEROS)

    assert scripts.find_of([distribution]) == script


def test_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: os.fspath(tmp_path))

    assert scripts.find_of([]) is None
    script = write(tmp_path / "gunicorn", "#!/usr/bin/python3", GUNICORN)
    assert scripts.find_of([]) == script
    assert scripts.place(install(tmp_path, script=None)) == script.path
