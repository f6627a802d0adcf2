"""Finding the application that a worker runs."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from monoceros.config.pastefile import PasteFile
from monoceros.errors import AppImportError
from monoceros.workers import mistakes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from monoceros.config import Config
    from monoceros.http.types import WsgiApp

DEFAULT_NAME = "application"


class Application:
    """The application of a configuration, imported at the first call of ``wsgi``.

    ``ready`` is one that needs no import, because it hosts the server.
    """

    def __init__(self, cfg: Config, ready: WsgiApp | None = None) -> None:
        self.cfg = cfg
        self.uri = cfg.app_uri or ""
        self.callable = ready
        self._ready = ready

    def again(self, cfg: Config) -> Application:
        """Return the application of the next configuration, to be imported anew."""
        return Application(cfg, self._ready)

    def wsgi(self) -> WsgiApp:
        """Return the application, the same at every call.

        Raises AppImportError where it is not there or is no WSGI application, and whatever
        its module raises while it is imported.
        """
        if self.callable is None:
            self.callable = load_paste(self.cfg) if self.cfg.paste else load_app(self.uri)
        return self.callable


@dataclass(frozen=True, slots=True)
class Target:
    """An application's name taken apart; ``arguments`` is None where nothing is to be called."""

    module: str
    name: str
    arguments: tuple[object, ...] | None = None
    keywords: dict[str, object] = field(default_factory=dict)


def load_app(uri: str) -> WsgiApp:
    """Import the application that ``uri`` names; see ``Application.wsgi``."""
    target = parse_uri(uri)
    found = _attribute(_import(uri, target.module), target)
    if target.arguments is not None:
        found = _call(found, target)
    elif mistakes.is_factory(found, target.name) and not is_asgi(found):
        raise AppImportError(mistakes.describe_factory(uri, found))
    return check_app(found, uri)


def load_paste(cfg: Config) -> WsgiApp:
    """Have PasteDeploy make the application of ``cfg.paste``; see ``Application.wsgi``."""
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
    return check_app(found, f"{file.path}#{file.name}")


def check_app(found: object, uri: str) -> WsgiApp:
    """Return ``found`` if it can be a WSGI application, else raise AppImportError."""
    if found is None:
        raise AppImportError(f"Failed to find application object: {uri!r} is None")
    if not callable(found):
        kind = type(found).__name__
        raise AppImportError(f"Application object must be callable: {uri!r} is of type {kind}")
    if is_asgi(found):
        raise AppImportError(mistakes.describe_asgi(uri))
    return cast("WsgiApp", found)


def parse_uri(uri: str) -> Target:
    """Take ``MODULE[:NAME[(LITERALS)]]`` apart; raises AppImportError for anything else."""
    module, _, expression = uri.partition(":")
    try:
        body = ast.parse(expression or DEFAULT_NAME, mode="eval").body
    except (SyntaxError, ValueError):
        raise AppImportError(
            f"Failed to parse {expression!r} as an attribute name or function call."
        ) from None
    if not module or module.startswith("."):
        raise AppImportError(
            f"{uri!r} names no module: an application is given as {mistakes.FORMS}"
        )
    if isinstance(body, ast.Name):
        return Target(module, body.id)
    if isinstance(body, ast.Call) and isinstance(body.func, ast.Name):
        return Target(module, body.func.id, *_literals(body, expression))
    hint = ""
    if isinstance(body, ast.Attribute):
        hint = " A name cannot contain a dot: bind it to a plain name in the module."
    raise AppImportError(
        f"Failed to parse {expression!r} as an attribute name or function call.{hint}"
    )


def _literals(call: ast.Call, expression: str) -> tuple[tuple[object, ...], dict[str, object]]:
    try:
        arguments = tuple(ast.literal_eval(one) for one in call.args)
        keywords = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords if one.arg}
    except ValueError:
        raise AppImportError(
            f"Failed to parse arguments as literal values: {expression!r}"
        ) from None
    if len(keywords) != len(call.keywords):
        raise AppImportError(f"Failed to parse arguments as literal values: {expression!r}")
    return arguments, keywords


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
        return cast("Callable[..., object]", factory)(*arguments, **target.keywords)
    except TypeError as error:
        # A mismatch of arguments has no frame of the factory in its traceback.
        if len(traceback.extract_tb(error.__traceback__)) > 1:
            raise
        raise AppImportError(f"{target.name!r} does not take these arguments: {error}") from error


def is_asgi(app: object) -> bool:
    """Whether a callable can only be an ASGI application: it awaits, or is called as one."""
    call = app if inspect.isroutine(app) else getattr(app, "__call__", app)  # noqa: B004
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return True
    try:
        names = list(inspect.signature(call).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return names[-3:] == ["scope", "receive", "send"]
