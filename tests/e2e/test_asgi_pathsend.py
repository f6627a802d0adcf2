"""Files that Starlette sends by their path, and middleware that does not know the event."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import ask
from tests.e2e.conftest import ROOT
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

pytestmark = [pytest.mark.process, pytest.mark.settled]

CONTENT = b"0123456789abcdef" * 1000
# What the documentation has people write.
WITHOUT = (ROOT / "docs/migrating.md").read_text().partition("```python\nclass WithoutPathsend")[2]
WITHOUT = "class WithoutPathsend" + WITHOUT.partition("```")[0]
APP = """\
from pathlib import Path
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse
from starlette.routing import Route

async def file(request):
    return FileResponse("large.txt")

class StartAndBody:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        async def pass_on(event):
            if event["type"] in ("http.response.start", "http.response.body"):
                await send(event)
        await self.app(scope, receive, pass_on if scope["type"] == "http" else send)

inner = Starlette(routes=[Route("/file", file)])
"""
COMPRESSED = "app = GZipMiddleware(inner)\n"
FILTERED = "app = StartAndBody(inner)\n"


def fetch(serve: Serve, tmp_path: Path, source: str) -> tuple[int, str | None, bytes]:
    """Return status, encoding and content of a file that an application sends."""
    skip_without("starlette")
    (tmp_path / "large.txt").write_bytes(CONTENT)
    srv = serve("-k", "asgi", "-w", "1", "app:app", files={"app.py": APP + source})
    with srv.connect() as client:
        answer = ask(client, "/file", "Accept-Encoding: gzip")
    return answer.status, answer.fields.get("content-encoding"), answer.body


def test_files_are_sent_by_their_path(serve: Serve, tmp_path: Path) -> None:
    """Compression does not know what is in them."""
    assert fetch(serve, tmp_path, COMPRESSED) == (200, None, CONTENT)


def test_middleware_may_leave_out_the_path(serve: Serve, tmp_path: Path) -> None:
    assert fetch(serve, tmp_path, FILTERED)[0] == 500


def test_files_are_sent_in_pieces_to_those_who_want_that(serve: Serve, tmp_path: Path) -> None:
    status, encoding, body = fetch(serve, tmp_path, COMPRESSED + WITHOUT)
    assert (status, encoding) == (200, "gzip")
    assert gzip.decompress(body) == CONTENT


def test_middleware_that_leaves_out_the_path_is_helped(serve: Serve, tmp_path: Path) -> None:
    assert fetch(serve, tmp_path, FILTERED + WITHOUT) == (200, None, CONTENT)
