"""The forms that values may have, and why others are refused."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.config import derived, references
from monoceros.config.sections import SETTINGS
from monoceros.errors import ConfigError

from .cases import CASES

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Configure

NUMBERS = [name for name, case in CASES.items() if case.file == "'17'"]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_whole_and_bounded(name: str, configure: Configure) -> None:
    for bad in ("-1", "1.5", "None", "2**64", "[]", "'0x'", "''", "'1 2'"):
        with pytest.raises(ConfigError, match=f"Invalid value for {name}: "):
            configure(f"{name} = {bad}\n")


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_say_their_unit(name: str) -> None:
    setting = next(one for one in SETTINGS if one.name == name)
    unit = re.match(r"a whole number of ([a-z ]+) from ", setting.kind.allowed)
    assert unit is not None
    assert unit[1] in setting.doc


@pytest.mark.parametrize(
    ("written", "number"),
    [("3", 3), ("'3'", 3), ("' 3 '", 3), ("'0x10'", 16), ("'0o17'", 15), ("True", 1), ("'007'", 7)],
)
def test_forms_of_numbers(written: str, number: int, configure: Configure) -> None:
    value = configure(f"backlog = {written}\n").backlog
    assert (value, type(value)) == (number, int)


@pytest.mark.parametrize("written", ["'auto'", "' AUTO '"])
def test_the_number_of_workers_may_be_left_to_the_machine(
    written: str, configure: Configure
) -> None:
    cfg = configure(f"compat = 'gunicorn'\nworkers = {written}\n")
    assert cfg.plan is not None
    assert cfg.workers == cfg.plan.workers
    assert configure("workers = 3\n").plan is None
    assert configure("", environ={"WEB_CONCURRENCY": "auto"}, argv=["-w", "auto"]).plan is not None


def test_no_workers_are_a_number_too(configure: Configure) -> None:
    assert configure(argv=["-w", "0"]).workers == 0


@pytest.mark.parametrize(
    ("written", "mask"),
    [
        ("'0'", 0),
        ("'007'", 7),
        ("'022'", 0o22),
        ("'0o77'", 0o77),
        ("'0x1f'", 0x1F),
        ("18", 18),
        ("'18'", 18),
    ],
)
def test_umask_forms(written: str, mask: int, configure: Configure) -> None:
    assert configure(f"umask = {written}\n").umask == mask
    if written.startswith("'"):
        assert configure(argv=["-m", written.strip("'")]).umask == mask


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("True", "'true'", "'True'", "' yes'", "'y'", "'ON'", "'1'"), True),
        (("False", "'false'", "'no'", "'n'", "'off'", "'0'"), False),
    ],
)
def test_words_for_switches(words: tuple[str, ...], value: bool, configure: Configure) -> None:
    for word in words:
        assert configure(f"preload_app = {word}\n").preload_app is value
    for wrong in ("2", "1.0", "[]", "''"):
        with pytest.raises(ConfigError, match="Allowed: True or False"):
            configure(f"preload_app = {wrong}\n")


@pytest.mark.parametrize("name", ["bind", "raw_env", "reload_extra_files", "access_log_skip"])
def test_a_string_is_a_list_of_one(name: str, configure: Configure) -> None:
    text = {"bind": ":1", "raw_env": "A=1,B=2"}.get(name, "a*,b*")
    for written in (repr(text), repr([text]), repr((text,))):
        assert configure(f"{name} = {written}\n").values()[name] == [text]


@pytest.mark.parametrize(("text", "trusted"), [("", []), ("*", ["*"]), ("::1, ", ["::1"])])
def test_who_is_trusted(text: str, trusted: list[str], configure: Configure) -> None:
    for cfg in (
        configure(f"forwarded_allow_ips = {text!r}\n"),
        configure("", argv=["--forwarded-allow-ips", text]),
        configure("workers = 1\n", environ={"FORWARDED_ALLOW_IPS": text}),
    ):
        assert cfg.forwarded_allow_ips == trusted


@pytest.mark.parametrize("name", ["forwarded_allow_ips", "forwarder_headers"])
def test_none_trusts_nobody(name: str, configure: Configure) -> None:
    for environ in ({}, {"FORWARDED_ALLOW_IPS": "*"}):
        assert configure(f"{name} = None\n", environ=environ).values()[name] == []


@pytest.mark.parametrize("name", ["keyfile", "certfile", "ca_certs", "ciphers"])
def test_an_empty_text_leaves_off_what_is_not_there_yet(name: str, configure: Configure) -> None:
    assert not configure(f"{name} = ''\n").is_ssl
    assert not configure("workers = 1\n", argv=[f"--{name.replace('_', '-')}="]).is_ssl


UVICORNS = [
    "uvicorn.workers.UvicornWorker",
    "uvicorn.workers.UvicornH11Worker",
    "uvicorn_worker.UvicornWorker",
    "uvicorn_worker.UvicornH11Worker",
]


@pytest.mark.parametrize("name", UVICORNS)
def test_the_place_of_a_class_that_is_not_installed_is_taken(
    name: str, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "find_spec", lambda package: None)
    cfg = configure(f"worker_class = {name!r}\n")

    assert cfg.worker_class_str == "asgi"
    assert cfg.worker_class.__name__ == "ASGIWorker"
    assert cfg.notes[-1].startswith(f"{name} is not installed; its place is taken by the worker ")


@pytest.mark.parametrize("name", UVICORNS)
def test_a_class_that_is_installed_is_itself(
    name: str, configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package, _, rest = name.rpartition(".")[0].partition(".")
    (tmp_path / package).mkdir()
    source = "class UvicornWorker:\n    init_process = None\nUvicornH11Worker = UvicornWorker\n"
    for file in ("__init__.py", f"{rest or 'other'}.py"):
        (tmp_path / package / file).write_text(source)
    for module in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    cfg = configure(f"worker_class = {name!r}\n")

    assert cfg.notes == configure("worker_class = 'sync'\n").notes
    assert cfg.worker_class.__module__ == name.rpartition(".")[0]
    for module in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)


def test_a_package_without_the_module_of_the_class(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "uvicorn").mkdir()
    (tmp_path / "uvicorn" / "__init__.py").write_text("raise AssertionError('is not imported')")
    for module in [one for one in sys.modules if one.partition(".")[0] == "uvicorn"]:
        monkeypatch.delitem(sys.modules, module)
    cfg = configure("worker_class = 'uvicorn.workers.UvicornWorker'\n")

    assert cfg.worker_class.__name__ == "ASGIWorker"


@pytest.mark.parametrize("name", ["asgi", "gunicorn.workers.gasgi.ASGIWorker", "egg:gunicorn#asgi"])
def test_names_of_the_asgi_worker(name: str, configure: Configure) -> None:
    assert configure(f"worker_class = {name!r}\n").worker_class.__name__ == "ASGIWorker"


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("workers = 1", True),
        ("threads = 4", True),
        ("worker_class = 'sync'", False),
        ("worker_class = 'sync'\nthreads = 4", False),
        ("worker_class = 'asgi'", False),
    ],
)
def test_whether_the_application_decides(text: str, is_open: bool, configure: Configure) -> None:
    assert configure(text + "\n").is_class_open is is_open


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("workers = 1", True),
        ("worker_class = 'asgi'", True),
        ("worker_class = 'uvicorn.workers.UvicornWorker'", True),
        ("worker_class = 'sync'", False),
    ],
)
def test_uvloop_that_is_not_installed(
    text: str, is_refused: bool, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (references, derived):
        monkeypatch.setattr(module, "find_spec", lambda package: None)
    if not is_refused:
        assert configure(f"{text}\nasgi_loop = 'uvloop'\n").asgi_loop == "uvloop"
        return
    with pytest.raises(ConfigError) as caught:
        configure(f"{text}\nasgi_loop = 'uvloop'\n")
    assert "pip install 'monoceros[uvloop]'" in str(caught.value)
    assert "gunicorn.conf.py:2" in str(caught.value)
    assert configure(f"{text}\n").asgi_loop == "auto"


@pytest.mark.parametrize("bad", ["[]", "['ok:1', 7]", "()", "7"])
def test_bind_needs_addresses(bad: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match="Invalid value for bind: "):
        configure(f"bind = {bad}\n")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("secure_scheme_headers = []", "not a dict"),
        ("raw_env = 7", "neither a string nor a list of strings"),
        ("raw_env = '=1'", "'=1' is not of the form NAME=VALUE"),
        ("tmp_upload_dir = 'nowhere'", "no such directory"),
        ("logconfig_dict = []", "not a dict with names as its keys"),
        ("worker_class = 7", "neither a name nor a class"),
    ],
)
def test_reasons(line: str, reason: str, configure: Configure) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(line + "\n")
    assert f"({reason}). Allowed: " in str(caught.value)


@pytest.mark.parametrize("name", ["user", "group"])
def test_accounts(name: str, configure: Configure) -> None:
    for written in ("0", "'0'", "'root'"):
        assert configure(f"{name} = {written}\n").values()[name] == 0
    with pytest.raises(ConfigError, match=f"Invalid value for {name}: -1"):
        configure(f"{name} = -1\n")


@pytest.mark.parametrize(
    ("text", "level"),
    [("warn", "warning"), ("WARNING", "warning"), ("fatal", "critical"), ("", "info")],
)
def test_levels_have_other_names(text: str, level: str, configure: Configure) -> None:
    assert configure(argv=["--log-level", text]).loglevel == level


@pytest.mark.parametrize(
    ("written", "used"), [("True", True), ("False", False), ("None", True), ("'off'", False)]
)
def test_sendfile_means_what_it_says(written: str, used: bool, configure: Configure) -> None:
    assert configure(f"sendfile = {written}\n").sendfile is used
    assert configure(f"sendfile = {written}\n", argv=["--no-sendfile"]).sendfile is False


def test_what_asks_for_nothing_is_no_mistake(configure: Configure) -> None:
    cfg = configure("import ssl\nssl_version = ssl.PROTOCOL_TLS\nthreads = 0\ncertfile = ''\n")
    assert (cfg.ssl_version, cfg.threads, cfg.certfile) == (None, 1, None)


def test_none_in_a_file_leaves_a_setting_to_its_variable(configure: Configure) -> None:
    environ = {"SENDFILE": "0", "PORT": "5000"}
    cfg = configure("sendfile = bind = None\n", environ=environ)
    assert (cfg.sendfile, cfg.bind) == (False, ["0.0.0.0:5000"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host", ("host", 8125)),
        ("[::1]:9", ("::1", 9)),
        ("unix:9", ("unix", 9)),
        ("unix:///run/s", "/run/s"),
        ("", None),
    ],
)
def test_addresses_of_statsd(text: str, address: object, configure: Configure) -> None:
    cfg = configure(argv=["--statsd-host", text])
    assert cfg.statsd_host == address
    given = "gunicorn.instrument.statsd.Statsd" if address else "gunicorn.glogging.Logger"
    assert cfg.values()["logger_class"] == given
    mine = configure("logger_class = 'my.Logger'\n", argv=["--statsd-host", text])
    assert mine.values()["logger_class"] == "my.Logger"


@pytest.mark.parametrize("name", ["simple", "gunicorn.glogging.Logger"])
def test_metrics_need_no_logger_of_their_own(name: str, configure: Configure) -> None:
    cfg = configure(argv=["--statsd-host", "host", "--logger-class", name])
    assert cfg.values()["logger_class"] == "gunicorn.instrument.statsd.Statsd"


@pytest.mark.parametrize(
    ("line", "off"),
    [
        ("proxy_protocol = False", "off"),
        ("proxy_protocol = 'none'", "off"),
        ("proxy_protocol = '0'", "off"),
        ("http2_cleartext = False", "off"),
        ("protocol = 'HTTP'", "http"),
        ("suppress_ragged_eofs = 'true'", True),
        ("dirty_apps = ()", []),
    ],
)
def test_what_is_missing_may_be_left_off(line: str, off: object, configure: Configure) -> None:
    assert configure(line + "\n").values()[line.split()[0]] == off


@pytest.mark.parametrize("flag", ["--proxy-protocol", "--http2-cleartext"])
def test_bare_options_of_what_is_missing(flag: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match="is not in this version"):
        configure(argv=[flag])
    configure(argv=[flag, "off"])


@pytest.mark.parametrize("line", ["control_socket = 'x'", "control_socket_mode = 0o660"])
def test_a_control_socket_is_refused_with_the_way_out(line: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"not in this version\).*where control_socket_disable"):
        configure(f"{line}\n")


def test_without_control_socket_its_settings_are_not_looked_at(configure: Configure) -> None:
    argv = ["--no-control-socket", "--control-socket", "x", "--control-socket-mode", "0660"]
    cfg = configure(argv=argv)
    assert (cfg.control_socket, cfg.control_socket_mode) == ("x", 0o660)
