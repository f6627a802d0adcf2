"""Programs of Starlette on the ``asgi`` worker: real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.asgi_programs import FILE, leave, leave_in_mid_answer, visit
from tests.e2e.clients import head

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compat.asgi_programs import Run
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

STARLETTE = """\
import asyncio, os
from starlette.applications import Starlette
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from shared import pieces, say

async def file(request):
    return FileResponse(os.path.abspath("static/file.bin"))

async def watch(request):
    say("begun", request.url.path)
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    say("gone")
    return PlainTextResponse("nobody reads this")

async def is_there(request):
    return PlainTextResponse(str(await request.is_disconnected()))

async def endless(request):
    return StreamingResponse(pieces())

async def count(request):
    size = 0
    async for part in request.stream():
        if part and not size:
            say("begun", request.url.path)
        size += len(part)
    return PlainTextResponse(str(size))

starlette = Starlette(routes=[
    Route("/file", file),
    Route("/watch", watch),
    Route("/is-there", is_there, methods=["GET", "POST"]),
    Route("/endless", endless),
    Route("/count", count, methods=["POST"]),
    Mount("/static", StaticFiles(directory="static")),
])

async def app(scope, receive, send):
    async def note(event):
        if event["type"] == "http.response.pathsend":
            say("path", scope["method"], scope["path"])
        await send(event)

    await starlette(scope, receive, note)
"""


@pytest.fixture
def starlette(run_asgi: Run, tmp_path: Path) -> Server:
    """Run the program of Starlette, which has a file."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "file.bin").write_bytes(FILE)
    return run_asgi("starlette httpx", STARLETTE)


def test_files_of_starlette(starlette: Server) -> None:
    with visit(starlette) as client:
        for path in ("/file", "/static/file.bin"):
            whole = client.get(path)
            assert (whole.status_code, whole.content) == (200, FILE)
            assert whole.headers["Content-Length"] == str(len(FILE))
            starlette.wait_for(f"^path GET {path}$")

            known = {"If-None-Match": whole.headers["ETag"]}
            part = client.get(path, headers={"Range": "bytes=256-1023"})
            assert (part.status_code, part.content) == (206, FILE[256:1024])
            assert client.get(path, headers={"Range": "bytes=9999999-"}).status_code == 416
        for path, method in (("/file", "HEAD"), ("/static/file.bin", "HEAD")):
            answer = client.request(method, path)
            assert answer.headers["Content-Length"] == str(len(FILE))
            assert answer.content == b""
        unchanged = client.get("/static/file.bin", headers=known)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert client.get("/static/none.bin").status_code == 404


def test_is_disconnected_of_starlette(starlette: Server) -> None:
    leave(starlette, "/watch")
    starlette.wait_for("^gone$")
    with visit(starlette) as client:
        assert client.get("/is-there").text == "False"
        assert client.post("/is-there", content=b"more").text == "False"


def test_clients_that_leave_starlette(starlette: Server) -> None:
    leave_in_mid_answer(starlette, "/endless")
    starlette.wait_for("^no more pieces$")
    leave_in_mid_answer(starlette, "/file")
    with starlette.connect() as client:
        client.sendall(head("POST", "/count", "Content-Length: 10") + b"some")
        starlette.wait_for("^begun /count$")
    with visit(starlette) as client:
        assert client.post("/count", content=iter([b"one", b"two"])).text == "6"
