"""The configuration as one object, in the shapes that files and third parties look for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from monoceros.config import load
from monoceros.config.sections import SETTINGS
from monoceros.errors import ConfigError
from monoceros.workers.sync import SyncWorker

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Configure


def test_it_is_read_only(configure: Configure) -> None:
    cfg = configure(argv=["-w", "2"])
    for name in ("workers", "address", "invented"):
        with pytest.raises(AttributeError, match=f"read-only: {name}"):
            setattr(cfg, name, 1)
        with pytest.raises(AttributeError, match=f"read-only: {name}"):
            delattr(cfg, name)
    cfg.values().clear()
    assert cfg.workers == 2


def test_it_tells_what_was_set(configure: Configure) -> None:
    cfg = configure(argv=["-w", "3"])
    assert repr(cfg) == "<Config {'workers': 3}>"
    assert [cfg.is_given(name) for name in ("workers", "backlog")] == [True, False]


def test_an_unknown_name_has_no_origin(configure: Configure) -> None:
    cfg = configure()
    with pytest.raises(KeyError):
        cfg.origin("invented")
    with pytest.raises(AttributeError):
        cfg.invented  # type: ignore[attr-defined]  # noqa: B018


def test_settings_are_looked_up_by_name(configure: Configure, tmp_path: Path) -> None:
    cfg = configure("compat = 'gunicorn'\nworkers = 3\n")
    assert list(cfg.settings) == [one.name for one in SETTINGS]
    found = cfg.settings["workers"]
    assert (found.name, found.value, found.get(), found.default) == ("workers", 3, 3, 1)
    assert (found.cli, found.section) == (("-w", "--workers"), "Worker Processes")
    assert found.origin == f"{tmp_path}/gunicorn.conf.py:2"
    assert cfg.settings["keepalive"].get() == cfg.settings["keepalive"].default == 2


def test_what_follows_from_settings(configure: Configure) -> None:
    argv = ["-e", "A=1", "-e", "B=x=y", "-b", "Host", "-b", "[::1]:1", "-b", "unix:/s", "-b", ""]
    cfg = configure(
        argv=[*argv, "--paste-global", "a=b=c", "--paste-global", r"d\=e=f", "-u", "1", "-g", "2"],
        environ={"HOME": "/h"},
    )
    assert cfg.env == {"A": "1", "B": "x=y"}
    assert cfg.address == [("host", 8000), ("::1", 1), "/s", ("0.0.0.0", 8000)]
    assert cfg.paste_global_conf == {"a": "b=c", "d=e": "f"}
    assert (cfg.uid, cfg.gid, cfg.user, cfg.group) == (1, 2, 1, 2)
    assert cfg.environ == {"HOME": "/h"}
    assert cfg.is_ssl is False
    assert cfg.ssl_options == {
        "keyfile": None,
        "certfile": None,
        "ssl_version": None,
        "cert_reqs": 0,
        "ca_certs": None,
        "suppress_ragged_eofs": True,
        "do_handshake_on_connect": False,
        "ciphers": None,
    }


def test_ids_are_those_of_the_process(configure: Configure) -> None:
    cfg = configure()
    assert (cfg.uid, cfg.gid) == (os.geteuid(), os.getegid())


MINE = "mine_of_conf.Mine"
CLASSES = "class Mine:\n    def init_process(self): pass\n    def access(self): pass\n"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("'sync'", "sync"),
        ("'#sync'", "sync"),
        ("'egg:gunicorn#sync'", "egg:gunicorn#sync"),
        ("'gunicorn.workers.sync.SyncWorker'", "gunicorn.workers.sync.SyncWorker"),
        ("__import__('monoceros.workers.sync').workers.sync.SyncWorker", "SyncWorker"),
        ("lambda: __import__('monoceros.workers.sync').workers.sync.SyncWorker", "SyncWorker"),
    ],
)
def test_the_worker_class_is_a_class(written: str, name: str, configure: Configure) -> None:
    cfg = configure(f"worker_class = {written}\n")
    assert cfg.worker_class is SyncWorker
    assert cfg.worker_class_str == name


@pytest.mark.parametrize(
    "name",
    [
        "sync",
        "gunicorn.workers.sync.SyncWorker",
        "egg:gunicorn#sync",
        "monoceros.workers.sync.SyncWorker",
        "of_mine.MySyncWorker",
    ],
)
def test_threads_make_a_sync_worker_gthread(name: str, configure: Configure) -> None:
    cfg = configure(argv=["-k", name, "--threads", "4"])
    assert (cfg.worker_class_str, cfg.threads) == ("gthread", 4)
    assert cfg.origin("worker_class") == "follows from threads"
    told = [note for note in cfg.notes if "threads" in note]
    mine = ["With threads = 4 the worker class is gthread, not of_mine.MySyncWorker"]
    assert told == (mine if name == "of_mine.MySyncWorker" else [])
    for threads in ("0", "1"):
        assert configure(argv=["-k", name, "--threads", threads]).worker_class_str == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("'gthread'", "gthread"),
        ("'of_mine.Sync'", "of_mine.Sync"),
        ("__import__('monoceros.workers.sync').workers.sync.SyncWorker", "SyncWorker"),
    ],
)
def test_threads_change_no_other_worker_class(
    written: str, name: str, configure: Configure
) -> None:
    cfg = configure(f"worker_class = {written}\nthreads = 4\n")
    assert (cfg.worker_class_str, cfg.threads) == (name, 4)


@pytest.mark.parametrize("setting", ["worker_class", "logger_class"])
def test_classes_of_the_user(setting: str, configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "mine_of_conf.py").write_text(CLASSES + "def make(): return Mine\n")
    for written in (repr(MINE), "mine_of_conf.Mine", "mine_of_conf.make", "'mine_of_conf.make'"):
        cfg = configure(f"import mine_of_conf\n{setting} = {written}\n")
        assert getattr(cfg, setting).__name__ == "Mine"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("not_there_of_conf.Class", "No module named 'not_there_of_conf'"),
        ("json.NotThere", "module 'json' has no attribute 'NotThere'"),
        ("json.JSONDecoder", "it has no method init_process"),
        ("os.path", "neither a name nor a class"),
        ("os.getpid", "neither a name nor a class"),
        ("egg:pytest#nothing", "pytest has no entry point 'nothing' in gunicorn.workers"),
        ("egg:no-such-distribution#x", "no-such-distribution"),
    ],
)
def test_a_class_that_cannot_be_had(name: str, reason: str, configure: Configure) -> None:
    cfg = configure(argv=["-k", name])
    with pytest.raises(ConfigError) as caught:
        _ = cfg.worker_class
    message = str(caught.value)
    assert message.startswith(f"Invalid value for worker_class: {name!r} (cannot be used: ")
    assert reason in message
    assert message.endswith("Set in: command line.")


def test_the_application_is_looked_for(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "app.py").write_text("app = object()\n")
    cfg = configure("chdir = 'inner'\n")
    assert cfg.app_uri == cfg.proc_name == "app:app"
    assert cfg.notes == ("Application: app:app (found in app.py)",)
    assert configure("chdir = 'inner'\nwsgi_app = 'x:y'\n").notes == ()
    hosted = load([], {}, str(tmp_path / "inner"), "monoceros", {})
    assert (hosted.app_uri, hosted.notes) == (None, ())


def test_hint_for_kubernetes(configure: Configure) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "WEB_CONCURRENCY": "1"}
    for argv in (["a:b"], ["a:b", "--compat", "gunicorn"]):
        (note,) = configure(argv=[*argv, "--graceful-timeout", "20"], environ=environ).notes
        assert "set shutdown_delay = 5; " in note
        assert "graceful_timeout (20)" in note
    for delay in ("0", "10"):
        assert configure(argv=["a:b", "--shutdown-delay", delay], environ=environ).notes == ()


def test_hint_for_proxies(configure: Configure) -> None:
    proxied = ["a:b", "--workers", "1", "--forwarded-allow-ips", "10.0.0.1"]
    (note,) = configure("keepalive = 5\n", argv=proxied).notes
    assert note.startswith("keepalive = 5 closes connections")
    assert "Leave keepalive unset" in note
    for text in ("workers = 1\n", "keepalive = 0\n", "keepalive = 60\n"):
        assert configure(text, argv=proxied).notes == ()
    assert configure("keepalive = 5\n", argv=["a:b", "--workers", "1"]).notes == ()


def test_notes(configure: Configure) -> None:
    argv = ["a:b", "--compat", "gunicorn", "--worker-tmp-dir", "/dev/shm"]
    room, heartbeat = configure(argv=argv).notes
    assert room.startswith("1 worker; this machine has room for ")
    assert heartbeat.startswith("worker_tmp_dir is not needed")
    assert configure("workers = 1\n", argv=["a:b", "--compat", "gunicorn"]).notes == ()
    assert configure(argv=["a:b"], environ={"WEB_CONCURRENCY": "1"}).notes == ()


@pytest.mark.parametrize("name", ["max_memory", "max_memory_hard"])
def test_memory_that_no_worker_can_do_with(name: str, configure: Configure) -> None:
    assert configure(f"{name} = '1M'\n").warnings == ()
    with pytest.raises(ConfigError, match=rf"{name}: 300 \(every worker takes more; 300M are"):
        configure(f"{name} = 300\n")


@pytest.mark.parametrize(("hard", "warns"), [("299M", True), ("300M", True), ("301M", False)])
def test_memory_limits_in_the_wrong_order(hard: str, warns: bool, configure: Configure) -> None:
    warnings = configure(f"max_memory = '300M'\nmax_memory_hard = '{hard}'\n").warnings
    assert [warning.partition(" ")[0] for warning in warnings] == ["max_memory_hard"] * warns


def test_json_logs_have_json_lines(configure: Configure) -> None:
    assert configure(argv=["--log-format", "json"]).access_log_format == "json"
    both = configure(argv=["--log-format", "json", "--access-logformat", "%(h)s"])
    assert (both.log_format, both.access_log_format) == ("json", "%(h)s")


def test_what_follows_says_from_what(configure: Configure) -> None:
    argv = ["--log-format", "json", "--statsd-host", "host", "--logger-class", "simple"]
    cfg = configure(argv=argv)
    assert cfg.origin("access_log_format") == "follows from log_format"
    assert cfg.origin("logger_class") == "follows from statsd_host"
    assert configure().origin("access_log_format") == "default"


def test_files_that_reload_watches_have_to_be_there(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "page.html").touch()
    (tmp_path / "inner").mkdir()
    cfg = configure("reload_extra_files = ['page.html', '*.none']\n", argv=["--chdir", "inner"])
    assert cfg.reload_extra_files == ["page.html", "*.none"]
    with pytest.raises(ConfigError, match=r"\('gone' does not exist\)\. Allowed: "):
        configure("reload_extra_files = ['page.html', 'gone']\n")
