"""Where settings come from, in rising order: default, environment, file, variable, command line."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.config import absent, file
from monoceros.config.commandline import Arguments, parse_arguments
from monoceros.config.config import DEFAULT, Config
from monoceros.config.sections import SETTINGS
from monoceros.config.setting import Setting, invalid
from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ARGUMENTS_VARIABLE = "GUNICORN_CMD_ARGS"
COMMAND_LINE = "command line"
DEFAULT_FILE = "gunicorn.conf.py"


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written, and where."""

    value: object
    origin: str


def load(
    argv: Sequence[str], environ: Mapping[str, str], cwd: str, prog: str = "monoceros"
) -> Config:
    """Read the whole configuration; ``cwd`` is the directory the server was started from.

    Runs the configuration file, and puts ``cwd`` on the module search path for it. Raises
    ConfigError; an unknown option ends the process with 2.
    """
    again = partial(load, tuple(argv), dict(environ), cwd, prog)
    command_line = parse_arguments(argv, prog)
    variable = _arguments_variable(environ, prog)
    variables = _config_file(command_line, variable, cwd)
    given = _from_environment(environ)
    warnings: tuple[str, ...] = ()
    if variables is not None:
        given.update(_from_file(variables))
        warnings = absent.review(variables)
    given.update(_from_arguments(variable, ARGUMENTS_VARIABLE))
    given.update(_from_arguments(command_line, COMMAND_LINE))
    values = {setting.name: _value(setting, given) for setting in SETTINGS}
    app_uri = command_line.app_uri or _text(values["wsgi_app"])
    _derive(values, given, cwd, app_uri)
    return Config(
        values,
        {name: one.origin for name, one in given.items()},
        app_uri=app_uri,
        environ=dict(environ),
        warnings=warnings,
        again=again,
    )


def _arguments_variable(environ: Mapping[str, str], prog: str) -> Arguments:
    try:
        argv = shlex.split(environ.get(ARGUMENTS_VARIABLE, ""))
    except ValueError as error:
        raise ConfigError(f"{ARGUMENTS_VARIABLE} cannot be split into words: {error}") from error
    return parse_arguments(argv, f"{prog} ({ARGUMENTS_VARIABLE})")


def _config_file(
    command_line: Arguments, variable: Arguments, cwd: str
) -> file.FileVariables | None:
    location = command_line.values.get("config") or variable.values.get("config")
    if location is None:
        if not Path(cwd, DEFAULT_FILE).is_file():
            return None
        location = DEFAULT_FILE
    if cwd not in sys.path:
        sys.path.insert(0, cwd)
    return file.read(str(location), cwd)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    return dict(_environment_values(environ))


def _environment_values(environ: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    for setting in SETTINGS:
        env = setting.env
        text = environ.get(env.name) if env else None
        if env and text is not None and (text or env.empty):
            yield setting.name, Given(env.form.format(text), f"environment variable {env.name}")


def _from_file(variables: file.FileVariables) -> dict[str, Given]:
    return {
        setting.name: Given(variables.values[setting.name], variables.origin(setting.name))
        for setting in SETTINGS
        if setting.name in variables.values and setting.name != "config"
    }


def _from_arguments(arguments: Arguments, origin: str) -> dict[str, Given]:
    return {name: Given(value, origin) for name, value in arguments.values.items()}


def _value(setting: Setting[object], given: Mapping[str, Given]) -> object:
    one = given.get(setting.name, Given(setting.default, DEFAULT))
    return setting.parse(one.value, one.origin)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _derive(
    values: dict[str, object], given: Mapping[str, Given], cwd: str, app_uri: str | None
) -> None:
    values["chdir"] = _directory(Config.chdir, values, given, cwd)
    if values["tmp_upload_dir"] is not None:
        directory = _directory(Config.tmp_upload_dir, values, given, str(values["chdir"]))
        values["tmp_upload_dir"] = directory
    if values["default_proc_name"] is None:
        values["default_proc_name"] = app_uri or "monoceros"
    if values["proc_name"] is None:
        values["proc_name"] = values["default_proc_name"]


def _directory(
    setting: Setting[object], values: Mapping[str, object], given: Mapping[str, Given], base: str
) -> str:
    written = str(values[setting.name])
    path = Path(base, written)
    if not path.is_dir():
        origin = given[setting.name].origin if setting.name in given else DEFAULT
        raise invalid(setting, written, origin, "no such directory")
    return str(path)
