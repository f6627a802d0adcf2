"""Finding the application: every form, and what each mistake is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.config import load
from monoceros.errors import AppImportError
from monoceros.workers.application import Application, is_asgi, load_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = """\
import functools

def app(environ, start_response):
    return []

application = app
nothing = None
number = 7

def create_app(*args, **kwargs):
    def made(environ, start_response):
        return [repr((args, kwargs)).encode()]
    return made

def strict(name): return app
def broken(): return app(1)
def none(): return None

async def asgi(scope, receive, send): ...
wrapped = functools.partial(asgi)
def asgi_without_async(scope, receive, send): return asgi(scope, receive, send)

class Framework:
    async def __call__(self, scope, receive, send): ...

class Classic:
    def __init__(self, environ, start_response): ...
    def __iter__(self): return iter(())

framework = Framework()
method = framework.__call__
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module ``apps_here`` to load applications from."""
    path = tmp_path / "apps_here.py"
    path.write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    for name in [name for name in sys.modules if name.endswith("_here")]:
        del sys.modules[name]


@pytest.mark.parametrize("uri", ["apps_here", "apps_here:app", "apps_here:", "apps_here:Classic"])
def test_found(uri: str) -> None:
    name = uri.partition(":")[2] or "application"
    assert load_app(uri) is getattr(sys.modules["apps_here"], name)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("create_app()", "((), {})"),
        ("create_app('a:b', 1)", "(('a:b', 1), {})"),
        ("create_app([1, {'x': None}], key=-2)", "(([1, {'x': None}],), {'key': -2})"),
    ],
)
def test_factories(call: str, arguments: str) -> None:
    made = load_app(f"apps_here:{call}")
    assert list(made({}, lambda *_: lambda _: None)) == [arguments.encode()]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("apps_here:ap", r"Failed to find attribute 'ap' in 'apps_here'\. Did you mean .*:app'\?"),
        ("apps_here:zzz", r"'zzz' in 'apps_here'\. Did you mean 'apps_here:app'\?"),
        ("apps_here:a.b", r"Failed to parse 'a\.b' as an attribute name or function call\. .* dot"),
        ("apps_here:a[0]", r"Failed to parse 'a\[0\]' as an attribute name or function call\.$"),
        ("apps_here:a b", "Failed to parse 'a b' as an attribute name or function call"),
        ("apps_here:x.y()", "Failed to parse 'x.y\\(\\)' as an attribute name or function call"),
        ("apps_here:create_app(app)", "Failed to parse arguments as literal values"),
        ("apps_here:create_app(**{'a': 1})", "Failed to parse arguments as literal values"),
        ("apps_here:create_app(*'ab')", "Failed to parse arguments as literal values"),
        ("apps_here:strict()", r"'strict' does not take these arguments: .*missing 1 required"),
        ("apps_here:number()", "'number' in 'apps_here' cannot be called"),
        ("apps_here:nothing", "Failed to find application object: 'apps_here:nothing' is None"),
        ("apps_here:none()", "Failed to find application object"),
        ("apps_here:number", "must be callable: 'apps_here:number' is of type int"),
        (":app", "names no module"),
        (".apps_here:app", "names no module"),
        ("", "names no module"),
    ],
)
def test_not_found(uri: str, message: str) -> None:
    with pytest.raises(AppImportError, match=message):
        load_app(uri)


@pytest.mark.parametrize(
    "name", ["asgi", "wrapped", "asgi_without_async", "framework", "method", "Framework"]
)
def test_asgi_is_refused(name: str) -> None:
    with pytest.raises(
        AppImportError,
        match=rf"'apps_here:{name}' is an ASGI application, and the sync worker serves WSGI",
    ):
        load_app(f"apps_here:{name}")


@pytest.mark.parametrize("app", [max, dict, print])
def test_callables_in_c_are_no_asgi(app: object) -> None:
    assert not is_asgi(app)


def test_an_error_inside_a_factory_is_its_own() -> None:
    with pytest.raises(TypeError, match="start_response"):
        load_app("apps_here:broken()")


def test_a_missing_module_is_told_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        load_app("not.here:app")
    assert str(caught.value) == (
        f"No module named 'not' in {tmp_path} or elsewhere on the module search path"
    )
    assert caught.value.name == "not"


def test_a_file_name_gets_a_hint() -> None:
    with pytest.raises(ImportError, match="did you mean 'apps_here:app'"):
        load_app("apps_here.py")


def test_a_path_gets_a_hint() -> None:
    with pytest.raises(ImportError, match="'src/apps' is a path"):
        load_app("src/apps:app")


def test_what_a_module_misses_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "needs_here.py").write_text("import not_installed\n")
    with pytest.raises(ModuleNotFoundError) as caught:
        load_app("needs_here:app")
    assert str(caught.value) == "No module named 'not_installed'"


def test_what_a_module_raises_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "fails_here.py").write_text("raise ZeroDivisionError\n")
    with pytest.raises(ZeroDivisionError):
        load_app("fails_here")


def test_an_application_is_loaded_once(tmp_path: Path) -> None:
    cfg = load(["apps_here:create_app()"], {}, str(tmp_path))
    app = Application(cfg)
    assert (app.cfg, app.uri, app.callable) == (cfg, "apps_here:create_app()", None)
    first = app.wsgi()
    assert app.wsgi() is first
    assert app.callable is first
