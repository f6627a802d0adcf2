"""The command: what it prints, and how it ends, where no server is started."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

import monoceros
from monoceros import cli, http
from monoceros.config.sections import SETTINGS

if TYPE_CHECKING:
    from monoceros.workers.application import Source


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty directory with an application, and undo what the command does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    for name in ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(os, "environ", os.environ.copy())
    (tmp_path / "cli_app.py").write_text("def app(environ, start_response): return []\n")


def run(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    root = str(Path(monoceros.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "monoceros", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": root, **environ},
    )


def test_nobody_has_to_read_to_the_end() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    root = str(Path(monoceros.__file__).parents[1])
    for question in (["--help"], ["--version"], ["--print-config", "cli_app:app"]):
        result = subprocess.run(
            [sys.executable, "-m", "monoceros", *question],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": root},
        )
        assert (result.returncode, result.stderr) == (0, b"")
    os.close(writer)


def test_no_application(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == f"Error: No application module specified, and none found in {Path.cwd()}:"
    assert len(lines) <= 40
    assert len([line for line in lines if line.startswith("  monoceros ")]) == 3
    assert lines[-1] == "monoceros --help tells more."


def test_a_wrong_setting(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--workers", "x", "cli_app:app"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("\nError: Invalid value for workers: 'x'")


def test_a_wrong_file(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("1 / 0\n")
    result = run("cli_app:app")
    assert result.returncode == 1
    assert result.stderr.startswith(f"\nError: Failed to read config file: {tmp_path}/gunicorn")
    assert result.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert str(Path(monoceros.__file__).parent) not in result.stderr


def test_a_wrong_option(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--wokers", "3", "cli_app:app"])
    assert caught.value.code == 2
    assert capfd.readouterr() == (
        "",
        "monoceros: error: unrecognized arguments: --wokers (did you mean --workers?)\n"
        "'monoceros --help' lists the usual options, '--help-all' all of them.\n",
    )


INTERPRETER = f"{platform.python_implementation()} {platform.python_version()}"
ABOUT = f"{INTERPRETER}, HTTP: {http.IMPL} ({http.IMPL_REASON})"


@pytest.mark.parametrize(
    ("prog", "first", "second"),
    [
        ("monoceros", f"monoceros (version {monoceros.__version__})", ABOUT),
        (
            "gunicorn",
            "gunicorn (version 27.0.1)",
            f"monoceros {monoceros.__version__}, {ABOUT}",
        ),
    ],
)
def test_version(
    prog: str,
    first: str,
    second: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{prog}"])
    for flag in ("-v", "--version", "--ver"):
        assert cli.main(["--bind", ":1", flag]) == 0
        assert capfd.readouterr() == (f"{first}\n{second}\n", "")


def test_help(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gunicorn"])
    assert cli.main(["--help"]) == 0
    out, err = capfd.readouterr()
    assert (out.startswith("Usage: gunicorn [OPTIONS]"), err) == (True, "")
    assert len(out.splitlines()) <= 40
    assert cli.main(["--help-all", "--wrong"]) == 0
    assert "--limit-request-field_size BYTES" in capfd.readouterr().out


def test_help_tells_of_the_name(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capfd.readouterr().out
    assert out.endswith(
        "\nmonoceros gunicorn-command status tells who answers to the name gunicorn.\n"
    )
    assert len(out.splitlines()) <= 40


def test_who_answers_to_the_name(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gunicorn-command"]) == 2
    assert capfd.readouterr() == ("", "Usage: monoceros gunicorn-command status\n")
    assert run("gunicorn-command", "status").stdout.startswith("Who answers to gunicorn in ")


def test_the_word_is_one_of_monoceros_only(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gunicorn"])
    assert cli.main(["gunicorn-command", "--check-config"]) == 1
    assert "No module named 'gunicorn-command'" in capfd.readouterr().err


def test_the_name_of_the_command_decides_whose_defaults_are_in_force(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gunicorn"])
    assert cli.main(["--print-config", "cli_app:app"]) == 0
    shown = capfd.readouterr().out.splitlines()
    assert [line.split() for line in shown if line.startswith(("compat ", "workers "))] == [
        ["compat", "=", "'gunicorn'", "#", "default"],
        ["workers", "=", "1", "#", "default"],
    ]


@pytest.mark.parametrize(
    ("parser", "variable", "impl"),
    [("python", "", "py"), ("auto", "py", "py"), ("fast", "py", "py")],
)
def test_http_parser_chooses_the_twin(parser: str, variable: str, impl: str) -> None:
    (Path.cwd() / "cli_twin.py").write_text(
        "import os, sys\n"
        "sys.exit(sys.modules['monoceros.http'].IMPL + os.environ.get('MONOCEROS_IMPL', ''))\n"
    )
    result = run("--check-config", "--http-parser", parser, "cli_twin", MONOCEROS_IMPL=variable)
    assert result.stderr == f"{impl}{variable}\n"


def test_a_twin_that_cannot_be_had() -> None:
    for argv in (["--version"], ["--check-config", "cli_app:app"], ["cli_app:app"]):
        result = run(*argv, MONOCEROS_IMPL="x")
        assert result.returncode == 1
        assert result.stderr == "\nError: MONOCEROS_IMPL is 'x'; allowed are 'c' and 'py'\n"


def test_a_twin_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "monoceros.http", None)
    assert cli.main(["--check-config", "cli_app:app"]) == 1
    assert capfd.readouterr().err.startswith("\nError: ")


def test_the_module_runs_the_command() -> None:
    result = run()
    assert result.returncode == 1
    assert result.stderr.startswith("Error: No application module specified, and none found in ")


def test_check_config(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--check-config", "cli_app:app"]) == 0
    assert capfd.readouterr() == ("", "")


def test_check_config_takes_the_application_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("wsgi_app = 'cli_app:app'\n")
    assert cli.main(["--check-config"]) == 0


def test_check_config_without_the_application(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--check-config", "cli_app:wrong"]) == 1
    assert "Error: Failed to find attribute 'wrong' in 'cli_app'" in capfd.readouterr().err


def test_check_config_with_a_broken_application(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cli_broken.py").write_text("1 / 0\n")
    assert cli.main(["--check-config", "cli_broken:app"]) == 1
    err = capfd.readouterr().err
    assert "cli_broken.py" in err
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_print_config(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("timeout = 9\ndef on_exit(server): pass\n")
    os.environ.update(WEB_CONCURRENCY="3")
    assert cli.main(["--print-config", "cli_app:app", "-b", ":1"]) == 0
    lines = capfd.readouterr().out.splitlines()
    parted = [line.split(" = ", 1) for line in lines]
    shown = {name.strip(): value for name, value in parted}
    assert shown["bind"] == "[':1']  # command line"
    assert shown["timeout"] == f"9  # {tmp_path}/gunicorn.conf.py:1"
    assert shown["on_exit"] == f"<on_exit()>  # {tmp_path}/gunicorn.conf.py:2"
    assert shown["workers"] == "3  # environment variable WEB_CONCURRENCY"
    assert shown["worker_class"] == "'sync'  # default"
    assert list(shown) == sorted(shown)
    assert len({len(name) for name, _ in parted}) == 1


def test_print_config_as_an_object(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(
        "timeout = 9\n"
        "def on_exit(server): pass\n"
        "from monoceros.workers.sync import SyncWorker as worker_class\n"
        "logconfig_dict = {'formatters': {'x': {'()': dict}}}\n"
    )
    os.environ.update(GUNICORN_CMD_ARGS="--backlog 7", WEB_CONCURRENCY="3")
    assert cli.main(["--print-config", "--format", "json", "cli_app:app", "-b", ":1"]) == 0
    out, err = capfd.readouterr()
    shown = json.loads(out)
    file = f"{tmp_path}/gunicorn.conf.py"
    expected = {
        "bind": ([":1"], "command line"),
        "backlog": (7, "GUNICORN_CMD_ARGS"),
        "timeout": (9, f"{file}:1"),
        "on_exit": ("<on_exit()>", f"{file}:2"),
        "worker_class": ("<monoceros.workers.sync.SyncWorker>", f"{file}:3"),
        "logconfig_dict": ({"formatters": {"x": {"()": "<builtins.dict>"}}}, f"{file}:4"),
        "workers": (3, "environment variable WEB_CONCURRENCY"),
        "print_format": ("json", "command line"),
        "sendfile": (True, "default"),
        "pidfile": (None, "default"),
    }
    found = {name: (shown[name]["value"], shown[name]["origin"]) for name in expected}
    assert found == expected
    assert list(shown) == sorted(setting.name for setting in SETTINGS)
    assert {frozenset(one) for one in shown.values()} == {frozenset({"value", "origin"})}
    assert err == ""


def test_warnings_of_the_configuration_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("preload = True\n")
    assert cli.main(["--check-config", "cli_app:app"]) == 0
    assert capfd.readouterr().err == (
        "Warning: 'preload' is not a setting, did you mean 'preload_app'? "
        f"Set in: {tmp_path}/gunicorn.conf.py:1.\n"
    )


@pytest.mark.parametrize("name", ["worker_class", "logger_class"])
def test_classes_are_checked(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    argv = ["--check-config", f"--{name.replace('_', '-')}", "not_there_of_cli.It", "cli_app:app"]
    assert cli.main(argv) == 1
    assert f"Invalid value for {name}: 'not_there_of_cli.It' (cannot" in capfd.readouterr().err


def test_print_config_checks_the_application() -> None:
    assert cli.main(["--print-config", "cli_app:wrong"]) == 1


def test_the_directory_keeps_the_name_that_the_shell_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "link")
    for known, expected in (("link", "link"), ("gone", "real"), (".", "real")):
        monkeypatch.setenv("PWD", str(tmp_path / known))
        cli.main(["--print-config"])
        assert f"= '{tmp_path}/{expected}'  # default" in capfd.readouterr().out


def test_closed_standard_descriptors_are_filled() -> None:
    script = (
        "import os, sys\n"
        "os.close(0); os.close(2)\n"
        "from monoceros import hosting\n"
        "hosting.open_standard_descriptors()\n"
        "null = os.stat('/dev/null').st_rdev\n"
        "same = {os.fstat(0).st_rdev, os.fstat(2).st_rdev} == {null}\n"
        "print(same, os.get_inheritable(0), os.get_inheritable(2), os.open('/', 0) > 2)\n"
    )
    root = str(Path(monoceros.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert result.stdout == "True True True True\n"


class Started(Exception):
    """Raised in place of a server that runs for ever."""


def test_the_server_is_started_in_its_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    seen: list[object] = []

    class Arbiter:
        def __init__(self, app: Source) -> None:
            cfg = app.configuration()
            seen.extend([cfg.workers, cfg.app_uri, app.callable])

        def run(self) -> None:
            seen.extend([Path.cwd(), os.environ["CLI_SEEN"]])
            raise Started

    fake = ModuleType("monoceros.arbiter.loop")
    vars(fake)["Arbiter"] = Arbiter
    monkeypatch.setitem(sys.modules, "monoceros.arbiter.loop", fake)
    with pytest.raises(Started):
        cli.main(["-w", "3", "--chdir", "inner", "-e", "CLI_SEEN=1", "cli_app:app"])
    assert seen == [3, "cli_app:app", None, tmp_path / "inner", "1"]
