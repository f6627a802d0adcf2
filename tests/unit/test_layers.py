"""Imports run downwards only: the layers of the package, pinned by reading its sources."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(monoceros.__file__).parent

# Highest first. A layer may import itself and whatever stands on a later line; what shares a
# line with it is a neighbour, which it may not import.
LAYERS = (
    {"__main__", "compat.facade"},
    {"paste"},
    {"cli"},
    {"compat"},
    {"arbiter"},
    {"information"},
    {"workers"},
    {"asgi", "wsgi", "net", "log", "demo"},
    {"http"},
    {"hosting"},
    {"config"},
    {"compat.finder"},
    {"arity", "errors", "garbage", "identity", "scoreboard", "spelling", "typing", "__init__"},
    {"unpatched"},
    {"_version"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# Forbidden although it points downwards: the parent process never touches HTTP.
NEVER = {("arbiter", "http")}


def modules_imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the dotted name of everything imported at run time, wherever the import stands."""
    for node in running_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Walk the tree, leaving out what is there for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield other
                yield from running_nodes(other)
            continue
        yield child
        yield from running_nodes(child)


def layer(module: str) -> str | None:
    """Return the layer a dotted name belongs to, None outside of the package."""
    top, *rest = module.split(".")
    if top != "monoceros":
        return None
    if rest[:2] == ["compat", "metadata"]:
        return "compat.finder"  # its other half
    names = (".".join(rest[:2]), *rest[:1])
    return next((name for name in names if name in LEVEL), "__init__")


def breaches(root: Path) -> list[str]:
    """Return each import under ``root`` (the package's folder) that does not run downwards."""
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        source = layer(".".join(["monoceros", *parts]))
        if source is None or (source == "__init__" and parts != ("__init__",)):
            found.append(f"{'/'.join(parts)}: belongs to no layer")
            continue
        package = ".".join(["monoceros", *parts[:-1]])
        for module in modules_imported(ast.parse(path.read_bytes()), package):
            target = layer(module)
            if target is not None and not allowed(source, target):
                found.append(f"{'/'.join(parts)} imports {module}")
    return found


def allowed(source: str, target: str) -> bool:
    """Whether the first layer may import the second."""
    if (source, target) in NEVER:
        return False
    return source == target or LEVEL[source] < LEVEL[target]


def test_imports_run_downwards() -> None:
    assert breaches(PACKAGE) == []


@pytest.mark.parametrize(
    ("path", "source", "breach"),
    [
        ("http/a.py", "from monoceros.wsgi import x", "http/a imports monoceros.wsgi.x"),
        ("http/a.py", "import monoceros.workers.sync", "http/a imports monoceros.workers.sync"),
        ("http/a.py", "from ..net import x", "http/a imports monoceros.net.x"),
        ("http/a.py", "from .. import net", "http/a imports monoceros.net"),
        ("http/a.py", "def f():\n  import monoceros.cli", "http/a imports monoceros.cli"),
        ("net/a.py", "from monoceros import log", "net/a imports monoceros.log"),
        ("arbiter/a.py", "import monoceros.http", "arbiter/a imports monoceros.http"),
        ("errors.py", "import monoceros.config", "errors imports monoceros.config"),
        ("compat/a.py", "import monoceros.cli", "compat/a imports monoceros.cli"),
        ("cli.py", "import monoceros.compat.facade.x", "cli imports monoceros.compat.facade.x"),
        ("other.py", "", "other: belongs to no layer"),
    ],
)
def test_a_breach_is_found(tmp_path: Path, path: str, source: str, breach: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)

    assert breaches(tmp_path) == [breach]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("http/a.py", "from monoceros.errors import x\nfrom monoceros import scoreboard"),
        ("http/a.py", "from .b import x\nfrom . import c\nfrom ..errors import y"),
        ("http/a.py", "from typing import *\nif TYPE_CHECKING:\n  import monoceros.cli"),
        ("cli.py", "import monoceros, socket\nfrom monoceros.arbiter.loop import Arbiter"),
        ("cli.py", "from monoceros.compat import command"),
        ("compat/facade/gunicorn/a.py", "from monoceros import cli\nfrom . import b"),
    ],
)
def test_what_runs_downwards_is_left_alone(tmp_path: Path, path: str, source: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)

    assert breaches(tmp_path) == []
