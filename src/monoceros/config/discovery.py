"""Finding the application where none is named, by reading sources: nothing is imported."""

from __future__ import annotations

import ast
import importlib
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILES = ("wsgi.py", "app.py", "main.py", "asgi.py")
NAMES = ("application", "app")
FACTORIES = ("create_app", "make_app")

_SETTINGS_VARIABLE = "DJANGO_SETTINGS_MODULE"
_WANTED = ", ".join((*NAMES, *(f"{name}()" for name in FACTORIES)))

# Objects that files of these names often call ``app`` and that serve no requests.
_OTHER_KINDS = frozenset({"ArgumentParser", "Celery", "QApplication", "Tk", "Typer"})

# What a name is bound to: a definition, an assigned value, or None for an imported name.
_Bound: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr | None


class Found(NamedTuple):
    """The application's name, if there is one, and how the search went.

    ``reason`` is one line for the log; ``tried`` is a remark for each place without success.
    """

    directory: str
    uri: str | None = None
    reason: str = ""
    tried: Sequence[str] = ()

    def complain(self) -> str:
        """Return what to tell where nothing was found, in several lines."""
        places = "".join(f"\n  {one}" for one in self.tried)
        return (
            f"No application module specified, and none found in {self.directory}:{places}\n"
            "Name it: MODULE:NAME, such as app:app or myproject.wsgi"
        )


def find_app(directory: Path) -> Found:
    """Look for the application of a project in its directory; raises nothing."""
    tried: list[str] = []
    for uri, where in _search(directory, tried):
        return Found(str(directory), uri, f"Application: {uri} ({where})", tried)
    return Found(str(directory), tried=tried)


def _search(directory: Path, tried: list[str]) -> Iterator[tuple[str, str]]:
    """Yield finds, the best first, and note what led to none."""
    if uri := _read_pyproject(directory / "pyproject.toml", tried):
        yield uri, "[tool.monoceros] in pyproject.toml"
    if uri := _find_django(directory, tried):
        yield uri, "the Django project of manage.py"
    for name in FILES:
        if uri := _find_in_file(directory, name, tried):
            yield uri, f"found in {name}"


def _read_pyproject(path: Path, tried: list[str]) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        tried.append(f"{path.name}: {_why(error)}")
        return None
    try:
        # Reading TOML is worth its import only where the file has something to say to us.
        app = _read_toml_app(text) if "monoceros" in text else None
    except (ModuleNotFoundError, ValueError) as error:
        tried.append(f"{path.name}: {error}")
        return None
    if isinstance(app, str) and app:
        return app
    if app is None:
        tried.append(f"{path.name}: no [tool.monoceros] app")
    else:
        tried.append(f"{path.name}: [tool.monoceros] app is no text: {app!r}")
    return None


def _read_toml_app(text: str) -> object:
    # The standard library has it since Python 3.11.
    reader = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    table: object = reader.loads(text)
    for key in ("tool", "monoceros", "app"):
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _find_django(directory: Path, tried: list[str]) -> str | None:
    tree = _parse(directory, "manage.py", tried)
    if tree is None:
        return None
    settings = next(_settings_modules(tree), None)
    if settings is None:
        tried.append(f"manage.py: sets no {_SETTINGS_VARIABLE}")
        return None
    missed: list[str] = []
    packages = settings.split(".")[:-1]
    for file in ("wsgi.py", "asgi.py"):
        for depth in range(len(packages), 0, -1):
            name = "/".join((*packages[:depth], file))
            if uri := _find_in_file(directory, name, missed):
                return uri
    tried.append(f"manage.py: settings are {settings}, but there is no wsgi.py beside them")
    # Files that are there say more than those that are not.
    tried.extend(one for one in missed if not one.endswith(_MISSING))
    return None


def _settings_modules(tree: ast.Module) -> Iterator[str]:
    """Yield what is given to the variable: in a call beside its name, or by assignment."""
    for node in ast.walk(tree):
        texts: list[object] = []
        if isinstance(node, ast.Call):
            texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            sides = (node.targets[0].slice, node.value)
            texts = [one.value for one in sides if isinstance(one, ast.Constant)]
        if len(texts) == 2 and texts[0] == _SETTINGS_VARIABLE and isinstance(texts[1], str):
            yield texts[1]


def _find_in_file(directory: Path, name: str, tried: list[str]) -> str | None:
    tree = _parse(directory, name, tried)
    if tree is None:
        return None
    module = name.removesuffix(".py").replace("/", ".")
    bound = dict(_bindings(tree.body, directory))
    for one in NAMES:
        if one in bound and _may_serve(bound[one]):
            return f"{module}:{one}"
    for one in FACTORIES:
        if one in bound and _takes_nothing(bound[one]):
            return f"{module}:{one}()"
    tried.append(f"{name}: {_describe_names(bound)}")
    return None


def _describe_names(bound: dict[str, _Bound]) -> str:
    for name in NAMES:
        if name in bound:
            return f"{name} is no web application"
    for name in FACTORIES:
        if name in bound:
            return f"{name} cannot be called without arguments"
    return f"has none of {_WANTED}"


def _parse(directory: Path, name: str, tried: list[str]) -> ast.Module | None:
    try:
        return ast.parse((directory / name).read_bytes())
    except SyntaxError as error:
        line = f"line {error.lineno}: " if error.lineno else ""
        tried.append(f"{name}: {line}{error.msg}")
    except (OSError, ValueError, RecursionError) as error:
        tried.append(f"{name}: {_why(error)}")
    return None


_MISSING = "no such file"


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return _MISSING
    return getattr(error, "strerror", None) or str(error)


def _bindings(body: list[ast.stmt], directory: Path) -> Iterator[tuple[str, _Bound]]:
    """Yield what a module binds, also inside of its conditions, ``try`` and ``with``."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if node.value is not None:
                yield node.target.id, node.value
        elif isinstance(node, ast.ImportFrom):
            yield from _imported(node, directory)
        elif not _is_main_guard(node):
            for part in ("body", "orelse", "handlers", "finalbody"):
                yield from _bindings(getattr(node, part, []), directory)


def _imported(node: ast.ImportFrom, directory: Path) -> Iterator[tuple[str, None]]:
    parent = directory.joinpath(*(node.module or "").split("."))
    for alias in node.names:
        # ``from package import app`` may mean the module app of that package.
        if not (parent / f"{alias.name}.py").exists():
            yield alias.asname or alias.name, None


def _is_main_guard(node: ast.stmt) -> bool:
    """Whether a statement is ``if __name__ == "__main__"``, whose body a server never runs."""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _may_serve(value: _Bound) -> bool:
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func).rpartition(".")[2]
        return name not in _OTHER_KINDS
    literals = ast.Constant | ast.List | ast.Dict | ast.Set | ast.Tuple | ast.JoinedStr
    return not isinstance(value, literals)


def _takes_nothing(value: _Bound) -> bool:
    """Whether a factory can be called without arguments, as far as its source tells."""
    if not isinstance(value, ast.FunctionDef):
        return value is None
    given = value.args
    required = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    return required == 0 and None not in given.kw_defaults
