"""The command: from the command line to a running server."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import platform
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from monoceros import __version__
from monoceros.config import Config, load
from monoceros.config.commandline import build_parser
from monoceros.config.listing import format_settings
from monoceros.config.surroundings import enter
from monoceros.errors import AppImportError, ConfigError, MonocerosError
from monoceros.workers.application import Application

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

PROG = "monoceros"
IMPL_VARIABLE = "MONOCEROS_IMPL"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server, or what the command line asks for instead; returns the exit code.

    A wrong option raises SystemExit with 2.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    _open_standard_descriptors()
    try:
        _answer_version(arguments)
        return _start(load(arguments, os.environ, _current_directory(), PROG))
    except MonocerosError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1


def _start(cfg: Config) -> int:
    if cfg.print_config:
        print(format_settings(cfg))
    if cfg.app_uri is None:
        print("Error: No application module specified.", file=sys.stderr)
        return 1
    enter(cfg)
    _load_http(cfg.http_parser)
    app = Application(cfg)
    if cfg.check_config or cfg.print_config:
        return _check(app)
    return _serve(cfg, app)


def _serve(cfg: Config, app: Application) -> NoReturn:
    # Late, so that a wrong configuration is told without waiting for the whole server.
    from monoceros.arbiter.loop import Arbiter

    Arbiter(cfg, app).run()


def _load_http(parser: str) -> ModuleType:
    """Import the HTTP implementation that ``http_parser`` asks for; MONOCEROS_IMPL goes first."""
    wanted = {"fast": "c", "python": "py"}.get(parser)
    asked = wanted is not None and not os.environ.get(IMPL_VARIABLE)
    try:
        if asked:
            os.environ[IMPL_VARIABLE] = str(wanted)
        return importlib.import_module("monoceros.http")
    except ImportError as error:
        raise ConfigError(str(error)) from error
    finally:
        if asked:
            del os.environ[IMPL_VARIABLE]


def _check(app: Application) -> int:
    try:
        app.wsgi()
    except AppImportError:
        raise
    except Exception:  # border: the application is the user's code
        print("\nError while loading the application:\n", file=sys.stderr)
        traceback.print_exc()
        return 1
    return 0


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(describe_version())
        parser.exit()


def _answer_version(argv: Sequence[str]) -> None:
    parser = build_parser(PROG)
    text = "print the version and which HTTP implementation runs, and exit"
    parser.add_argument("-v", "--version", action=_ShowVersion, nargs=0, help=text)
    parser.parse_args(argv)


def describe_version() -> str:
    """Return the version, the interpreter, and which HTTP implementation runs and why."""
    http = _load_http("auto")
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"monoceros (version {__version__})\n{interpreter}, HTTP: {http.IMPL} ({http.IMPL_REASON})"
    )


def _current_directory() -> str:
    """Return the working directory by the name the shell knows it by, links included."""
    logical, physical = Path(os.environ.get("PWD", "")), Path.cwd()
    with contextlib.suppress(OSError):
        if logical.is_absolute() and logical.samefile(physical):
            return str(logical)
    return str(physical)


def _open_standard_descriptors() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, so that no socket ever gets such a number."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
