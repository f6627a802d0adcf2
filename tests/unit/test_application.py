"""Finding the application: every form, and what each mistake is told."""

from __future__ import annotations

import functools
import gc
import importlib
import re
import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.config import load
from monoceros.errors import AppImportError
from monoceros.workers.application import Application, find_wanted, load_app
from monoceros.workers.callables import Wanted, is_asgi

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
async def other_names(one, two, three): ...
wrapped = functools.partial(asgi)
def asgi_without_async(scope, receive, send): return asgi(scope, receive, send)

class Framework:
    async def __call__(self, scope, receive, send): ...

class Double:
    def __init__(self, scope): ...
    async def __call__(self, receive, send): ...

class Awaitable:
    def __init__(self, scope, receive, send): ...
    def __await__(self): ...

def double(scope): return Double(scope)

@functools.wraps(asgi)
def decorated_asgi(*args): return asgi(*args)

class Classic:
    def __init__(self, environ, start_response): ...
    def __iter__(self): return iter(())

def no_arguments(): return app
def with_default(config=None): return app
def make_site(config=None, debug=False): return app

# What follows can be called as an application, whatever it looks like.
@functools.wraps(no_arguments)
def decorated(*args): ...
def optional(environ=None, start_response=None): ...
def catch_all(*args): ...
def limited(environ, start_response, more=None): ...
bound = Classic.__init__.__get__(7)

framework = Framework()
method = framework.__call__

async def create(): return asgi
async def create_from(config): return asgi
async def two(scope, receive): ...
async def never(scope): ...
async def more(scope, receive, send, *, pool): ...
partly = functools.partial(two, None)
half = Double(None)
def create_half(): return half
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


ASYNC_FACTORY = (
    "Factories cannot be asynchronous: make it a plain function, and leave what has to be awaited "
    "to the application's lifespan."
)
ASGI = [
    "asgi",
    "other_names",
    "wrapped",
    "asgi_without_async",
    "decorated_asgi",
    "framework",
    "method",
    "Double",
    "double",
    "Awaitable",
]


@pytest.mark.parametrize("name", ASGI)
def test_asgi(name: str) -> None:
    for wanted in (Wanted.ASGI, Wanted.EITHER, Wanted.ANY):
        found = load_app(f"apps_here:{name}", wanted)
        assert found is getattr(sys.modules["apps_here"], name)
        assert is_asgi(found)
    with pytest.raises(
        AppImportError,
        match=rf"'apps_here:{name}' is an ASGI application, and this worker class serves WSGI .*"
        r"only\. The worker class asgi serves it, and is its default\.$",
    ):
        load_app(f"apps_here:{name}")


@pytest.mark.parametrize(
    ("name", "arguments", "is_factory"),
    [
        ("create", "()", True),
        ("create_from", "(config)", True),
        ("two", "(scope, receive)", False),
        ("never", "(scope)", False),
        ("more", "(scope, receive, send, *, pool)", False),
        ("partly", "(receive)", False),
        ("half", "(receive, send)", False),
        ("create_half()", "(receive, send)", False),
    ],
)
@pytest.mark.parametrize("wanted", [Wanted.WSGI, Wanted.ASGI, Wanted.EITHER])
def test_what_is_awaited_and_no_application(
    name: str, arguments: str, is_factory: bool, wanted: Wanted
) -> None:
    with pytest.raises(AppImportError) as caught:
        load_app(f"apps_here:{name}", wanted)
    told = str(caught.value)
    assert told.startswith(
        f"'apps_here:{name}' is asynchronous, with the arguments {arguments}, while an ASGI "
        "application takes (scope, receive, send)."
    )
    assert told.endswith(ASYNC_FACTORY) is is_factory


@pytest.mark.parametrize("name", ["create", "two"])
def test_what_other_worker_classes_call_is_theirs_to_judge(name: str) -> None:
    assert load_app(f"apps_here:{name}", Wanted.ANY) is getattr(sys.modules["apps_here"], name)


@pytest.mark.parametrize("call", ["create()", "create_from(1)"])
@pytest.mark.parametrize("wanted", list(Wanted))
def test_factories_that_would_have_to_be_awaited(call: str, wanted: Wanted) -> None:
    """That the coroutine was never awaited would be a warning, and so an error here."""
    with pytest.raises(AppImportError) as caught:
        load_app(f"apps_here:{call}", wanted)
    name = call.partition("(")[0]
    assert str(caught.value) == f"{name!r} in 'apps_here' returns a coroutine. {ASYNC_FACTORY}"
    gc.collect()


@pytest.mark.parametrize("name", ["app", "Classic", "limited"])
def test_wsgi(name: str) -> None:
    found = load_app(f"apps_here:{name}", Wanted.EITHER)
    assert not is_asgi(found)


@pytest.mark.parametrize("name", ["app", "Classic", "optional", "made_here"])
def test_wsgi_is_refused_where_asgi_is_wanted(name: str) -> None:
    module = importlib.import_module("apps_here")
    module.made_here = functools.partial(module.app)  # type: ignore[attr-defined]
    with pytest.raises(
        AppImportError,
        match=rf"'apps_here:{name}' is a WSGI application, and this worker class serves ASGI .*"
        r"only\. The worker class sync serves it, and is its default\.$",
    ):
        load_app(f"apps_here:{name}", Wanted.ASGI)


@pytest.mark.parametrize("name", ["decorated", "catch_all"])
def test_what_may_be_either_is_left_alone(name: str) -> None:
    for wanted in Wanted:
        assert load_app(f"apps_here:{name}", wanted) is getattr(sys.modules["apps_here"], name)


@pytest.mark.parametrize("wanted", [Wanted.ASGI, Wanted.EITHER])
def test_a_class_of_applications(wanted: Wanted) -> None:
    with pytest.raises(
        AppImportError,
        match=r"'apps_here:Framework' is a class, .* Did you mean 'apps_here:Framework\(\)'\?$",
    ):
        load_app("apps_here:Framework", wanted)


@pytest.mark.parametrize("name", ["no_arguments", "strict", "make_site"])
def test_a_factory_where_asgi_is_wanted(name: str) -> None:
    with pytest.raises(
        AppImportError, match=r"while an application takes \(scope, receive, send\)\. Did you mean"
    ):
        load_app(f"apps_here:{name}", Wanted.ASGI)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], Wanted.EITHER),
        (["--threads", "2"], Wanted.EITHER),
        (["-k", "sync"], Wanted.WSGI),
        (["-k", "sync", "--threads", "2"], Wanted.WSGI),
        (["-k", "gthread"], Wanted.WSGI),
        (["-k", "asgi"], Wanted.ASGI),
        (["-k", "monoceros.workers.base.Worker"], Wanted.ANY),
    ],
)
def test_what_is_wanted(arguments: list[str], wanted: Wanted, tmp_path: Path) -> None:
    assert find_wanted(load([*arguments, "apps_here"], {}, str(tmp_path))) is wanted


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
        f"No module named 'not' in {tmp_path} or elsewhere on the module search path."
    )
    assert caught.value.name == "not"


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("apps_here.py", "'apps_here.py' is a file. Did you mean 'apps_here:app'?"),
        ("apps_here.py:create_app()", "Did you mean 'apps_here:create_app()'?"),
        ("sub/deep_here.py", "Did you mean '--chdir sub deep_here:app'?"),
        ("sub/deep_here:app", "is a path. Did you mean '--chdir sub deep_here:app'?"),
        ("src/apps:app", "given as MODULE, MODULE:NAME or MODULE:FACTORY(ARGUMENTS)"),
        ("app_here:app", "Did you mean 'apps_here:app'?"),
        ("app_here", "Did you mean 'apps_here'?"),
        ("pack_heer.wsgi:app", "Did you mean 'pack_here.wsgi:app'?"),
        ("pack_here.wsgl:app", "Did you mean 'pack_here.wsgi:app'?"),
        ("deep_here:app", "There is one in {here}/sub: use '--chdir sub'."),
        ("shop_here.wsgi", "There is one in {here}/shop_here: use '--chdir shop_here'."),
        ("over_here.wsgi", "There is one in {above}: use '--chdir ..'."),
        ("wholly.elsewhere", "module search path."),
    ],
)
def test_a_missing_module_gets_a_hint(
    uri: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "above" / "here"
    for name in (
        "apps_here.py",
        "sub/deep_here.py",
        "pack_here/wsgi.py",
        "shop_here/shop_here/wsgi.py",
        "../over_here/wsgi.py",
    ):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SOURCE)
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    with pytest.raises(ModuleNotFoundError) as caught:
        load_app(uri)
    assert str(caught.value).endswith(hint.format(here=here, above=here.parent))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no_arguments",
            "arguments (), while .* Did you mean 'apps_here:no_arguments()'?",
        ),
        ("with_default", "(config=None), while .* Did you mean 'apps_here:with_default()'?"),
        ("strict", "(name), while .* Did you mean 'apps_here:strict(ARGUMENTS)'?"),
        ("create_app", "(*args, **kwargs), .* Did you mean 'apps_here:create_app()'?"),
        ("make_site", "(config=None, debug=False), .* Did you mean 'apps_here:make_site()'?"),
    ],
)
def test_a_factory_without_its_call(name: str, message: str) -> None:
    pattern = ".*".join(re.escape(part) for part in message.split(".*"))
    with pytest.raises(AppImportError, match=f"'apps_here:{name}' is a function .*{pattern}"):
        load_app(f"apps_here:{name}")


@pytest.mark.parametrize("name", ["decorated", "optional", "catch_all", "limited", "bound"])
def test_what_may_be_an_application_is_no_factory(name: str) -> None:
    assert load_app(f"apps_here:{name}") is getattr(sys.modules["apps_here"], name)


def test_a_missing_attribute_in_a_module_from_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(AppImportError, match=r"'app' in 'colorsys' \(/.*colorsys\.py\)\."):
        load_app("colorsys:app")


def test_asgi_beside_wsgi(tmp_path: Path) -> None:
    (tmp_path / "site_here").mkdir()
    (tmp_path / "site_here" / "asgi.py").write_text(SOURCE)
    (tmp_path / "site_here" / "wsgi.py").write_text(SOURCE)
    with pytest.raises(AppImportError, match=r"only\. Did you mean 'site_here\.wsgi:framework'\? "):
        load_app("site_here.asgi:framework")
    with pytest.raises(AppImportError, match=r"only\. Did you mean 'site_here\.asgi:app'\? "):
        load_app("site_here.wsgi:app", Wanted.ASGI)


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
