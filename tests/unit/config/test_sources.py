"""Which place wins, and what each place is called."""

from __future__ import annotations

import os
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


def test_a_list_replaces_the_whole_list(configure: Configure) -> None:
    cfg = configure("bind = [':1', ':2']\n", argv=["-b", ":3", "--bind=unix:x"])
    assert cfg.bind == [":3", "unix:x"]
    assert cfg.address == [("0.0.0.0", 3), "x"]


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("PORT", "5000", "bind", ["0.0.0.0:5000"]),
        ("WEB_CONCURRENCY", "7", "workers", 7),
        ("FORWARDED_ALLOW_IPS", "*", "forwarded_allow_ips", ["*"]),
        ("FORWARDED_ALLOW_IPS", "", "forwarded_allow_ips", []),
        ("SENDFILE", "0", "sendfile", False),
        ("SENDFILE", "y", "sendfile", True),
    ],
)
def test_environment(
    variable: str, text: str, setting: str, value: object, configure: Configure
) -> None:
    cfg = configure(environ={variable: text})
    assert getattr(cfg, setting) == value
    assert cfg.origin(setting) == f"environment variable {variable}"


@pytest.mark.parametrize("variable", ["PORT", "WEB_CONCURRENCY", "SENDFILE"])
def test_an_empty_variable_is_no_value(variable: str, configure: Configure) -> None:
    assert configure(environ={variable: ""}).values() == configure().values()


def test_a_wrong_variable_is_named(configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"bind: '0\.0\.0\.0:web' .* environment variable PORT"):
        configure(environ={"PORT": "web"})


def test_a_wrong_option_ends_with_2(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        configure(argv=["--wrong"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --wrong" in capsys.readouterr().err


def test_a_wrong_option_in_the_variable_names_the_variable(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        configure(environ={"GUNICORN_CMD_ARGS": "--wrong"})
    assert caught.value.code == 2
    assert "monoceros (GUNICORN_CMD_ARGS): error: unrecognized" in capsys.readouterr().err


def test_the_variable_is_split_like_a_shell(configure: Configure) -> None:
    cfg = configure(environ={"GUNICORN_CMD_ARGS": "--env 'A=b c' --name \"x y\""})
    assert (cfg.raw_env, cfg.proc_name) == (["A=b c"], "x y")
    with pytest.raises(ConfigError, match="GUNICORN_CMD_ARGS cannot be split"):
        configure(environ={"GUNICORN_CMD_ARGS": "'"})


def test_options_may_be_cut_short_and_stand_anywhere(configure: Configure) -> None:
    cfg = configure(argv=["--graceful", "5", "a:b", "ignored", "--access-logform", "X"])
    assert (cfg.graceful_timeout, cfg.app_uri, cfg.access_log_format) == (5, "a:b", "X")


def test_the_application_of_the_command_line_wins(configure: Configure) -> None:
    assert configure("wsgi_app = 'file:app'\n").app_uri == "file:app"
    assert configure(argv=["line:app"]).app_uri == "line:app"
    assert configure("workers = 1\n").app_uri is None


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


def test_reload_reads_the_file_again_and_nothing_else(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"WEB_CONCURRENCY": "2"}
    (tmp_path / "conf.py").write_text("backlog = 1\n")
    first = load(["-c", "conf.py", "--timeout", "9"], environ, str(tmp_path))
    (tmp_path / "conf.py").write_text("backlog = 2\n")
    environ["WEB_CONCURRENCY"] = "8"
    monkeypatch.chdir("/")
    second = first.reload()
    assert (first.backlog, second.backlog) == (1, 2)
    assert (second.timeout, second.workers, second.chdir) == (9, 2, str(tmp_path))
    assert second.reload().values() == second.values()


def test_a_configuration_is_read_only(configure: Configure) -> None:
    cfg = configure()
    for name in ("workers", "address", "invented"):
        with pytest.raises(AttributeError, match=f"read-only: {name}"):
            setattr(cfg, name, 1)
        with pytest.raises(AttributeError, match=f"read-only: {name}"):
            delattr(cfg, name)
    cfg.values().clear()
    assert cfg.workers == 1


def test_a_configuration_tells_what_was_set(configure: Configure) -> None:
    assert repr(configure(argv=["-w", "3"])) == "<Config {'workers': 3}>"


def test_an_unknown_name_has_no_origin(configure: Configure) -> None:
    with pytest.raises(KeyError):
        configure().origin("invented")


def test_ids_and_environment(configure: Configure) -> None:
    cfg = configure(argv=["-e", "A=1", "-e", "B=x=y"])
    assert (cfg.uid, cfg.gid) == (os.geteuid(), os.getegid())
    assert cfg.env == {"A": "1", "B": "x=y"}
