"""Programs of Starlette, Django, Quart and Litestar on the ``asgi`` worker: real servers."""

from __future__ import annotations

import http.client
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import begin_answer, head
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

DEADLINE_S = 20
# No class is chosen: that these are ASGI applications has to be seen.
OPTIONS = ("--log-level", "info", "--asgi-disconnect-grace-period", "60")
FILE = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def run(server: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """Run a program, which is to end without complaint."""
    running: list[Server] = []

    def start(module: str, text: str, *options: str) -> Server:
        skip_without(module)
        skip_without("httpx")
        srv = server(*OPTIONS, *options, "main:app", files={"main.py": text})
        srv.wait_for("Using worker: asgi")
        running.append(srv)
        return srv

    yield start
    for srv in running:
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
        assert not srv.count("ERROR|WARNING|Traceback|Cut off"), srv.log


def visit(srv: Server) -> httpx.Client:
    """Return a client of the server."""
    make = pytest.importorskip("httpx").Client
    client: httpx.Client = make(base_url=f"http://127.0.0.1:{srv.port}", timeout=DEADLINE_S)
    return client


def leave(srv: Server, path: str) -> None:
    """Ask for something, and go once it has begun."""
    with srv.connect() as client:
        client.sendall(head("GET", path))
        srv.wait_for(f"^begun {path}$")


def leave_in_mid_answer(srv: Server, path: str) -> None:
    """Go once the first of an answer is there."""
    with srv.connect() as client:
        client.sendall(head("GET", path))
        with begin_answer(client) as answer:
            assert answer.read(5)


def read_in_steps(srv: Server, path: str) -> list[bytes]:
    """Return the two lines of an answer, between which a gate is opened on another connection."""
    with closing(http.client.HTTPConnection(*srv.address, timeout=DEADLINE_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        first = answer.readline()
        assert srv.get("/open").status == 200
        return [first, answer.read()]


# -- Starlette

STARLETTE = """\
import asyncio, os, sys
from starlette.applications import Starlette
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

def say(*words):
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

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

async def pieces():
    try:
        while True:
            yield b"piece" * 10000
    finally:
        say("no more pieces")

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
def starlette(run: Callable[..., Server], tmp_path: Path) -> Server:
    """Run the program of Starlette, which has a file."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "file.bin").write_bytes(FILE)
    return run("starlette", STARLETTE)


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


# -- Django

DJANGO = """\
import asyncio, sys
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="none",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
gate = asyncio.Event()

def say(*words):
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

def in_thread(request):
    files = {name: file.read().decode() for name, file in request.FILES.items()}
    seen = {"method": request.method, "query": request.GET.dict(), "form": request.POST.dict()}
    return JsonResponse({**seen, "files": files, "host": request.get_host()})

async def in_loop(request):
    return HttpResponse(type(asyncio.current_task()).__name__)

async def parts():
    yield "first\\n"
    await gate.wait()
    yield "second\\n"

async def stream(request):
    return StreamingHttpResponse(parts())

async def open_gate(request):
    gate.set()
    return HttpResponse()

async def pieces():
    while True:
        yield b"piece" * 10000

async def endless(request):
    return StreamingHttpResponse(pieces())

async def wait(request):
    say("begun", request.path)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("cancelled")
        raise

urlpatterns = [
    path("thread", in_thread),
    path("loop", in_loop),
    path("stream", stream),
    path("open", open_gate),
    path("endless", endless),
    path("wait", wait),
]
django = get_asgi_application()

async def app(scope, receive, send):
    try:
        await django(scope, receive, send)
    finally:
        say("over", scope.get("path"))
"""


def test_django(run: Callable[..., Server]) -> None:
    srv = run("django", DJANGO)
    with visit(srv) as client:
        assert client.get("/loop").text == "Task"
        files = {"file": ("name", b"content")}
        seen = client.post("/thread?a=1", data={"b": "2"}, files=files).json()
        assert seen == {
            "method": "POST",
            "query": {"a": "1"},
            "form": {"b": "2"},
            "files": {"file": "content"},
            "host": f"127.0.0.1:{srv.port}",
        }
        assert client.get("/missing").status_code == 404
    assert read_in_steps(srv, "/stream") == [b"first\n", b"second\n"]


def test_clients_that_leave_django(run: Callable[..., Server]) -> None:
    srv = run("django", DJANGO)
    leave(srv, "/wait")
    srv.wait_for("^cancelled$")
    srv.wait_for("^over /wait$")
    leave_in_mid_answer(srv, "/endless")
    srv.wait_for("^over /endless$")
    assert srv.get("/loop").status == 200


# -- Quart

QUART = """\
import asyncio, sys
from quart import Quart, request, websocket

app = Quart(__name__)

def say(*words):
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

@app.before_serving
async def begin():
    app.gate = asyncio.Event()

@app.after_serving
async def end():
    say("served")

@app.post("/json")
async def json():
    return {"seen": await request.get_json(), "args": request.args.to_dict()}, 201

@app.post("/count")
async def count():
    size = 0
    async for part in request.body:
        size += len(part)
    return str(size)

async def parts():
    yield b"first\\n"
    await app.gate.wait()
    yield b"second\\n"

@app.get("/stream")
async def stream():
    return parts()

@app.get("/open")
async def open_gate():
    app.gate.set()
    return ""

async def wait():
    await app.gate.wait()
    say("background")

@app.post("/later")
async def later():
    app.add_background_task(wait)
    return "accepted"

async def pieces():
    try:
        while True:
            yield b"piece" * 10000
    finally:
        say("no more pieces")

@app.get("/endless")
async def endless():
    return pieces()

@app.get("/wait")
async def wait_for_ever():
    say("begun", request.path)
    try:
        await asyncio.Event().wait()
    finally:
        say("cancelled")
"""


def test_quart(run: Callable[..., Server]) -> None:
    srv = run("quart", QUART)
    with visit(srv) as client:
        made = client.post("/json?a=1", json=["one"])
        assert (made.status_code, made.json()) == (201, {"seen": ["one"], "args": {"a": "1"}})
        assert client.post("/count", content=FILE).text == str(len(FILE))
        assert client.post("/count", content=iter([b"one", b"two"])).text == "6"
        assert client.post("/later").text == "accepted"
        assert client.get("/missing").status_code == 404
        assert not srv.count("^background$")
    assert read_in_steps(srv, "/stream") == [b"first\n", b"second\n"]
    srv.wait_for("^background$")
    srv.signal(signal.SIGTERM)
    srv.wait_for("^served$")


def test_clients_that_leave_quart(run: Callable[..., Server]) -> None:
    srv = run("quart", QUART)
    leave(srv, "/wait")
    srv.wait_for("^cancelled$")
    leave_in_mid_answer(srv, "/endless")
    srv.wait_for("^no more pieces$")
    assert srv.get("/open").status == 200


# -- Litestar

LITESTAR = """\
import asyncio, sys
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

gate = asyncio.Event()

def say(*words):
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

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

async def parts():
    yield b"first\\n"
    await gate.wait()
    yield b"second\\n"

@get("/stream")
async def stream() -> Stream:
    return Stream(parts())

@get("/open")
async def open_gate() -> None:
    gate.set()

async def wait():
    await gate.wait()
    say("background")

@post("/later")
async def later() -> Response[str]:
    return Response("accepted", background=BackgroundTask(wait))

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

async def pieces():
    try:
        while True:
            yield b"piece" * 10000
    finally:
        say("no more pieces")

@get("/endless")
async def endless() -> Stream:
    return Stream(pieces())

app = Litestar(
    [create, in_thread, upload, file, stream, open_gate, later, events, endless],
    lifespan=[lifespan],
)
"""


def test_litestar(run: Callable[..., Server], tmp_path: Path) -> None:
    srv = run("litestar", LITESTAR)
    with visit(srv) as client:
        made = client.post("/items", json={"name": "one", "price": 1.5})
        assert (made.status_code, made.json()) == (201, {"name": "one", "double": 3.0})
        assert client.post("/items", json={"name": "one", "price": "much"}).status_code == 400
        assert client.get("/thread").text == "thread"
        seen = client.post("/upload", files={"data": ("big", FILE)}).json()
        assert seen == {"name": "big", "size": len(FILE)}
        assert client.get("/file").content == (tmp_path / "main.py").read_bytes()
        assert client.get("/missing").status_code == 404
        assert client.post("/later").text == "accepted"
        assert client.get("/thread").status_code == 200
        assert not srv.count("^background$")
    assert read_in_steps(srv, "/stream") == [b"first\n", b"second\n"]
    srv.wait_for("^background$")
    srv.signal(signal.SIGTERM)
    srv.wait_for("^ends$")


def test_events_of_litestar(run: Callable[..., Server]) -> None:
    srv = run("litestar", LITESTAR)
    with visit(srv) as client, client.stream("GET", "/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line)
        assert [next(lines) for _ in range(3)] == ["data: 0", "data: 1", "data: 2"]
        srv.signal(signal.SIGTERM)
        assert not list(lines)  # and no error: the response has an end
        srv.wait_for("^no more events$")


def test_clients_that_leave_litestar(run: Callable[..., Server]) -> None:
    srv = run("litestar", LITESTAR)
    with visit(srv) as client, client.stream("GET", "/events") as answer:
        next(answer.iter_lines())
    srv.wait_for("^no more events$")
    leave_in_mid_answer(srv, "/endless")
    srv.wait_for("^no more pieces$")
    assert srv.get("/thread").status == 200
