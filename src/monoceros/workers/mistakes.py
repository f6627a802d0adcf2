"""What is told about an application that cannot be found or used, and what to do about it."""

from __future__ import annotations

import inspect
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FORMS = "MODULE, MODULE:NAME or MODULE:FACTORY(ARGUMENTS)"

_FACTORY_NAME = re.compile(r"(create|make|build|get)_\w+|\w*factory")
_USUAL = ("app", "application", "create_app", "make_app", "wsgi")
_NEIGHBOURS = 200  # folders that are looked into for a module; beyond, it takes too long


def describe_missing_module(uri: str, missing: str) -> str:
    """Return the message for ``uri``, whose module or its parent ``missing`` is not there."""
    name, colon, rest = uri.partition(":")
    suffix = colon + rest
    if name.endswith(".py") and Path(name).exists():
        path, suffix = Path(name), suffix or ":app"
        return f"{name!r} is a file. Did you mean {_command(path.parent, path.stem, suffix)}?"
    if "/" in name:
        path = Path(name)
        if _is_module(path):
            return f"{name!r} is a path. Did you mean {_command(path.parent, path.name, suffix)}?"
        return f"{name!r} is a path; an application is given as {FORMS}"
    return (
        f"No module named {missing!r} in {Path.cwd()} or elsewhere on the module search path."
        f"{_hint_module(name, missing, suffix)}"
    )


def _command(directory: Path, module: str, suffix: str) -> str:
    folder = "" if directory == Path() else f"--chdir {directory} "
    return f"'{folder}{module}{suffix}'"


def _hint_module(name: str, missing: str, suffix: str) -> str:
    cwd = Path.cwd()
    relative = Path(*name.split("."))
    parent, _, last = missing.rpartition(".")
    for directory in (cwd.parent, *_folders(cwd)):
        if _is_module(directory / relative):
            where = ".." if directory == cwd.parent else directory.name
            return f" There is one in {directory}: use '--chdir {where}'."
    known = {name for folder in _search_folders(parent, cwd) for name in _modules(folder)}
    close = get_close_matches(last, sorted(known), n=1)
    if not close:
        return ""
    right = ".".join(filter(None, (parent, close[0], name[len(missing) + 1 :])))
    return f" Did you mean '{right}{suffix}'?"


def _search_folders(parent: str, cwd: Path) -> list[Path]:
    if not parent:
        return [cwd]
    return [Path(path) for path in getattr(sys.modules.get(parent), "__path__", ())]


def _modules(directory: Path) -> Iterator[str]:
    for path in _entries(directory):
        if path.suffix == ".py" or (path.is_dir() and path.name.isidentifier()):
            yield path.stem


def _folders(directory: Path) -> list[Path]:
    folders = [path for path in _entries(directory) if path.is_dir()]
    return folders[:_NEIGHBOURS]


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.name[0] not in "._")
    except OSError:
        return []


def _is_module(path: Path) -> bool:
    return path.with_name(path.name + ".py").is_file() or (path / "__init__.py").is_file()


def describe_missing_attribute(module: ModuleType, name: str) -> str:
    """Return the message for a module that has no ``name``."""
    known = {key: one for key, one in vars(module).items() if callable(one) and key[0] != "_"}
    close = get_close_matches(name, known, n=1) or [one for one in _USUAL if one in known]
    hint = ""
    if close:
        call = "()" if is_factory(known[close[0]], close[0]) else ""
        hint = f" Did you mean '{module.__name__}:{close[0]}{call}'?"
    path = getattr(module, "__file__", None)
    # A module of the same name elsewhere may stand in the way of the one that is meant.
    where = f" ({path})" if path and not Path(path).is_relative_to(Path.cwd()) else ""
    return f"Failed to find attribute {name!r} in {module.__name__!r}{where}.{hint}"


def is_factory(found: object, name: str) -> bool:
    """Whether a function can only make applications: it cannot be called like one.

    A function named like a factory counts as one if it also can be called without arguments.
    """
    if not inspect.isfunction(found):
        return False
    if not _accepts(found, 2):
        return True
    return _FACTORY_NAME.fullmatch(name) is not None and _accepts(found, 0)


def _accepts(function: object, count: int) -> bool:
    # What a wrapper wraps says nothing about how the wrapper can be called.
    signature = inspect.signature(function, follow_wrapped=False)  # type: ignore[arg-type]
    try:
        signature.bind(*(None,) * count)
    except TypeError:
        return False
    return True


def describe_factory(uri: str, factory: object) -> str:
    """Return the message for a function that is no application but may make one."""
    module, _, name = uri.partition(":")
    name = name or "application"
    signature = str(inspect.signature(factory, follow_wrapped=False))  # type: ignore[arg-type]
    message = f"{uri!r} is a function with the arguments {signature.partition(' ->')[0]}"
    arguments = "()" if _accepts(factory, 0) else "(ARGUMENTS)"
    return (
        f"{message}, while an application takes (environ, start_response). "
        f"Did you mean '{module}:{name}{arguments}'?"
    )


def describe_asgi(uri: str) -> str:
    """Return the message for an ASGI application."""
    module, colon, name = uri.partition(":")
    message = f"{uri!r} is an ASGI application, and the sync worker serves WSGI applications only."
    parent, _, last = module.rpartition(".")
    beside = ".".join(filter(None, (parent, "wsgi")))
    if last == "asgi" and _is_module(Path(*beside.split("."))):
        return f"{message} Did you mean '{beside}{colon}{name}'?"
    return f"{message} Serve a2wsgi.ASGIMiddleware(app) instead (pip install a2wsgi)."
