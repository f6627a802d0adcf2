"""What is told instead of serving: the version, the help, and whether a configuration works."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros import hosting
from monoceros._version import __version__
from monoceros.config.listing import format_json, format_settings
from monoceros.errors import AppImportError
from monoceros.identity import GUNICORN, GUNICORN_VERSION
from monoceros.workers.failure import format_application_error

if TYPE_CHECKING:
    from monoceros.config import Config
    from monoceros.workers.application import Source

PROG = "monoceros"


def show(cfg: Config) -> None:
    """Print all settings."""
    tell(format_json(cfg) if cfg.print_format == "json" else format_settings(cfg))


def complain(cfg: Config, prog: str) -> str:
    """Say what to do where no application is named, and none was found."""
    # Imported late: most servers are told what to serve.
    from monoceros.config.discovery import find_app
    from monoceros.config.usage import EXAMPLES

    tried = find_app(Path(cfg.chdir)).complain()
    return f"{tried}\n\nExamples:\n{EXAMPLES.format(prog=prog)}\n\n{prog} --help tells more."


def check(cfg: Config, app: Source) -> int:
    """Import everything that is named, and say what is wrong; returns the exit code."""
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


def tell(text: str) -> None:
    """Print on the standard output, whose reader may stop early, as ``head`` does."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is still in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def inform(what: str, prog: str) -> str:
    """Return the answer to ``help``, ``help-all`` or ``version``."""
    if what == "version":
        return describe_version(prog)
    from monoceros.config import usage

    return usage.format_help(prog) if what == "help" else usage.format_full_help(prog)


def describe_version(prog: str = PROG) -> str:
    """Return the version, the interpreter, and which HTTP implementation runs and why."""
    import platform  # it takes a millisecond, and only this line needs it

    http = hosting.load_http("auto")
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    about = f"{interpreter}, HTTP: {http.IMPL} ({http.IMPL_REASON})"
    if prog == GUNICORN:
        return f"gunicorn (version {GUNICORN_VERSION})\nmonoceros {__version__}, {about}"
    return f"monoceros (version {__version__})\n{about}"
