"""Finding the application that a worker runs."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from monoceros.errors import AppImportError
from monoceros.workers import mistakes
from monoceros.workers.callables import (
    Wanted,
    is_asgi,
    is_awaited_in_vain,
    is_class_of_asgi,
    is_factory,
    is_wsgi,
)
from monoceros.workers.target import parse_uri

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from monoceros.config import Config
    from monoceros.http.types import WsgiApp
    from monoceros.workers.target import Target


class Source(Protocol):
    """Where the arbiter and its workers have the application from.

    ``Application`` is one, and so are the application classes that others subclass, see
    ``monoceros.compat.application``.
    """

    callable: Callable[..., Any] | None

    def wsgi(self) -> Callable[..., Any]:
        """Return the application, the same at every call; raises whatever its import raises."""

    def configuration(self) -> Config:
        """Return the configuration to start with."""

    def again(self, cfg: Config) -> Source:
        """Return the source for the next configuration, or for code that has changed."""


class Application:
    """The application of a configuration, imported at the first call of ``wsgi``.

    ``ready`` is one that needs no import, because it hosts the server.
    """

    def __init__(self, cfg: Config, ready: WsgiApp | None = None) -> None:
        self.cfg = cfg
        self.uri = cfg.app_uri or ""
        self.callable = ready
        self._ready = ready

    def configuration(self) -> Config:
        """Return the configuration that it belongs to."""
        return self.cfg

    def again(self, cfg: Config) -> Application:
        """Return the application of the next configuration, to be imported anew."""
        return Application(cfg, self._ready)

    def wsgi(self) -> WsgiApp:
        """Return the application, the same at every call.

        Raises AppImportError where it is not there or is of no use to the worker class, and
        whatever its module raises while it is imported.
        """
        if self.callable is None:
            wanted = find_wanted(self.cfg)
            if self.cfg.paste:
                self.callable = load_paste(self.cfg, wanted)
            else:
                self.callable = load_app(self.uri, wanted)
        return self.callable


def find_wanted(cfg: Config) -> Wanted:
    """Return which applications the worker class has use for.

    Those of others know best what they can call.
    """
    if cfg.is_class_open:
        return Wanted.EITHER
    worker_class = cfg.worker_class
    if getattr(worker_class, "serves_asgi", False):
        return Wanted.ASGI
    return Wanted.WSGI if getattr(worker_class, "serves_wsgi_only", False) else Wanted.ANY


def load_app(uri: str, wanted: Wanted = Wanted.WSGI) -> WsgiApp:
    """Import the application that ``uri`` names; see ``Application.wsgi``."""
    target = parse_uri(uri)
    found = _attribute(_import(uri, target.module), target)
    if target.arguments is not None:
        found = _call(found, target)
    elif wanted is not Wanted.ANY and is_factory(found, target.name, wanted) and not is_asgi(found):
        raise AppImportError(mistakes.describe_factory(uri, found, wanted))
    return check_app(found, uri, wanted)


def load_paste(cfg: Config, wanted: Wanted = Wanted.WSGI) -> WsgiApp:
    """Have PasteDeploy make the application of ``cfg.paste``; see ``Application.wsgi``."""
    from monoceros.config.pastefile import PasteFile

    file = PasteFile.parse(cfg.paste or "", cfg.chdir)
    try:
        deploy = importlib.import_module("paste.deploy")
    except ModuleNotFoundError as error:
        if error.name not in ("paste", "paste.deploy"):
            raise
        raise AppImportError(
            "The setting paste needs PasteDeploy: pip install 'monoceros[paste]'"
        ) from None
    if not Path(file.path).is_file():
        raise AppImportError(f"paste: there is no file {file.path}")
    found: object = deploy.loadapp(
        f"config:{file.path}",
        name=file.name,
        relative_to=cfg.chdir,
        global_conf=dict(cfg.paste_global_conf),
    )
    return check_app(found, f"{file.path}#{file.name}", wanted)


def check_app(found: object, uri: str, wanted: Wanted = Wanted.WSGI) -> WsgiApp:
    """Return ``found`` if it can be the application, else raise AppImportError."""
    if found is None:
        raise AppImportError(f"Failed to find application object: {uri!r} is None")
    if not callable(found):
        kind = type(found).__name__
        raise AppImportError(f"Application object must be callable: {uri!r} is of type {kind}")
    if wanted is not Wanted.ANY and is_awaited_in_vain(found):
        raise AppImportError(mistakes.describe_awaited(uri, found))
    if wanted is Wanted.WSGI and is_asgi(found):
        raise AppImportError(mistakes.describe_asgi(uri))
    if wanted is Wanted.ASGI and is_wsgi(found):
        raise AppImportError(mistakes.describe_wsgi(uri))
    if wanted in (Wanted.ASGI, Wanted.EITHER) and is_class_of_asgi(found):
        raise AppImportError(mistakes.describe_class(uri))
    return cast("WsgiApp", found)


def _import(uri: str, name: str) -> ModuleType:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only the module asked for gets a hint; a module that it imports speaks for itself.
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        message = mistakes.describe_missing_module(uri, error.name)
        raise ModuleNotFoundError(message, name=error.name) from None
    return sys.modules[name]


def _attribute(module: ModuleType, target: Target) -> object:
    found: object = getattr(module, target.name, _NOTHING)
    if found is _NOTHING:
        raise AppImportError(mistakes.describe_missing_attribute(module, target.name))
    return found


_NOTHING = object()


def _call(factory: object, target: Target) -> object:
    if not callable(factory):
        raise AppImportError(f"{target.name!r} in {target.module!r} cannot be called")
    arguments = target.arguments or ()
    try:
        made: object = factory(*arguments, **target.keywords)
    except TypeError as error:
        # A mismatch of arguments has no frame of the factory in its traceback.
        if len(traceback.extract_tb(error.__traceback__)) > 1:
            raise
        raise AppImportError(f"{target.name!r} does not take these arguments: {error}") from error
    if isinstance(made, Coroutine):
        made.close()  # else Python would complain that it was never awaited
        raise AppImportError(mistakes.describe_coroutine(target.module, target.name))
    return made
