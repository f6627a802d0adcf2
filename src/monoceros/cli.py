"""The command: from the command line to a running server."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from monoceros._version import __version__
from monoceros.config import Config, load
from monoceros.config.commandline import InformationRequested
from monoceros.config.listing import format_json, format_settings
from monoceros.config.surroundings import enter
from monoceros.errors import AppImportError, ConfigError, MonocerosError
from monoceros.garbage import uncollected
from monoceros.identity import GUNICORN, GUNICORN_VERSION
from monoceros.workers.application import Application
from monoceros.workers.failure import format_application_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from monoceros.http.types import WsgiApp

PROG = "monoceros"
GUNICORN_COMMAND = "gunicorn-command"  # as a first word; no module has such a name
IMPL_VARIABLE = "MONOCEROS_IMPL"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server, or what the command line asks for instead; returns the exit code.

    Under the name ``gunicorn`` the defaults are Gunicorn's. A wrong option raises SystemExit
    with 2.
    """
    prog = GUNICORN if Path(sys.argv[0]).name == GUNICORN else PROG
    arguments = sys.argv[1:] if argv is None else list(argv)
    if prog == PROG and arguments[:1] == [GUNICORN_COMMAND]:
        # Before anything that changes what the name means in this process.
        from monoceros.compat import command

        return command.run(arguments[1:])
    _open_standard_descriptors()
    try:
        return _obey(arguments, prog)
    except MonocerosError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1


def _obey(arguments: Sequence[str], prog: str) -> int:
    try:
        cfg = load(arguments, os.environ, _current_directory(), prog)
    except InformationRequested as request:
        _tell(_inform(request.what, prog))
        return 0
    return _start(cfg, prog)


def _start(cfg: Config, prog: str) -> int:
    if cfg.print_config:
        _tell(format_json(cfg) if cfg.print_format == "json" else format_settings(cfg))
    if cfg.app_uri is None:
        print(f"Error: {_complain(cfg, prog)}", file=sys.stderr)
        return 1
    enter(cfg)
    _load_http(cfg.http_parser)
    app = Application(cfg)
    if cfg.check_config or cfg.print_config:
        return _check(cfg, app)
    return _serve(cfg, app)


def host(cfg: Config, app: WsgiApp) -> NoReturn:
    """Serve an application that a program brings along, under a configuration of its own."""
    _open_standard_descriptors()
    enter(cfg)
    _load_http(cfg.http_parser)
    _serve(cfg, Application(cfg, app))


def _complain(cfg: Config, prog: str) -> str:
    # Imported late: most servers are told what to serve.
    from monoceros.config.discovery import find_app
    from monoceros.config.usage import EXAMPLES

    tried = find_app(Path(cfg.chdir)).complain()
    return f"{tried}\n\nExamples:\n{EXAMPLES.format(prog=prog)}\n\n{prog} --help tells more."


def _serve(cfg: Config, app: Application) -> NoReturn:
    # Late, so that a wrong configuration is told without waiting for the whole server.
    if cfg.daemon:
        from monoceros.arbiter.daemon import detach

        detach(cfg)
    with uncollected():
        from monoceros.arbiter.loop import Arbiter

    Arbiter(cfg, app).run()


def _load_http(parser: str) -> ModuleType:
    """Import the HTTP implementation that ``http_parser`` asks for; MONOCEROS_IMPL goes first."""
    wanted = {"fast": "c", "python": "py"}.get(parser)
    asked = wanted is not None and not os.environ.get(IMPL_VARIABLE)
    try:
        if asked:
            os.environ[IMPL_VARIABLE] = str(wanted)
        with uncollected():
            return importlib.import_module("monoceros.http")
    except ImportError as error:
        raise ConfigError(str(error)) from error
    finally:
        if asked:
            del os.environ[IMPL_VARIABLE]


def _check(cfg: Config, app: Application) -> int:
    for note in cfg.notes:
        print(note, file=sys.stderr)
    for warning in cfg.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    _ = cfg.worker_class, cfg.logger_class  # are imported when they are read
    try:
        app.wsgi()
    except AppImportError:
        raise
    except Exception as error:  # border: the application is the user's code
        text = format_application_error(error)
        print(f"\nError while loading the application:\n\n{text}", file=sys.stderr)
        return 1
    return 0


def _tell(text: str) -> None:
    """Print on the standard output, whose reader may stop early, as ``head`` does."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is still in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _inform(what: str, prog: str) -> str:
    if what == "version":
        return describe_version(prog)
    from monoceros.config import usage

    return usage.format_help(prog) if what == "help" else usage.format_full_help(prog)


def describe_version(prog: str = PROG) -> str:
    """Return the version, the interpreter, and which HTTP implementation runs and why."""
    import platform  # it takes a millisecond, and only this line needs it

    http = _load_http("auto")
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    about = f"{interpreter}, HTTP: {http.IMPL} ({http.IMPL_REASON})"
    if prog == GUNICORN:
        return f"gunicorn (version {GUNICORN_VERSION})\nmonoceros {__version__}, {about}"
    return f"monoceros (version {__version__})\n{about}"


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
