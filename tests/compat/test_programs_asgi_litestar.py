"""Programs of Litestar on the ``asgi`` worker: real servers."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.compat.asgi_programs import FILE, check_background, leave_pieces, visit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compat.asgi_programs import Run

pytestmark = [pytest.mark.process, pytest.mark.settled]

LITESTAR = """\
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated
import msgspec
from litestar import Litestar, Request, get, post
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import File, Response, ServerSentEvent, Stream
from shared import parts, pieces, say, wait

gate = asyncio.Event()

@asynccontextmanager
async def lifespan(app):
    say("begins")
    yield
    say("ends")

class Item(msgspec.Struct):
    name: str
    price: float

@post("/items")
async def create(data: Item) -> dict[str, object]:
    return {"name": data.name, "double": data.price * 2}

@get("/thread", sync_to_thread=True)
def in_thread() -> str:
    return "thread"

@post("/upload")
async def upload(
    data: Annotated[UploadFile, Body(media_type=RequestEncodingType.MULTI_PART)]
) -> dict[str, object]:
    return {"name": data.filename, "size": len(await data.read())}

@get("/file")
async def file() -> File:
    return File(Path("main.py").resolve(), filename="main.py")

@get("/stream")
async def stream() -> Stream:
    return Stream(parts(gate))

@get("/open")
async def open_gate() -> None:
    gate.set()

@post("/later")
async def later() -> Response[str]:
    return Response("accepted", background=BackgroundTask(wait, gate))

async def ticks():
    try:
        for number in range(3):
            yield {"data": str(number)}
        await asyncio.Event().wait()
    finally:
        say("no more events")

@get("/events")
async def events() -> ServerSentEvent:
    return ServerSentEvent(ticks())

@get("/endless")
async def endless() -> Stream:
    return Stream(pieces())

app = Litestar(
    [create, in_thread, upload, file, stream, open_gate, later, events, endless],
    lifespan=[lifespan],
)
"""


def test_litestar(run_asgi: Run, tmp_path: Path) -> None:
    srv = run_asgi("litestar httpx", LITESTAR)
    with visit(srv) as client:
        made = client.post("/items", json={"name": "one", "price": 1.5})
        assert (made.status_code, made.json()) == (201, {"name": "one", "double": 3.0})
        assert client.post("/items", json={"name": "one", "price": "much"}).status_code == 400
        assert client.get("/thread").text == "thread"
        seen = client.post("/upload", files={"data": ("big", FILE)}).json()
        assert seen == {"name": "big", "size": len(FILE)}
        assert client.get("/file").content == (tmp_path / "main.py").read_bytes()
        assert client.get("/missing").status_code == 404
    check_background(srv, "/thread", 200, "ends")


def test_events_of_litestar(run_asgi: Run) -> None:
    srv = run_asgi("litestar httpx", LITESTAR)
    with visit(srv) as client, client.stream("GET", "/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line)
        assert [next(lines) for _ in range(3)] == ["data: 0", "data: 1", "data: 2"]
        srv.signal(signal.SIGTERM)
        assert not list(lines)  # and no error: the response has an end
        srv.wait_for("^no more events$")


def test_clients_that_leave_litestar(run_asgi: Run) -> None:
    srv = run_asgi("litestar httpx", LITESTAR)
    with visit(srv) as client, client.stream("GET", "/events") as answer:
        next(answer.iter_lines())
    srv.wait_for("^no more events$")
    leave_pieces(srv, "/thread")
