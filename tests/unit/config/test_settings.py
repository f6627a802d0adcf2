"""Every setting: its defaults, every way to set it, and what is told about a wrong value."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import pytest

from monoceros.config import Config, load
from monoceros.config.sections import SETTINGS
from monoceros.errors import ConfigError

from .cases import CASES, HERE, SAME

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Configure

FILE_CASES = [name for name in CASES if name != "config"]
CLI_CASES = [name for name, case in CASES.items() if case.cli]
WRONG_OPTIONS = [name for name, case in CASES.items() if case.bad_cli]
ENV_CASES = [name for name, case in CASES.items() if case.env]
RECORDS = {setting.name: setting for setting in SETTINGS}

# One load for each way to be Gunicorn, and one for the own name.
_LOADS = {
    "by its own name": ("monoceros", []),
    "by Gunicorn's name": ("gunicorn", []),
    "by the setting": ("monoceros", ["--compat", "gunicorn"]),
}


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Config]:
    """Configurations that nobody has set anything in."""
    here = str(tmp_path_factory.getbasetemp())
    return {how: load(argv, {}, here, prog) for how, (prog, argv) in _LOADS.items()}


def test_the_table_is_complete() -> None:
    assert list(CASES) == list(RECORDS)
    with_options = {name for name, case in CASES.items() if case.cli or case.bad_cli}
    assert {name for name, one in RECORDS.items() if one.cli} == {*with_options, "config"}
    assert {name for name, one in RECORDS.items() if one.env} == set(ENV_CASES)


@pytest.mark.parametrize("how", _LOADS)
@pytest.mark.parametrize("name", CASES)
def test_default(
    name: str,
    how: str,
    defaults: dict[str, Config],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    cfg, case = defaults[how], CASES[name]
    ours = how == "by its own name" or case.gunicorn is SAME
    expected = case.default if ours else case.gunicorn
    if expected is HERE:
        expected = str(tmp_path_factory.getbasetemp())
    value = cfg.values()[name]
    assert (value, type(value)) == (expected, type(expected))
    assert cfg.settings[name].value == expected
    given = name == "compat" and how == "by the setting"
    assert cfg.origin(name) == ("command line" if given else "default")
    assert cfg.is_given(name) is given


@pytest.mark.parametrize("name", FILE_CASES)
def test_file_form(name: str, configure: Configure, tmp_path: Path) -> None:
    case = CASES[name]
    cfg = configure(f"\n{name} = {case.file}\n")
    value = cfg.values()[name]
    if case.value == "mine" and callable(value):
        value = value(*inspect.signature(value).parameters)
    assert (value, type(value)) == (case.value, type(case.value))
    assert cfg.origin(name) == f"{tmp_path}/gunicorn.conf.py:2"
    assert cfg.is_given(name)


@pytest.mark.parametrize("name", CLI_CASES)
def test_command_line_form(name: str, configure: Configure) -> None:
    case = CASES[name]
    for argv, origin in ((case.cli, "command line"), ((), "GUNICORN_CMD_ARGS")):
        words = "" if argv else " ".join(f"'{word}'" for word in case.cli)
        cfg = configure(argv=argv, environ={"GUNICORN_CMD_ARGS": words})
        value = cfg.values()[name]
        assert (value, type(value)) == (case.value, type(case.value))
        assert cfg.origin(name) == origin


@pytest.mark.parametrize("name", ENV_CASES)
def test_environment_form(name: str, configure: Configure) -> None:
    env = CASES[name].env
    assert env is not None
    variable, text, value, bad = env
    cfg = configure(environ={variable: text})
    assert cfg.values()[name] == value
    assert cfg.origin(name) == f"environment variable {variable}"
    with pytest.raises(ConfigError) as caught:
        configure(environ={variable: bad})
    assert bad in str(caught.value)
    assert str(caught.value).endswith(f"Set in: environment variable {variable}.")


@pytest.mark.parametrize("name", FILE_CASES)
def test_wrong_value_in_a_file(name: str, configure: Configure, tmp_path: Path) -> None:
    case = CASES[name]
    with pytest.raises(ConfigError) as caught:
        configure(f"{name} = {case.bad}\n")
    message = re.sub(r"<function <lambda> at 0x[0-9a-f]+>", "A LAMBDA", str(caught.value))
    shown = "A LAMBDA" if case.bad.startswith("lambda") else repr(eval(case.bad))
    assert message == (
        f"Invalid value for {name}: {shown}{f' ({case.reason})' if case.reason else ''}. "
        f"Allowed: {RECORDS[name].kind.allowed}. Set in: {tmp_path}/gunicorn.conf.py:1."
    )


@pytest.mark.parametrize("name", WRONG_OPTIONS)
def test_wrong_value_on_the_command_line(name: str, configure: Configure) -> None:
    case = CASES[name]
    with pytest.raises(ConfigError) as caught:
        configure(argv=case.bad_cli)
    record = RECORDS[name]
    value = True if record.kind.flag else case.bad_cli[1]
    shown = [value] if record.kind.repeated else value
    assert str(caught.value) == (
        f"Invalid value for {name}: {shown!r}{f' ({case.reason})' if case.reason else ''}. "
        f"Allowed: {record.kind.allowed}. Set in: command line."
    )


@pytest.mark.parametrize("name", [one.name for one in SETTINGS if one.kind.resets])
def test_none_means_the_default(name: str, configure: Configure) -> None:
    if name != "config":
        assert configure(f"{name} = None\n").values()[name] == configure().values()[name]


@pytest.mark.parametrize("name", [one.name for one in SETTINGS if one.missing])
def test_what_is_missing_is_named(name: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match=f"{RECORDS[name].missing} is not in this version"):
        configure(f"{name} = {CASES[name].bad}\n")
