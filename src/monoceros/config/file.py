"""Configuration files: Python source that is run, and whose variables are settings."""

from __future__ import annotations

import ast
import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODULE_NAME = "__config__"

_NO_GUNICORN = (
    "\nMonoceros has those parts of gunicorn that its documentation names (docs/python-api.md), "
    "and no others."
)

_SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


class FileVariables(NamedTuple):
    """The variables of a configuration file, the lines that set them, and names that it reads."""

    path: str
    values: Mapping[str, object]
    lines: Mapping[str, int]
    reads: frozenset[str] = frozenset()

    def origin(self, name: str) -> str:
        """Return file and line of a variable; the file alone where the line is not known."""
        line = self.lines.get(name)
        return f"{self.path}:{line}" if line else self.path


def read(location: str, cwd: str, *, anew: bool = False) -> FileVariables:
    """Run the file at ``PATH``, ``file:PATH`` or ``python:MODULE``; paths are relative to ``cwd``.

    A module that is imported already is run once more if ``anew``, but not what it imports.
    Raises ConfigError, with the file's own traceback where it raised.
    """
    if location.startswith("python:"):
        return _read_module(location.removeprefix("python:"), anew)
    path = Path(cwd, location.removeprefix("file:"))
    if not path.exists():
        raise ConfigError(f"The configuration file {str(path)!r} doesn't exist")
    return _read_path(str(path))


def _read_path(path: str) -> FileVariables:
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"Failed to read config file: {path}: {error.strerror}") from error
    module = ModuleType(MODULE_NAME)
    module.__file__ = path
    # A hook's annotations and pickles look their module up by name.
    sys.modules[MODULE_NAME] = module
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # border: the file is the user's code
        raise _failure(path, error) from error
    return _collect(path, module, source)


def _read_module(name: str, anew: bool) -> FileVariables:
    # Run in the same module, variables that have been removed from the source would stay.
    before = sys.modules.pop(name, None) if anew else None
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # border: the module is the user's code
        if before is not None:
            sys.modules[name] = before
        raise _failure(f"python:{name}", error) from error
    path = getattr(module, "__file__", None) or f"python:{name}"
    source = Path(path).read_bytes() if path.endswith(".py") else b""
    return _collect(path, module, source)


def _collect(path: str, module: ModuleType, source: bytes) -> FileVariables:
    tree = ast.parse(source)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    reads = frozenset(node.id for node in names if isinstance(node.ctx, ast.Load))
    return FileVariables(path, vars(module), find_lines(tree), reads)


def _failure(name: str, error: BaseException) -> ConfigError:
    own = error.__traceback__
    while own and _is_machinery(own.tb_frame.f_code.co_filename):
        own = own.tb_next
    text = "".join(traceback.format_exception(type(error), error, own)).rstrip()
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("gunicorn"):
        text += _NO_GUNICORN
    return ConfigError(f"Failed to read config file: {name}\n{text}")


def _is_machinery(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")


def find_lines(tree: ast.AST) -> dict[str, int]:
    """Return the last line at which each variable of a module is bound by name."""
    lines: dict[str, int] = {}
    for name, line in _bindings(tree):
        lines[name] = max(line, lines.get(name, 0))
    return lines


def _bindings(node: ast.AST) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id, child.lineno
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child.name, child.lineno
        elif isinstance(child, ast.Import | ast.ImportFrom):
            for imported in child.names:
                yield (imported.asname or imported.name.partition(".")[0]), child.lineno
        if not isinstance(child, _SCOPES):
            yield from _bindings(child)
