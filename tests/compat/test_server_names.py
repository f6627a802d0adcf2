"""What the server calls itself, where somebody says otherwise under Gunicorn's names."""

from __future__ import annotations

import signal
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import gunicorn
import gunicorn.http.wsgi
import pytest

from monoceros import identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

APP = """\
def app(environ, start_response):
    body = environ["SERVER_SOFTWARE"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("conf", "app", "field", "software"),
    [
        ("import gunicorn\ngunicorn.SERVER = 'own'\n", "", "own", "gunicorn/27.0.1"),
        (
            "import gunicorn\ngunicorn.SERVER_SOFTWARE = 'own/1'\n",
            "",
            "gunicorn",
            "own/1",
        ),
        ("import gunicorn.http.wsgi as wsgi\nwsgi.SERVER = 'own'\n", "", "own", "gunicorn/27.0.1"),
        ("", "import gunicorn.http.wsgi as w\nw.SERVER = 'own'\n", "own", "gunicorn/27.0.1"),
        ("import gunicorn\ngunicorn.SERVER = 'a\\r\\nb: c'\n", "", "ab: c", "gunicorn/27.0.1"),
    ],
)
def test_names_that_are_set(
    server: Callable[..., Server], conf: str, app: str, field: str, software: str
) -> None:
    files = {"app.py": app + APP, "gunicorn.conf.py": conf}
    srv = server("--compat", "gunicorn", "app:app", files=files)
    for count in (1, 2):
        srv.wait_for("is ready", count)
        answer = srv.get("/")
        assert (answer.headers["Server"], answer.body.decode()) == (field, software)
        if count == 1:
            srv.signal(signal.SIGHUP)
            srv.wait_for("Reloaded")


@pytest.mark.process
def test_the_field_is_left_out_where_it_is_empty(server: Callable[..., Server]) -> None:
    conf = "import gunicorn\ngunicorn.SERVER = ''\n"
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": conf})

    assert "Server" not in srv.get("/").headers


def test_names_that_are_not_set() -> None:
    assert (gunicorn.SERVER, gunicorn.SERVER_SOFTWARE) == ("gunicorn", "gunicorn/27.0.1")
    assert gunicorn.http.wsgi.SERVER == "gunicorn"
    assert gunicorn.http.wsgi.SERVER_SOFTWARE == "gunicorn/27.0.1"
    assert identity.server_field("monoceros") == "monoceros"


def test_the_real_package_says_nothing_about_us(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ModuleType("gunicorn")
    vars(real)["SERVER"] = "gunicorn"
    monkeypatch.setitem(sys.modules, "gunicorn", real)

    assert identity.server_field("monoceros") == "monoceros"


def test_one_sets_what_the_other_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunicorn, "SERVER", "own", raising=False)
    assert gunicorn.http.wsgi.SERVER == "own"
    assert identity.server_field("monoceros") == "own"
