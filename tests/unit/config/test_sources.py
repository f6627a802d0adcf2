"""Which place wins, and what each place is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.config import load
from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Configure

VARIABLE = "environment variable WEB_CONCURRENCY"


def test_precedence(configure: Configure, tmp_path: Path) -> None:
    environ = {"WEB_CONCURRENCY": "2"}
    cfg = configure(environ=environ)
    assert (cfg.workers, cfg.origin("workers")) == (2, VARIABLE)

    cfg = configure("workers = 3\n", environ=environ)
    assert (cfg.workers, cfg.origin("workers")) == (3, f"{tmp_path}/gunicorn.conf.py:1")

    environ["GUNICORN_CMD_ARGS"] = "--workers=4 --bind :1"
    cfg = configure(environ=environ)
    assert (cfg.workers, cfg.origin("workers")) == (4, "GUNICORN_CMD_ARGS")

    cfg = configure(argv=["--workers=5"], environ=environ)
    assert (cfg.workers, cfg.origin("workers")) == (5, "command line")
    assert (cfg.bind, cfg.origin("bind")) == ([":1"], "GUNICORN_CMD_ARGS")


def test_a_framework_stands_between_environment_and_file(
    configure: Configure, tmp_path: Path
) -> None:
    framework = {"workers": "4", "backlog": 5, "bind": "host:1"}
    (tmp_path / "gunicorn.conf.py").write_text("backlog = 6\n")
    cfg = load(["-b", ":2"], {"WEB_CONCURRENCY": "2"}, str(tmp_path), "gunicorn", framework)
    assert (cfg.workers, cfg.origin("workers")) == (4, "the framework's configuration")
    assert (cfg.backlog, cfg.origin("backlog")) == (6, f"{tmp_path}/gunicorn.conf.py:1")
    assert (cfg.bind, cfg.origin("bind")) == ([":2"], "command line")
    assert cfg.app_uri is None
    with pytest.raises(ConfigError, match=r"Set in: the framework's configuration\.$"):
        load([], {}, str(tmp_path), "gunicorn", {"timeout": "soon"})


def test_a_framework_may_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 1\n")
    (tmp_path / "other.py").write_text("workers = 7\n")
    assert load([], {}, str(tmp_path), "gunicorn", {"config": "other.py"}).workers == 7


@pytest.mark.parametrize("place", ["file", "variable", "command line"])
def test_whose_defaults_are_in_force(place: str, configure: Configure) -> None:
    cfg = configure(
        "compat = 'gunicorn'\n" if place == "file" else "",
        argv=["--compat", "gunicorn"] if place == "command line" else [],
        environ={"GUNICORN_CMD_ARGS": "--compat=gunicorn"} if place == "variable" else {},
    )
    assert (cfg.compat, cfg.workers, cfg.keepalive) == ("gunicorn", 1, 2)


def test_settings_that_are_given_hold_under_both_names(configure: Configure) -> None:
    for name in ("monoceros", "gunicorn"):
        cfg = configure(argv=["--compat", name, "-w", "3", "--keep-alive", "9"])
        assert (cfg.workers, cfg.keepalive) == (3, 9)


def test_a_list_replaces_the_whole_list(configure: Configure) -> None:
    cfg = configure("bind = [':1', ':2']\n", argv=["-b", ":3", "--bind=unix:x"])
    assert cfg.bind == [":3", "unix:x"]
    assert cfg.address == [("0.0.0.0", 3), "x"]


@pytest.mark.parametrize("variable", ["PORT", "WEB_CONCURRENCY", "SENDFILE"])
def test_an_empty_variable_is_no_value(variable: str, configure: Configure) -> None:
    assert configure(environ={variable: ""}).values() == configure().values()


def test_the_variable_is_split_like_a_shell(configure: Configure) -> None:
    cfg = configure(environ={"GUNICORN_CMD_ARGS": "--env 'A=b c' --name \"x y\""})
    assert (cfg.raw_env, cfg.proc_name) == (["A=b c"], "x y")
    with pytest.raises(ConfigError, match="GUNICORN_CMD_ARGS cannot be split"):
        configure(environ={"GUNICORN_CMD_ARGS": "'"})


def test_the_application_of_the_command_line_wins(configure: Configure) -> None:
    assert configure("wsgi_app = 'file:app'\n").app_uri == "file:app"
    assert configure(argv=["line:app"]).app_uri == "line:app"
    assert configure("workers = 1\n").app_uri is None
    assert configure(environ={"GUNICORN_CMD_ARGS": "-w 1 variable:app"}).app_uri is None


def test_the_application_names_the_process(configure: Configure) -> None:
    assert configure(argv=["a:b"]).proc_name == "a:b"
    assert configure(argv=["a:b", "--name", "mine"]).proc_name == "mine"
    assert configure().proc_name == "monoceros"


def test_a_file_of_another_place(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("workers = 6\n")
    configure("workers = 3\n")
    assert configure(argv=["-c", "other.py"]).workers == 6
    assert configure(argv=["-c", "file:other.py"]).workers == 6
    assert configure(argv=["-c", str(tmp_path / "other.py")]).workers == 6
    assert configure(environ={"GUNICORN_CMD_ARGS": "-c other.py"}).workers == 6
    both = configure(argv=["-c", "gunicorn.conf.py"], environ={"GUNICORN_CMD_ARGS": "-c other.py"})
    assert both.workers == 3


def test_chdir_does_not_move_the_file(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "gunicorn.conf.py").write_text("workers = 6\n")
    cfg = configure("workers = 3\n", argv=["--chdir", "inner"])
    assert (cfg.workers, cfg.chdir) == (3, str(tmp_path / "inner"))


def test_tmp_upload_dir_is_relative_to_chdir(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "inner" / "spool").mkdir(parents=True)
    cfg = configure("chdir = 'inner'\ntmp_upload_dir = 'spool'\n")
    assert cfg.tmp_upload_dir == str(tmp_path / "inner" / "spool")


def test_again_reads_the_file_and_nothing_else(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"WEB_CONCURRENCY": "2"}
    (tmp_path / "conf.py").write_text("backlog = 1\n")
    first = load(["-c", "conf.py", "--timeout", "9"], environ, str(tmp_path))
    (tmp_path / "conf.py").write_text("backlog = 2\n")
    environ["WEB_CONCURRENCY"] = "8"
    monkeypatch.chdir("/")
    second = first.again()
    assert (first.backlog, second.backlog) == (1, 2)
    assert (second.timeout, second.workers, second.chdir) == (9, 2, str(tmp_path))
    assert second.again().values() == second.values()
