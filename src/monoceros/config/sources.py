"""Where settings come from, in rising order.

Default, environment variable, framework that hosts the server, configuration file,
GUNICORN_CMD_ARGS, command line. ``derived`` completes what they leave open.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from monoceros.config import derived
from monoceros.config.commandline import Arguments, parse_arguments
from monoceros.config.config import Config
from monoceros.config.derived import Given
from monoceros.config.sections import SETTINGS
from monoceros.config.setting import DEFAULT, Setting
from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monoceros.config.file import FileVariables

ARGUMENTS_VARIABLE = "GUNICORN_CMD_ARGS"
COMMAND_LINE = "command line"
DEFAULT_FILE = "gunicorn.conf.py"
FRAMEWORK = "the framework's configuration"


def load(
    argv: Sequence[str],
    environ: Mapping[str, str],
    cwd: str,
    prog: str = "monoceros",
    framework: Mapping[str, object] | None = None,
    *,
    anew: bool = False,
) -> Config:
    """Read the whole configuration; ``cwd`` is the directory the server was started from.

    ``framework`` has settings of a program that hosts the server and brings its application.
    Runs the configuration file, and puts ``cwd`` on the module search path for it; ``anew`` also
    runs a module once more. Raises ConfigError and ``commandline.InformationRequested``; an
    unknown option ends the process with 2.
    """
    command_line = parse_arguments(argv, prog)
    collected = collect(command_line, environ, cwd, prog, framework, anew=anew)
    again = partial(load, tuple(argv), dict(environ), cwd, prog, framework, anew=True)
    hosted = framework is not None
    return assemble(collected, environ, cwd, prog, again, command_line.app_uri, hosted=hosted)


class Collected(NamedTuple):
    """What sources other than the environment give, and what a configuration file has to hear."""

    given: Mapping[str, Given]
    warnings: Sequence[str] = ()


def collect(
    command_line: Arguments,
    environ: Mapping[str, str],
    cwd: str,
    prog: str,
    framework: Mapping[str, object] | None = None,
    *,
    anew: bool = False,
) -> Collected:
    """Run the configuration file, and put its settings in order with the others."""
    variable = _arguments_variable(environ, prog)
    variables = _config_file(command_line, variable, framework or {}, cwd, anew)
    given = _from_framework(framework or {})
    given.update(from_file(variables))
    given.update(_from_arguments(variable, ARGUMENTS_VARIABLE))
    given.update(_from_arguments(command_line, COMMAND_LINE))
    return Collected(given, [] if variables is None else _review(variables))


def assemble(
    collected: Collected,
    environ: Mapping[str, str],
    cwd: str,
    prog: str,
    again: Callable[[], Config],
    app_uri: str | None = None,
    *,
    hosted: bool,
) -> Config:
    """Make a configuration of what was given; raises ConfigError.

    ``again`` is what the configuration does to be read anew. A ``hosted`` one has its application.
    """
    environment = from_environment(environ)
    given = {**environment, **collected.given}
    compat = str(_parse(Config.compat, given, {}, prog))
    values = {one.name: _parse(one, given, environment, compat) for one in SETTINGS}
    draft = derived.Draft(values, given, environ, cwd, app_uri, hosted)
    derived.complete(draft)
    draft.warnings[:0] = collected.warnings
    return Config(
        values,
        draft.origins,
        app_uri=draft.app_uri,
        cwd=cwd,
        environ=dict(environ),
        plan=draft.plan,
        is_class_open=draft.is_class_open,
        remarks=draft.remarks(),
        again=again,
    )


def _arguments_variable(environ: Mapping[str, str], prog: str) -> Arguments:
    text = environ.get(ARGUMENTS_VARIABLE)
    if not text:
        return Arguments(None, {})
    # Imported late: the variable is seldom set.
    import shlex

    try:
        argv = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{ARGUMENTS_VARIABLE} cannot be split into words: {error}") from error
    return parse_arguments(argv, f"{prog} ({ARGUMENTS_VARIABLE})")


def _config_file(
    command_line: Arguments,
    variable: Arguments,
    framework: Mapping[str, object],
    cwd: str,
    anew: bool,
) -> FileVariables | None:
    places = (command_line.values, variable.values, framework)
    location = next((place["config"] for place in places if place.get("config")), None)
    if location is None:
        if not Path(cwd, DEFAULT_FILE).is_file():
            return None
        location = DEFAULT_FILE
    if cwd not in sys.path:
        sys.path.insert(0, cwd)
    # Imported late: reading files takes a parser, and many servers have none to read.
    from monoceros.config import file

    return file.read(str(location), cwd, anew=anew)


def _review(variables: FileVariables) -> list[str]:
    from monoceros.config import misspellings

    return [*_judge_name(variables), *misspellings.review(variables)]


def _judge_name(variables: FileVariables) -> list[str]:
    path = variables.path
    if path.endswith((".py", ".pyc")) or path.startswith("python:") or path == os.devnull:
        return []
    return [f"The configuration file {path!r} is run as Python, but not named *.py"]


def from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """Return what environment variables give in the place of defaults."""
    found = {}
    for setting in SETTINGS:
        env = setting.env
        text = environ.get(env.name) if env else None
        if env and text is not None and (text or env.empty):
            origin = f"environment variable {env.name}"
            found[setting.name] = Given(env.form.format(text), origin)
    return found


def _from_framework(values: Mapping[str, object]) -> dict[str, Given]:
    return {name: Given(value, FRAMEWORK) for name, value in values.items()}


def from_file(variables: FileVariables | None) -> dict[str, Given]:
    """Return the settings among the variables of a configuration file."""
    if variables is None:
        return {}
    return {
        setting.name: Given(variables.values[setting.name], variables.origin(setting.name))
        for setting in SETTINGS
        if setting.name in variables.values
        and setting.name != "config"
        # ``import syslog`` is no setting.
        and not isinstance(variables.values[setting.name], ModuleType)
    }


def _from_arguments(arguments: Arguments, origin: str) -> dict[str, Given]:
    return {name: Given(value, origin) for name, value in arguments.values.items()}


def _parse(
    setting: Setting[object],
    given: Mapping[str, Given],
    environment: Mapping[str, Given],
    compat: str,
) -> object:
    default = setting.default_under(compat)
    if setting.name in environment:
        default = environment[setting.name].value
    one = given.get(setting.name, Given(default, DEFAULT))
    return setting.parse(one.value, one.origin, default)
