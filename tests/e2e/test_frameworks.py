"""Real frameworks, the validator of the standard library, and applications of the wrong kind."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = pytest.mark.process


def _request(
    srv: Server, method: str, path: str, body: bytes | None = None, **fields: str
) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    with closing(http.client.HTTPConnection(*srv.address, timeout=20)) as connection:
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("framework", ["flask", "falcon"])
def test_framework_serves(serve: Serve, framework: str) -> None:
    pytest.importorskip(framework)
    srv = serve(f"tests.e2e.apps.{framework}_app:app")

    assert _request(srv, "GET", "/") == (200, f"hello from {framework}".encode())
    assert _request(srv, "GET", "/missing")[0] == 404
    assert _request(srv, "PUT", "/")[0] == 405
    status, answer = _request(srv, "POST", "/upload", b"content" * 3)
    assert (status, json.loads(answer)["size"]) == (200, 21)


def test_framework_reads_forms(serve: Serve) -> None:
    pytest.importorskip("flask")
    srv = serve("tests.e2e.apps.flask_app:app")
    kind = "application/x-www-form-urlencoded"

    status, answer = _request(srv, "POST", "/form", b"name=J%C3%BCrgen&city=", Content_Type=kind)
    assert (status, json.loads(answer)) == (200, {"name": "Jürgen", "city": ""})


def test_framework_reads_chunked_content(serve: Serve) -> None:
    pytest.importorskip("flask")
    srv = serve("tests.e2e.apps.flask_app:app")
    with closing(http.client.HTTPConnection(*srv.address, timeout=20)) as connection:
        connection.request("POST", "/upload", iter([b"a" * 70000, b"b"]), encode_chunked=True)
        assert json.loads(connection.getresponse().read())["size"] == 70001


def test_validator_finds_nothing(serve: Serve) -> None:
    srv = serve("tests.e2e.apps.validated:app")
    for body in (None, b"", b"one\ntwo\n\nfour and the rest"):
        method = "GET" if body is None else "POST"
        for path, expected in (("/", 200), ("/write", 200), ("/failed", 503)):
            answer = _request(srv, method, f"{path}?query=1", body, Content_Type="text/plain")
            assert answer == (expected, body or b""), (method, path)
        assert _request(srv, method, "/none", body) == (204, b"")
    srv.stop()
    assert "Traceback" not in srv.log
    assert "Warning" not in srv.log


@pytest.mark.parametrize("name", ["function", "instance"])
def test_asgi_application_is_refused_with_its_reason(serve: Serve, name: str) -> None:
    srv = serve("-k", "sync", f"tests.e2e.apps.asgi_app:{name}", listening=False)

    assert srv.wait() == 4
    srv.wait_for(rf"apps.asgi_app:{name}' is an ASGI application, and this worker class serves W")
