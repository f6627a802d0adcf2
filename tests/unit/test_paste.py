"""PasteDeploy, both ways: its files as the application, and the server started out of one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from monoceros import cli, paste
from monoceros.config import load
from monoceros.config.pastefile import PasteFile
from monoceros.errors import AppImportError, ConfigError
from monoceros.workers.application import Application

if TYPE_CHECKING:
    from pathlib import Path

    from monoceros.config import Config
    from monoceros.http.types import WsgiApp

INI = """\
[app:main]
paste.app_factory = factory_of_paste:make
who = %(user)s

[app:other]
paste.app_factory = factory_of_paste:make
who = other

[app:broken]
paste.app_factory = factory_of_paste:none
"""
FACTORY = """\
def make(global_conf, who):
    return lambda environ, start_response: [who.encode()]
def none(global_conf):
    return None
"""


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.ini").write_text(INI)
    (tmp_path / "factory_of_paste.py").write_text(FACTORY)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)


def answer(app: WsgiApp) -> bytes:
    return b"".join(app({}, lambda *_: lambda _: None))


def configure(directory: Path, *argv: str) -> Config:
    return load(argv, {}, str(directory))


@pytest.mark.parametrize(
    ("file", "who"),
    [("site.ini", b"somebody"), ("site.ini#main", b"somebody"), ("site.ini#other", b"other")],
)
def test_the_application_of_a_file(file: str, who: bytes, tmp_path: Path) -> None:
    pytest.importorskip("paste.deploy")
    cfg = configure(tmp_path, "--paste", file, "--paste-global", "user=somebody")
    assert answer(Application(cfg).wsgi()) == who


def test_what_follows_from_a_file(tmp_path: Path) -> None:
    cfg = configure(tmp_path, "--paste", "site.ini#other")
    assert (cfg.default_proc_name, cfg.proc_name, cfg.logconfig) == ("site.ini", "site.ini", None)
    with (tmp_path / "site.ini").open("a") as file:
        file.write("[loggers]\nkeys = root\n")
    assert configure(tmp_path, "--paste", "site.ini").logconfig == str(tmp_path / "site.ini")
    given = configure(tmp_path, "--paste", "site.ini", "--log-config", "other.ini", "--name", "x")
    assert (given.logconfig, given.proc_name) == ("other.ini", "x")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("paste.deploy")
    assert not PasteFile.parse("nothing.ini", str(tmp_path)).has_loggers()
    with pytest.raises(AppImportError, match=f"^paste: there is no file {tmp_path}/nothing.ini$"):
        Application(configure(tmp_path, "--paste", "nothing.ini")).wsgi()


def test_no_application_in_a_file(tmp_path: Path) -> None:
    pytest.importorskip("paste.deploy")
    cfg = configure(tmp_path, "--paste", "site.ini#broken", "--paste-global", "user=x")
    with pytest.raises(AppImportError, match=f"'{tmp_path}/site.ini#broken' is None"):
        Application(cfg).wsgi()


def test_paste_deploy_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name.startswith("paste"):
                raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "paste"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(AppImportError, match=r"pip install 'monoceros\[paste\]'$"):
        Application(configure(tmp_path, "--paste", "site.ini")).wsgi()


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ({}, {}),
        ({"host": "0.0.0.0", "port": "80"}, {"bind": ["0.0.0.0:80"]}),
        ({"port": "80"}, {"bind": [":80"]}),
        (
            {"host": "a, ::1,[::2], unix:/s", "port": "80"},
            {"bind": ["a:80", "[::1]:80", "[::2]:80", "unix:/s"]},
        ),
        ({"host": "localhost"}, {"bind": ["localhost"]}),
        ({"Workers": "3", "config": "x.py"}, {"workers": "3", "config": "x.py"}),
    ],
)
def test_settings_of_a_section(section: dict[str, str], settings: dict[str, object]) -> None:
    assert paste.collect_settings({}, section) == settings


def test_settings_from_the_file_around_the_section(tmp_path: Path) -> None:
    file = tmp_path / "site.ini"
    assert paste.collect_settings({"__file__": str(file)}, {}) == {"default_proc_name": str(file)}
    file.write_text("[loggers]\n")
    given = {"default_proc_name": "x", "logconfig": "y"}
    assert paste.collect_settings({"__file__": str(file)}, given) == given
    assert paste.collect_settings({"__file__": str(file)}, {})["logconfig"] == str(file)


def test_an_unknown_setting_in_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"^wrokers, in a server section of /s\.ini, is"):
        paste.collect_settings({"__file__": "/s.ini"}, {"wrokers": "1"})
    with pytest.raises(SystemExit, match="Error: wrokers, in a server section, is not a setting"):
        paste.serve(lambda *_: [], {}, wrokers="1")


def test_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosted: list[tuple[Config, WsgiApp]] = []
    monkeypatch.setattr(cli, "host", lambda *args: hosted.append(args))
    monkeypatch.setattr(sys, "argv", ["pserve", "--wrong", "site.ini"])
    (tmp_path / "conf.py").write_text("threads = 1\ntimeout = 7\n")

    def app(*_: object) -> list[bytes]:
        return []

    paste.serve(app, {}, host="127.0.0.1", port="1234", config="conf.py", workers="4", timeout="9")
    [(cfg, served)] = hosted
    assert served is app
    assert (cfg.bind, cfg.workers, cfg.timeout) == (["127.0.0.1:1234"], 4, 7)
    assert Application(cfg, served).wsgi() is app
    assert Application(cfg, served).again(cfg.again()).wsgi() is app


def test_serve_as_gunicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    hosted: list[Config] = []
    monkeypatch.setattr(cli, "host", lambda cfg, _: hosted.append(cfg))

    paste.serve_as_gunicorn(lambda *_: [], {}, timeout="9")
    paste.serve_as_gunicorn(lambda *_: [], {}, compat="monoceros")

    assert [(cfg.compat, cfg.keepalive) for cfg in hosted] == [("gunicorn", 2), ("monoceros", 75)]
    assert hosted[0].timeout == 9
