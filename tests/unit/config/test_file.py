"""Configuration files: what is taken from them, and how their own errors show."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.config import load
from monoceros.config.file import find_lines
from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Configure


def test_unknown_names_are_ignored(configure: Configure) -> None:
    assert configure("preload = True\nlogfile = '-'\n_x = 1\nworkers = 2\n").workers == 2


def test_the_name_config_has_no_effect(configure: Configure) -> None:
    assert configure("config = 7\n").config == "./gunicorn.conf.py"


def test_a_file_may_import_its_neighbours(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_conf.py").write_text("N = 4\n")
    assert configure("from neighbour_of_conf import N\nworkers = N\n").workers == 4


def test_a_file_is_a_module(configure: Configure, tmp_path: Path) -> None:
    cfg = configure("proc_name = f'{__name__} {__file__}'\n")
    assert cfg.proc_name == f"__config__ {tmp_path}/gunicorn.conf.py"
    assert vars(sys.modules["__config__"])["proc_name"] == cfg.proc_name


def test_a_file_declares_its_encoding(tmp_path: Path) -> None:
    source = "# -*- coding: latin-1 -*-\nproc_name = 'é'\n".encode("latin-1")
    (tmp_path / "gunicorn.conf.py").write_bytes(source)
    assert load([], {}, str(tmp_path)).proc_name == "é"


def test_a_file_of_another_name_is_run_and_remarked(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.ini").write_text("workers = 3\n")
    cfg = configure(argv=["-c", "gunicorn.ini"])
    assert (cfg.workers, cfg.origin("workers")) == (3, f"{tmp_path}/gunicorn.ini:1")
    assert cfg.warnings == (
        f"The configuration file '{tmp_path}/gunicorn.ini' is run as Python, but not named *.py",
    )


def test_imported_modules_are_no_settings(configure: Configure) -> None:
    cfg = configure("import syslog\nimport multiprocessing as workers\n")
    assert (cfg.syslog, cfg.is_given("syslog")) == (False, False)


def test_a_missing_file(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'{tmp_path}/nope.py' doesn't exist"):
        configure("workers = 1\n", argv=["-c", "nope.py"])
    with pytest.raises(ConfigError, match=f"'{tmp_path}/nope' doesn't exist"):
        configure(environ={"GUNICORN_CMD_ARGS": "--config=file:nope"})


def test_a_file_that_cannot_be_read(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(argv=["-c", "."])
    assert str(caught.value) == f"Failed to read config file: {tmp_path}: Is a directory"


def test_an_exception_shows_the_files_own_traceback(configure: Configure, tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.conf.py"
    with pytest.raises(ConfigError) as caught:
        configure("def f():\n    raise LookupError('gone')\n\nf()\n")
    message = str(caught.value)
    assert message.startswith(f"Failed to read config file: {path}\nTraceback")
    assert message.endswith("LookupError: gone")
    assert [line.strip() for line in message.splitlines() if "File " in line] == [
        f'File "{path}", line 4, in <module>',
        f'File "{path}", line 2, in f',
    ]


def test_an_exception_in_what_the_file_calls(configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r'json/decoder\.py"') as caught:
        configure("import json\njson.loads('{')\n")
    assert "config/file.py" not in str(caught.value)


def test_a_syntax_error_shows_its_line(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        configure("workers = 1\nworkers = = 2\n")
    message = str(caught.value)
    assert f'File "{tmp_path}/gunicorn.conf.py", line 2' in message
    assert "SyntaxError" in message
    assert "config/file.py" not in message


def test_a_file_that_exits_is_an_error(configure: Configure) -> None:
    with pytest.raises(ConfigError, match="SystemExit: DATABASE_URL is missing"):
        configure("raise SystemExit('DATABASE_URL is missing')\n")


def test_a_module(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "conf_as_module.py").write_text("\nworkers = 5\n")
    cfg = configure(argv=["-c", "python:conf_as_module"])
    assert (cfg.workers, cfg.origin("workers")) == (5, f"{tmp_path}/conf_as_module.py:2")


def test_a_missing_module(configure: Configure) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(argv=["-c", "python:conf_that_is_not_there"])
    message = str(caught.value)
    assert "No module named 'conf_that_is_not_there'" in message
    assert "config/file.py" not in message
    assert "importlib" not in message


def test_imported_settings_name_the_file(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "base_of_conf.py").write_text("workers = 5\nbacklog = 1\n")
    cfg = configure("from base_of_conf import *\nfrom base_of_conf import backlog\n")
    assert cfg.origin("workers") == f"{tmp_path}/gunicorn.conf.py"
    assert cfg.origin("backlog") == f"{tmp_path}/gunicorn.conf.py:2"


SOURCE = b"""\
import os, sys as system
from a.b import c as d
workers = 1
if workers:
    workers = 2
    bind: str = "x"
else:
    timeout += 1
with open("f") as handle:
    pass
def post_fork(server, worker):
    inner = 1
class Klass:
    attribute = 1
for index, (left, right) in ():
    pass
try:
    late = 1
except OSError:
    late = 2
squares = [item for item in ()]
"""


def test_lines() -> None:
    assert find_lines(ast.parse(SOURCE)) == {
        "os": 1,
        "system": 1,
        "d": 2,
        "workers": 5,
        "bind": 6,
        "timeout": 8,
        "handle": 9,
        "post_fork": 11,
        "Klass": 13,
        "index": 15,
        "left": 15,
        "right": 15,
        "late": 20,
        "squares": 21,
    }


def test_a_file_that_imports_what_there_is_not_of_gunicorn(configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"gunicorn\.nothing") as caught:
        configure("raise ModuleNotFoundError('gunicorn.nothing', name='gunicorn.nothing')\n")
    assert "docs/python-api.md" in str(caught.value)
