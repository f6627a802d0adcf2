"""Finding the application that a worker runs."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import traceback
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, cast

from monoceros.errors import AppImportError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from monoceros.config import Config
    from monoceros.http.types import WsgiApp

DEFAULT_NAME = "application"

_FORMS = "MODULE, MODULE:NAME or MODULE:FACTORY(ARGUMENTS)"


class Application:
    """The application of a configuration, imported at the first call of ``wsgi``."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg
        self.uri = cfg.app_uri or ""
        self.callable: WsgiApp | None = None

    def wsgi(self) -> WsgiApp:
        """Return the application, the same at every call.

        Raises AppImportError where it is not there or is no WSGI application, and whatever
        its module raises while it is imported.
        """
        if self.callable is None:
            self.callable = load_app(self.uri)
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
    module = _import(target.module)
    found = _attribute(module, target)
    if target.arguments is not None:
        found = _call(found, target)
    if found is None:
        raise AppImportError(f"Failed to find application object: {uri!r} is None")
    if not callable(found):
        kind = type(found).__name__
        raise AppImportError(f"Application object must be callable: {uri!r} is of type {kind}")
    if is_asgi(found):
        raise AppImportError(
            f"{uri!r} is an ASGI application, and the sync worker serves WSGI applications only"
        )
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
        raise AppImportError(f"{uri!r} names no module: an application is given as {_FORMS}")
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


def _import(name: str) -> ModuleType:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only the module asked for gets a hint; a module that it imports speaks for itself.
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        raise ModuleNotFoundError(_missing(name, error.name), name=error.name) from None
    return sys.modules[name]


def _missing(name: str, missing: str) -> str:
    if name.endswith(".py") and Path(name).exists():
        return f"Failed to find application, did you mean '{name[:-3].replace('/', '.')}:app'?"
    if "/" in name:
        return f"{name!r} is a path; an application is given as {_FORMS}"
    return f"No module named {missing!r} in {Path.cwd()} or elsewhere on the module search path"


def _attribute(module: ModuleType, target: Target) -> object:
    found: object = getattr(module, target.name, _NOTHING)
    if found is not _NOTHING:
        return found
    names = [name for name, one in vars(module).items() if callable(one) and name[0] != "_"]
    close = get_close_matches(target.name, names, n=1) or [
        name for name in ("app", "application", "create_app", "wsgi") if name in names
    ]
    hint = f" Did you mean '{target.module}:{close[0]}'?" if close else ""
    raise AppImportError(f"Failed to find attribute {target.name!r} in {target.module!r}.{hint}")


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
