"""What is told about an application that cannot be found or used, and what to do about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.spelling import closest
from monoceros.workers.callables import Wanted, is_factory, is_named_like_a_factory, takes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

FORMS = "MODULE, MODULE:NAME or MODULE:FACTORY(ARGUMENTS)"

_ASYNC_FACTORY = (
    "Factories cannot be asynchronous: make it a plain function, and leave what has to be awaited "
    "to the application's lifespan."
)
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
    close = closest(last, sorted(known))
    if close is None:
        return ""
    right = ".".join(filter(None, (parent, close, name[len(missing) + 1 :])))
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
    likely = closest(name, known) or next((one for one in _USUAL if one in known), None)
    hint = ""
    if likely is not None:
        call = "()" if is_factory(known[likely], likely) else ""
        hint = f" Did you mean '{module.__name__}:{likely}{call}'?"
    path = getattr(module, "__file__", None)
    # A module of the same name elsewhere may stand in the way of the one that is meant.
    where = f" ({path})" if path and not Path(path).is_relative_to(Path.cwd()) else ""
    return f"Failed to find attribute {name!r} in {module.__name__!r}{where}.{hint}"


def describe_factory(uri: str, factory: Callable[..., object], wanted: Wanted = Wanted.WSGI) -> str:
    """Return the message for a function that is no application but may make one."""
    module, _, name = uri.partition(":")
    name = name or "application"
    message = f"{uri!r} is a function with the arguments {_arguments_of(factory)}"
    arguments = "()" if takes(factory, 0) else "(ARGUMENTS)"
    taken = "(scope, receive, send)" if wanted is Wanted.ASGI else "(environ, start_response)"
    return (
        f"{message}, while an application takes {taken}. Did you mean '{module}:{name}{arguments}'?"
    )


def _arguments_of(function: Callable[..., object]) -> str:
    import inspect

    return str(inspect.signature(function, follow_wrapped=False)).partition(" ->")[0]


def describe_awaited(uri: str, app: Callable[..., object]) -> str:
    """Return the message for what has to be awaited, and is no application."""
    name = uri.partition(":")[2] or "application"
    is_likely_factory = takes(app, 0) or is_named_like_a_factory(name)
    hint = f" {_ASYNC_FACTORY}" if is_likely_factory else ""
    return (
        f"{uri!r} is asynchronous, with the arguments {_arguments_of(app)}, while an ASGI "
        f"application takes (scope, receive, send).{hint}"
    )


def describe_coroutine(module: str, name: str) -> str:
    """Return the message for a factory that would have to be awaited."""
    return f"{name!r} in {module!r} returns a coroutine. {_ASYNC_FACTORY}"


def describe_class(uri: str) -> str:
    """Return the message for a class of ASGI applications."""
    module, _, name = uri.partition(":")
    return (
        f"{uri!r} is a class, while an application is an instance of it. "
        f"Did you mean '{module}:{name or 'application'}()'?"
    )


def describe_asgi(uri: str) -> str:
    """Return the message for an ASGI application."""
    return (
        f"{uri!r} is an ASGI application, and this worker class serves WSGI applications only. "
        f"{_hint_beside(uri, 'asgi', 'wsgi')}The worker class asgi serves it, and is its default."
    )


def describe_wsgi(uri: str) -> str:
    """Return the message for a WSGI application."""
    return (
        f"{uri!r} is a WSGI application, and this worker class serves ASGI applications only. "
        f"{_hint_beside(uri, 'wsgi', 'asgi')}The worker class sync serves it, and is its default."
    )


def _hint_beside(uri: str, name: str, other: str) -> str:
    """Return a hint at the module ``other`` where there is one beside the module ``name``."""
    module, colon, attribute = uri.partition(":")
    parent, _, last = module.rpartition(".")
    beside = ".".join(filter(None, (parent, other)))
    if last == name and _is_module(Path(*beside.split("."))):
        return f"Did you mean '{beside}{colon}{attribute}'? "
    return ""
