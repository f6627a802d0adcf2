"""Every setting: its default, both ways to set it, and what a wrong value is told."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from monoceros.config.hooks import ignore
from monoceros.config.sections import SETTINGS
from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monoceros.config.setting import Setting

    from .conftest import Configure

HERE = object()  # stands for the directory the server is started from


class Case(NamedTuple):
    """The default, a value as a file has it, what it becomes, and a wrong one; ``cli`` sets it."""

    default: object
    file: str
    value: object
    bad: str
    cli: tuple[str, ...] = ()


def number(default: int, *flags: str) -> Case:
    return Case(default, "'17'", 17, "'seventeen'", (*flags, "17"))


def switch(flag: str) -> Case:
    return Case(False, "'true'", True, "'maybe'", (flag,))


def function(signature: str) -> Case:
    # Calls nothing: what counts is that the file's own function arrives.
    return Case(ignore, f"lambda {signature}: 'mine'", "mine", "lambda: None")


def text(default: object, *flags: str) -> Case:
    return Case(default, "'here'", "here", "7", (*flags, "here") if flags else ())


FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
SCHEMES = {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"}

CASES = {
    "config": Case("./gunicorn.conf.py", "", "", "", ()),
    "wsgi_app": text(None),
    "bind": Case(["127.0.0.1:8000"], "':9'", [":9"], "'fd://3'", ("-b", ":9")),
    "backlog": number(2048, "--backlog"),
    "workers": number(1, "-w"),
    "worker_class": Case(
        "sync", "'gunicorn.workers.sync.SyncWorker'", "sync", "'gevent'", ("-k", "sync")
    ),
    "threads": Case(1, "'1'", 1, "4", ("--threads", "1")),
    "worker_connections": number(1000, "--worker-connections"),
    "max_requests": number(0, "--max-requests"),
    "max_requests_jitter": number(0, "--max-requests-jitter"),
    "timeout": number(30, "-t"),
    "graceful_timeout": number(30, "--graceful-timeout"),
    "keepalive": number(75, "--keep-alive"),
    "http_parser": Case("auto", "'Fast'", "fast", "'quick'", ("--http-parser", "fast")),
    "limit_request_line": number(4094, "--limit-request-line"),
    "limit_request_fields": number(100, "--limit-request-fields"),
    "limit_request_field_size": number(8190, "--limit-request-field_size"),
    "limit_request_head": number(65536, "--limit-request-head"),
    "limit_request_body": number(0, "--limit-request-body"),
    "header_timeout": number(30, "--header-timeout"),
    "body_timeout": number(30, "--body-timeout"),
    "body_min_rate": number(500, "--body-min-rate"),
    "write_timeout": number(60, "--write-timeout"),
    "request_buffering": Case(True, "'false'", False, "'maybe'", ("--no-request-buffering",)),
    "body_memory_limit": number(1 << 20, "--body-memory-limit"),
    "body_spool_limit": number(64 << 20, "--body-spool-limit"),
    "forwarded_allow_ips": Case(
        ["127.0.0.1", "::1"],
        "['10.0.0.0/8', '::1']",
        ["10.0.0.0/8", "::1"],
        "'10.0.0.1/8'",
        ("--forwarded-allow-ips", "10.0.0.0/8, ::1"),
    ),
    "secure_scheme_headers": Case(SCHEMES, "{'x-https': '1'}", {"X-HTTPS": "1"}, "{'a': 1}"),
    "forwarder_headers": Case(
        ["SCRIPT_NAME", "PATH_INFO"],
        "['remote_user', 'a']",
        ["REMOTE_USER", "A"],
        "7",
        ("--forwarder-headers", "remote_user,a"),
    ),
    "header_map": Case("drop", "'REFUSE'", "refuse", "'keep'", ("--header-map", "refuse")),
    "permit_missing_host": switch("--permit-missing-host"),
    "permit_obsolete_folding": switch("--permit-obsolete-folding"),
    "strip_header_spaces": switch("--strip-header-spaces"),
    "permit_unconventional_http_method": switch("--permit-unconventional-http-method"),
    "permit_unconventional_http_version": switch("--permit-unconventional-http-version"),
    "casefold_http_method": switch("--casefold-http-method"),
    "accesslog": text(None, "--access-logfile"),
    "access_log_format": text(FORMAT, "--access-logformat"),
    "errorlog": text("-", "--error-logfile"),
    "loglevel": Case("info", "'DEBUG'", "debug", "'loud'", ("--log-level", "DEBUG")),
    "preload_app": switch("--preload"),
    "sendfile": Case(True, "'no'", False, "'maybe'", ("--no-sendfile",)),
    "chdir": Case(HERE, "'/'", "/", "'nowhere'", ("--chdir", "/")),
    "pythonpath": text(None, "--pythonpath"),
    "raw_env": Case([], "'A=1=2'", ["A=1=2"], "'A'", ("-e", "A=1=2")),
    "pidfile": text(None, "-p"),
    "user": Case(os.geteuid(), "'root'", 0, "'no such one'", ("-u", "0")),
    "group": Case(os.getegid(), "0", 0, "'no such one'", ("-g", "0")),
    "umask": Case(0, "'022'", 0o22, "0o1000", ("-m", "0o22")),
    "tmp_upload_dir": Case(None, "'/'", "/", "'nowhere'"),
    "proc_name": Case("monoceros", "'here'", "here", "7", ("-n", "here")),
    "default_proc_name": Case("monoceros", "'here'", "here", "7"),
    "check_config": switch("--check-config"),
    "print_config": switch("--print-config"),
    "nworkers_changed": function("a, b, c"),
    "on_starting": function("a"),
    "when_ready": function("a"),
    "pre_fork": function("a, b"),
    "post_fork": function("a, b"),
    "post_worker_init": function("a"),
    "worker_int": function("a"),
    "worker_abort": function("a"),
    "worker_exit": function("a, b"),
    "child_exit": function("a, b"),
    "on_reload": function("a"),
    "pre_exec": function("a"),
    "on_exit": function("a"),
}
FILE_CASES = [name for name in CASES if name != "config"]
CLI_CASES = [name for name, case in CASES.items() if case.cli]


def test_the_table_is_complete() -> None:
    assert list(CASES) == [setting.name for setting in SETTINGS]
    assert {s.name for s in SETTINGS if s.cli} == {*CLI_CASES, "config"}


@pytest.mark.parametrize("name", CASES)
def test_default(name: str, configure: Configure, tmp_path: Path) -> None:
    cfg = configure()
    expected = CASES[name].default
    assert getattr(cfg, name) == (str(tmp_path) if expected is HERE else expected)
    assert cfg.origin(name) == "default"


@pytest.mark.parametrize("name", FILE_CASES)
def test_file_form(name: str, configure: Configure, tmp_path: Path) -> None:
    case = CASES[name]
    cfg = configure(f"\n{name} = {case.file}\n")
    value = getattr(cfg, name)
    if callable(value):
        value = value(*range(value.__code__.co_argcount))
    assert (value, type(value)) == (case.value, type(case.value))
    assert cfg.origin(name) == f"{tmp_path}/gunicorn.conf.py:2"


@pytest.mark.parametrize("name", CLI_CASES)
def test_command_line_form(name: str, configure: Configure) -> None:
    case = CASES[name]
    cfg = configure(argv=case.cli)
    value = getattr(cfg, name)
    assert (value, type(value)) == (case.value, type(case.value))
    assert cfg.origin(name) == "command line"


@pytest.mark.parametrize("name", FILE_CASES)
def test_wrong_value_in_a_file(name: str, configure: Configure, tmp_path: Path) -> None:
    case = CASES[name]
    with pytest.raises(ConfigError) as caught:
        configure(f"{name} = {case.bad}\n")
    message = str(caught.value)
    value = case.bad if not case.bad.startswith(("lambda", "0o")) else ""
    assert message.startswith(f"Invalid value for {name}: {value}")
    allowed = next(s for s in SETTINGS if s.name == name).kind.allowed
    assert f"Allowed: {allowed}." in message
    assert message.endswith(f"Set in: {tmp_path}/gunicorn.conf.py:1.")


def wrong_options() -> Iterator[tuple[str, str, str]]:
    for name in CLI_CASES:
        case = CASES[name]
        if len(case.cli) == 2 and case.bad.startswith("'"):
            yield name, case.cli[0], case.bad.strip("'")


@pytest.mark.parametrize(("name", "flag", "value"), list(wrong_options()))
def test_wrong_value_on_the_command_line(
    name: str, flag: str, value: str, configure: Configure
) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(argv=[flag, value])
    assert re.match(rf"Invalid value for {name}: \[?'{re.escape(value)}'", str(caught.value))
    assert str(caught.value).endswith("Set in: command line.")


NUMBERS = [name for name, case in CASES.items() if case.file == "'17'"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("bad", ["-1", "1.5", "None", "2**64", "[]"])
def test_numbers_are_whole_and_bounded(name: str, bad: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match=f"Invalid value for {name}: "):
        configure(f"{name} = {bad}\n")


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_say_their_unit(name: str) -> None:
    setting = next(one for one in SETTINGS if one.name == name)
    unit = re.match(r"a whole number of ([a-z ]+) from ", setting.kind.allowed)
    assert unit is not None
    assert unit[1] in setting.doc


def resetting() -> list[Setting[object]]:
    hooks = [one for one in SETTINGS if one.default is ignore]
    return [
        one for one in SETTINGS if one.kind.resets and one not in hooks and one.name != "config"
    ]


@pytest.mark.parametrize("name", [setting.name for setting in resetting()])
def test_none_means_the_default(name: str, configure: Configure) -> None:
    assert configure(f"{name} = None\n").values()[name] == configure().values()[name]


@pytest.mark.parametrize(
    ("written", "mask"), [("'0'", 0), ("'007'", 7), ("'0o77'", 0o77), ("18", 18), ("'18'", 18)]
)
def test_umask_forms(written: str, mask: int, configure: Configure) -> None:
    assert configure(f"umask = {written}\n").umask == mask


@pytest.mark.parametrize("word", ["true", "True", "yes", "y", "on", "1"])
def test_words_for_true(word: str, configure: Configure) -> None:
    assert configure(f"preload_app = {word!r}\n").preload_app is True


def test_nobody_is_trusted_where_the_list_is_empty(configure: Configure) -> None:
    assert configure(argv=["--forwarded-allow-ips", ""]).forwarded_allow_ips == []


def test_everybody_is_trusted_with_a_star(configure: Configure) -> None:
    assert configure(argv=["--forwarded-allow-ips", "*"]).forwarded_allow_ips == ["*"]


@pytest.mark.parametrize("bad", ["[]", "['ok:1', 7]", "()"])
def test_bind_needs_addresses(bad: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match="Invalid value for bind: "):
        configure(f"bind = {bad}\n")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("secure_scheme_headers = []", "not a dict"),
        ("raw_env = 7", "neither a string nor a list of strings"),
        ("raw_env = '=1'", "'=1' is not of the form NAME=VALUE"),
        ("user = 'no such one'", "there is no such user"),
        ("group = 'no such one'", "there is no such group"),
        ("chdir = 'nowhere'", "no such directory"),
        ("forwarded_allow_ips = '10.0.0.1/8'", "10.0.0.1/8 has host bits set"),
    ],
)
def test_reasons(line: str, reason: str, configure: Configure) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(line + "\n")
    assert f"({reason}). Allowed: " in str(caught.value)


@pytest.mark.parametrize("name", ["user", "group"])
def test_ids_are_not_negative(name: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match=f"Invalid value for {name}: -1"):
        configure(f"{name} = -1\n")


def test_missing_features_say_so(configure: Configure) -> None:
    with pytest.raises(ConfigError, match="the threaded worker is not in this version"):
        configure(argv=["--threads", "2"])
    with pytest.raises(ConfigError, match="'asgi' \\(not available in this version"):
        configure(argv=["-k", "asgi"])
