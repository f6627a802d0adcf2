"""The search for an application that nobody named: where it looks, and what it does not take."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.config.discovery import find_app

if TYPE_CHECKING:
    from pathlib import Path

MANAGE = """\
import os, sys
def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
if __name__ == "__main__":
    main()
"""
WSGI = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n"


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "uri", "where"),
    [
        ({"app.py": FLASK}, "app:app", "found in app.py"),
        (
            {"main.py": "from fastapi import FastAPI\napp = FastAPI()"},
            "main:app",
            "found in main.py",
        ),
        ({"wsgi.py": "from site_here import app", "app.py": FLASK}, "wsgi:app", "found in wsgi.py"),
        ({"asgi.py": "async def app(scope, receive, send): ..."}, "asgi:app", "found in asgi.py"),
        (
            {"app.py": FLASK, "pyproject.toml": '[tool.monoceros]\napp = "x.y:make(1)"'},
            "x.y:make(1)",
            "[tool.monoceros] in pyproject.toml",
        ),
        (
            {
                "manage.py": MANAGE.format(settings="shop.settings"),
                "shop/wsgi.py": WSGI,
                "app.py": "",
            },
            "shop.wsgi:application",
            "the Django project of manage.py",
        ),
        (
            {"manage.py": MANAGE.format(settings="config.settings.local"), "config/wsgi.py": WSGI},
            "config.wsgi:application",
            "the Django project of manage.py",
        ),
        (
            {
                "manage.py": 'import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"\n',
                "shop/asgi.py": "application = get_asgi_application()",
            },
            "shop.asgi:application",
            "the Django project of manage.py",
        ),
    ],
)
def test_found(files: dict[str, str], uri: str, where: str, tmp_path: Path) -> None:
    if "pyproject.toml" in files and sys.version_info < (3, 11):
        pytest.importorskip("tomli")
    write(tmp_path, files)
    found = find_app(tmp_path)
    assert (found.uri, found.reason) == (uri, f"Application: {uri} ({where})")


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("app = application = wrap(x)", "app:application"),
        ("app: Flask = Flask(__name__)", "app:app"),
        ("def app(environ, start_response): ...", "app:app"),
        ("class application: ...", "app:application"),
        ("from elsewhere_here import web as app", "app:app"),
        ("from elsewhere_here import create_app", "app:create_app()"),
        ("try:\n    app = a()\nexcept ImportError:\n    pass", "app:app"),
        ("try:\n    x\nexcept ImportError:\n    app = a()", "app:app"),
        ("if DEBUG:\n    x\nelse:\n    app = a()", "app:app"),
        ("with x:\n    app = a()", "app:app"),
        ("def create_app(config=None, *, debug=False): ...", "app:create_app()"),
        ("def make_app(*args, **kwargs): ...", "app:make_app()"),
        ("def create_app(): ...\napp = create_app()", "app:app"),
    ],
)
def test_names(source: str, uri: str, tmp_path: Path) -> None:
    write(tmp_path, {"app.py": source})
    assert find_app(tmp_path).uri == uri


@pytest.mark.parametrize(
    ("source", "remark"),
    [
        ("", "has none of application, app, create_app(), make_app()"),
        ("import app", "has none of application, app, create_app(), make_app()"),
        ("def f():\n    app = a()", "has none of application, app, create_app(), make_app()"),
        ("from pack import app", "has none of application, app, create_app(), make_app()"),
        ('if __name__ == "__main__":\n    app = a()', "has none of application, app, create_app()"),
        ("app: Flask", "has none of application, app, create_app(), make_app()"),
        ("app = None", "app is no web application"),
        ("application = 'x'", "application is no web application"),
        ("import typer\napp = typer.Typer()", "app is no web application"),
        ("app = Celery('x', broker=y)", "app is no web application"),
        ("def create_app(config): ...", "create_app cannot be called without arguments"),
        ("def make_app(*, config): ...", "make_app cannot be called without arguments"),
        ("async def create_app(): ...", "create_app cannot be called without arguments"),
        ("x = 1\ndef app(:\n", "line 2: invalid syntax"),
        ("app = '\0'", "source code "),
    ],
)
def test_not_taken(source: str, remark: str, tmp_path: Path) -> None:
    write(tmp_path, {"app.py": source, "pack/app.py": ""})
    found = find_app(tmp_path)
    assert found.uri is None
    [line] = [line for line in found.tried if line.startswith("app.py: ")]
    assert line.startswith(f"app.py: {remark}")


def test_what_was_tried_is_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": "[project]\nname = 'x'\n",
            "manage.py": MANAGE.format(settings="shop.settings"),
            "shop/wsgi.py": "application = None\n",
            "app.py": "",
        },
    )
    assert find_app(tmp_path).complain() == (
        f"No application module specified, and none found in {tmp_path}:\n"
        "  pyproject.toml: no [tool.monoceros] app\n"
        "  manage.py: settings are shop.settings, but there is no wsgi.py beside them\n"
        "  shop/wsgi.py: application is no web application\n"
        "  wsgi.py: no such file\n"
        "  app.py: has none of application, app, create_app(), make_app()\n"
        "  main.py: no such file\n"
        "  asgi.py: no such file\n"
        "Name it: MODULE:NAME, such as app:app or myproject.wsgi"
    )


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("[tool.monoceros\n", "pyproject.toml: "),
        ("[tool.monoceros]\napp = 7\n", "pyproject.toml: [tool.monoceros] app is no text: 7"),
        ("tool = 'monoceros'\n", "pyproject.toml: no [tool.monoceros] app"),
    ],
)
def test_a_wrong_pyproject_does_not_end_the_search(text: str, remark: str, tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": text, "app.py": FLASK})
    found = find_app(tmp_path)
    assert found.uri == "app:app"
    assert [one for one in found.tried if one.startswith("pyproject")] == [found.tried[0]]
    assert found.tried[0].startswith(remark)


def test_a_manage_py_without_django_does_not_end_the_search(tmp_path: Path) -> None:
    write(tmp_path, {"manage.py": "print(1, 2)\n", "app.py": FLASK})
    found = find_app(tmp_path)
    assert found.uri == "app:app"
    assert "manage.py: sets no DJANGO_SETTINGS_MODULE" in found.tried


def test_nothing_is_run(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": "raise SystemExit\napp = print('run')\n"})
    assert find_app(tmp_path).uri == "app:app"
    assert "app" not in sys.modules
