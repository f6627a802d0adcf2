"""The command: from the command line to a running server."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from monoceros import hosting, information
from monoceros.compat import finder
from monoceros.config import Config, load
from monoceros.config.commandline import InformationRequested
from monoceros.errors import MonocerosError
from monoceros.garbage import uncollected
from monoceros.identity import GUNICORN
from monoceros.workers.application import Application

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monoceros.http.types import WsgiApp
    from monoceros.workers.application import Source

PROG = information.PROG
GUNICORN_COMMAND = "gunicorn-command"  # as a first word; no module has such a name

# Of the interpreter, of setuptools, and of editable installations.
_OWN_FINDERS = ("_frozen_importlib", "_distutils_hack", "__editable__")


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
    # Before the configuration file, which may import it.
    finder.install(first=True)
    hosting.open_standard_descriptors()
    try:
        return _obey(arguments, prog)
    except MonocerosError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1


def _obey(arguments: Sequence[str], prog: str) -> int:
    try:
        cfg = load(arguments, os.environ, hosting.current_directory(), prog)
    except InformationRequested as request:
        information.tell(information.inform(request.what, prog))
        return 0
    return _start(cfg, prog)


def _start(cfg: Config, prog: str) -> int:
    if cfg.print_config:
        information.show(cfg)
    if cfg.app_uri is None:
        print(f"Error: {information.complain(cfg, prog)}", file=sys.stderr)
        return 1
    hosting.prepare(cfg)
    app = _make_application(cfg, prog)
    if cfg.check_config or cfg.print_config:
        return information.check(cfg, app)
    return _serve(cfg, app)


def _make_application(cfg: Config, prog: str) -> Source:
    """Return the application of a configuration.

    Where somebody may want to get hold of it by Gunicorn's name, as agents for monitoring do when
    ``gunicorn.app.base`` is imported, it is of a class from there.
    """
    if prog != GUNICORN and not _has_import_hooks():
        return Application(cfg)
    importlib.import_module("gunicorn.app.base")
    from monoceros.compat.application import CommandApplication

    return CommandApplication(cfg)


def _has_import_hooks() -> bool:
    """Whether anybody but the interpreter and ourselves has a say in imports."""
    return any(
        not isinstance(one, finder.Finder)
        and not getattr(one, "__module__", "").startswith(_OWN_FINDERS)
        for one in sys.meta_path
    )


def host(cfg: Config, app: WsgiApp) -> NoReturn:
    """Serve an application that a program brings along, under a configuration of its own."""
    hosting.prepare(cfg)
    _serve(cfg, Application(cfg, app))


def _serve(cfg: Config, app: Source) -> NoReturn:
    # Late, so that a wrong configuration is told without waiting for the whole server.
    if cfg.daemon:
        from monoceros.arbiter.daemon import detach

        detach(cfg)
    with uncollected():
        from monoceros.arbiter.loop import Arbiter

    Arbiter(app).run()
