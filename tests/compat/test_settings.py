"""The configuration that programs set up, and what else ``gunicorn.config`` has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gunicorn.config
import pytest

from monoceros.compat.settings import EditableConfig, make_settings
from monoceros.config.sections import SETTINGS
from monoceros.errors import ConfigError
from monoceros.workers.gthread import ThreadWorker
from monoceros.workers.sync import SyncWorker

if TYPE_CHECKING:
    from pathlib import Path

    from monoceros.config import Config


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EditableConfig:
    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)
    return EditableConfig("usage", prog="prog")


def never() -> Config:
    raise AssertionError("not to be called")


def test_defaults_are_gunicorns(cfg: EditableConfig) -> None:
    assert (cfg.workers, cfg.keepalive, cfg.compat) == (1, 2, "gunicorn")
    assert cfg.worker_class is SyncWorker
    assert (cfg.usage, cfg.prog) == ("usage", "prog")


def test_set_and_read(cfg: EditableConfig) -> None:
    cfg.set("workers", "3")
    cfg.set("bind", "127.0.0.1:1")
    cfg.set("raw_env", ["A=b"])
    cfg.set("worker_class", ThreadWorker)
    cfg.set("user", os.geteuid())

    assert (cfg.workers, cfg.bind, cfg.address) == (3, ["127.0.0.1:1"], [("127.0.0.1", 1)])
    assert (cfg.env, cfg.worker_class, cfg.uid) == ({"A": "b"}, ThreadWorker, os.geteuid())
    assert cfg.worker_class_str == "ThreadWorker"
    assert cfg.settings["workers"].value == cfg.settings["workers"].get() == 3
    assert cfg.is_given("workers")
    assert not cfg.is_given("timeout")
    assert cfg.origin("workers") == "the program that hosts the server"
    assert cfg.origin("timeout") == "default"
    assert not cfg.is_ssl
    assert cfg.ssl_options["certfile"] is None


def test_settings_by_name(cfg: EditableConfig) -> None:
    assert "workers" in cfg.settings
    assert "wrokers" not in cfg.settings
    assert set(cfg.settings) == {one.name for one in SETTINGS}
    cfg.settings["timeout"].set(7)
    assert cfg.timeout == 7
    copy = cfg.settings["timeout"].copy()
    copy.set(8)
    assert cfg.timeout == 7
    assert "Timeout timeout = 7" in repr(cfg.settings["timeout"])
    assert sorted(cfg.settings.values())[0].section <= sorted(cfg.settings.values())[-1].section


def test_what_cannot_be_set(cfg: EditableConfig) -> None:
    with pytest.raises(ConfigError, match="Invalid value for workers: 'many'"):
        cfg.set("workers", "many")
    with pytest.raises(AttributeError, match="No configuration setting for: wrokers"):
        cfg.set("wrokers", 1)
    with pytest.raises(AttributeError, match=r"use set\('workers'"):
        cfg.workers = 3
    with pytest.raises(AttributeError, match="settings stay"):
        del cfg.workers
    with pytest.raises(RuntimeError, match="only the program"):
        cfg.again()
    cfg.own = 7
    assert vars(cfg)["own"] == 7


def test_the_environment_replaces_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "81")
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--timeout 5 --name 'a b'")
    cfg = EditableConfig()

    assert (cfg.bind, cfg.workers, cfg.prog) == (["0.0.0.0:81"], 4, "gunicorn")
    assert cfg.get_cmd_args_from_env() == ["--timeout", "5", "--name", "a b"]
    for name, value in vars(cfg.parser().parse_args(cfg.get_cmd_args_from_env())).items():
        if value is not None and name != "args":
            cfg.set(name.lower(), value)
    assert (cfg.timeout, cfg.proc_name) == (5, "a b")


def test_the_parser_knows_shortened_options(cfg: EditableConfig) -> None:
    assert cfg.parser().format_usage() == "usage: usage\n"
    found = cfg.parser().parse_args(["--worker-cl", "gthread", "-b", ":1", "a:b"])

    assert (found.worker_class, found.bind, found.args) == ("gthread", [":1"], ["a:b"])
    assert (found.workers, found.timeout) == (None, None)


def test_what_the_server_runs_with(cfg: EditableConfig) -> None:
    cfg.set("threads", 2)
    frozen = cfg.freeze(never)

    assert (frozen.worker_class, frozen.keepalive, frozen.workers) == (ThreadWorker, 2, 1)
    assert frozen.origin("threads") == "the program that hosts the server"
    assert not frozen.is_given("keepalive")
    with pytest.raises(AttributeError, match="read-only"):
        frozen.threads = 3
    cfg.set("threads", 1)
    assert frozen.threads == 2
    with pytest.raises(AssertionError, match="not to be called"):
        frozen.again()


def test_compat_is_a_setting(cfg: EditableConfig) -> None:
    cfg.set("compat", "monoceros")

    assert cfg.freeze(never).keepalive == 75


def test_classes_of_settings() -> None:
    module: Any = gunicorn.config
    assert module.Config is EditableConfig
    assert "%(h)s" in module.AccessLogFormat.default
    assert (module.Workers.name, module.Workers.cli) == ("workers", ["-w", "--workers"])
    assert module.Bind.section == "Server Socket"
    assert module.PreRequest.default.__name__ == "log_request"
    assert module.Timeout in module.KNOWN_SETTINGS
    assert module.make_settings()["timeout"].value == 30
    assert "timeout" not in make_settings(ignore=[module.Timeout])
    with pytest.raises(AttributeError, match="has no attribute 'Timeouts'"):
        _ = module.Timeouts
    with pytest.raises(TypeError, match="settings of your own cannot be added"):
        type("Own", (module.Setting,), {"name": "own"})


def test_the_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert gunicorn.config.get_default_config_file() is None
    (tmp_path / "gunicorn.conf.py").touch()
    assert gunicorn.config.get_default_config_file() == str(tmp_path / "gunicorn.conf.py")


@pytest.mark.parametrize(
    ("check", "value", "result"),
    [
        ("bool", "true", True),
        ("bool", None, None),
        ("dict", {"a": 1}, {"a": 1}),
        ("pos_int", "0x10", 16),
        ("string", " a ", "a"),
        ("string", None, None),
        ("list_string", "a", ["a"]),
        ("list_string", None, []),
        ("string_to_list", "a, b", ["a", "b"]),
        ("string_to_list", ["a"], ["a"]),
        ("string_to_list", None, []),
        ("file_exists", "/", "/"),
        ("file_exists", None, None),
        ("chdir", "/", "/"),
        ("class", "a.b", "a.b"),
        ("class", SyncWorker, SyncWorker),
        ("user", os.geteuid(), os.geteuid()),
        ("group", None, os.getegid()),
    ],
)
def test_checks(check: str, value: object, result: object) -> None:
    assert getattr(gunicorn.config, f"validate_{check}")(value) == result


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("bool", "maybe"),
        ("dict", []),
        ("pos_int", -1),
        ("string", 1),
        ("file_exists", "/nowhere"),
        ("chdir", "/nowhere"),
        ("user", "nobody there"),
        ("post_request", len),
    ],
)
def test_checks_that_fail(check: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"^|."):
        getattr(gunicorn.config, f"validate_{check}")(value)


def test_checks_of_functions() -> None:
    def two(a: object, b: object) -> tuple[object, object]:
        return a, b

    assert gunicorn.config.validate_callable(2)(two) is two
    assert gunicorn.config.validate_callable(-1)(len) is len
    assert gunicorn.config.validate_post_request(two)(1, 2, 3, 4) == (1, 2)
    assert gunicorn.config.validate_class(lambda: SyncWorker) is SyncWorker
    for value in (lambda: None, 7):
        with pytest.raises(ValueError, match="call"):
            gunicorn.config.validate_callable(2)(value)
    with pytest.raises(ValueError, match="not callable"):
        gunicorn.config.validate_callable(-1)(7)
