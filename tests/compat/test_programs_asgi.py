"""Programs of FastAPI on the ``asgi`` worker: real servers, on each loop."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.compat.asgi_programs import DEADLINE_S, visit
from tests.process.conftest import Server, skip_without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.process, pytest.mark.settled]

PIECE = bytes(range(256)) * 4096  # 1 MiB

API = """\
import asyncio, hashlib, sys, threading
from collections import defaultdict
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware

gates = defaultdict(asyncio.Event)
locks = defaultdict(threading.Event)

def say(*words):
    sys.stderr.write(" ".join(map(str, words)) + "\\n")

@asynccontextmanager
async def lifespan(app):
    yield {"pool": []}
    say("pool closed")

async def name_server(request, call_next):
    response = await call_next(request)
    response.headers["X-Seen-By"] = "middleware"
    return response

class Outermost:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        try:
            await self.app(scope, receive, send)
        finally:
            say("over", scope.get("path"))

app = FastAPI(lifespan=lifespan)
app.add_middleware(BaseHTTPMiddleware, dispatch=name_server)
app.add_middleware(GZipMiddleware, minimum_size=500)
app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["PUT"])
app.add_middleware(Outermost)

# -- JSON

class Item(BaseModel):
    name: str
    price: float

@app.get("/items/{number}")
async def read_item(number: int, q: str = ""):
    return {"number": number, "q": q}

@app.post("/items", status_code=201)
def create_item(item: Item):
    return {"name": item.name, "double": item.price * 2}

@app.get("/teapot")
async def teapot():
    raise HTTPException(418, "a teapot", {"X-Why": "tea"})

@app.get("/long")
async def long():
    return PlainTextResponse("long " * 1000)

# -- what goes on for longer

@app.post("/gates/{name}")
async def open_gate(name: str):
    gates[name].set()
    locks[name].set()

async def wait_for(name):
    await gates[name].wait()
    say("background", name)

def wait_in_thread(name):
    locks[name].wait()
    say("background", name)

@app.post("/later/{kind}/{name}")
async def later(kind: str, name: str, tasks: BackgroundTasks):
    tasks.add_task(wait_in_thread if kind == "thread" else wait_for, name)
    return "accepted"

async def parts(name):
    try:
        yield "first\\n"
        await gates[name].wait()
        yield "second\\n"
    finally:
        say("no more of", name)

async def pieces():
    while True:
        yield b"piece" * 10000

@app.get("/endless")
async def endless():
    return StreamingResponse(pieces())

@app.get("/stream/{name}")
async def stream(name: str):
    return StreamingResponse(parts(name), media_type="text/plain")

# -- dependencies

async def session():
    say("session begins")
    try:
        yield "session"
    except HTTPException as error:
        say("session failed", error.status_code)
        raise
    finally:
        say("session ends")

@app.get("/session/{number}")
async def use_session(number: int, session: str = Depends(session)):
    if number == 404:
        raise HTTPException(404)
    return session

# -- the rest

@app.post("/upload")
async def upload(file: UploadFile):
    digest = hashlib.sha256()
    while data := await file.read(1 << 20):
        digest.update(data)
    return {"name": file.filename, "size": file.size, "sha256": digest.hexdigest()}

@app.get("/state")
async def state(request: Request):
    request.state.pool.append(1)
    is_new = not hasattr(request.state, "own")
    request.state.own = True
    return {"used": len(request.state.pool), "is_new": is_new}

sub = FastAPI()

@sub.get("/where")
async def where(request: Request):
    return {"root_path": request.scope["root_path"], "url": request.url_for("where").path}

app.mount("/sub", sub)
"""


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def api(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Server]:
    """Run the program on each loop; at its end nothing has gone wrong."""
    for module in ("fastapi", "httpx", "python_multipart"):
        skip_without(module)
    if request.param == "uvloop":
        skip_without("uvloop")
    cwd = tmp_path_factory.mktemp(request.param)
    (cwd / "main.py").write_text(API)
    words = f"-k asgi --asgi-loop {request.param} --asgi-disconnect-grace-period 60"
    options = ("--root-path", "/api", "-b", "127.0.0.1:0", "--log-level", "debug")
    srv = Server([*words.split(), *options, "main:app"], cwd, {})
    try:
        srv.wait_for("Listening at:")
        yield srv
        srv.signal(signal.SIGTERM)
        assert srv.wait() == 0
        assert srv.count("^pool closed$") == 1
        assert not srv.count("ERROR|WARNING|Traceback")
    finally:
        srv.stop()


def connect(srv: Server) -> closing[http.client.HTTPConnection]:
    """Open one connection, which is kept for all that is asked on it."""
    return closing(http.client.HTTPConnection(*srv.address, timeout=DEADLINE_S))


def ask(connection: http.client.HTTPConnection, method: str, path: str) -> bytes:
    """Return the content of a response that is fine."""
    connection.request(method, path)
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read()


def test_json(api: Server) -> None:
    with visit(api) as client:
        assert client.get("/items/7", params={"q": "\u00fc &"}).json() == {
            "number": 7,
            "q": "\u00fc &",
        }
        made = client.post("/items", json={"name": "\u00e9", "price": 1.5})
        assert (made.status_code, made.json()) == (201, {"name": "\u00e9", "double": 3.0})
        assert client.delete("/items/7").status_code == 405
        assert client.get("/missing").json() == {"detail": "Not Found"}


def test_content_that_is_not_valid(api: Server) -> None:
    with visit(api) as client:
        wrong = client.post("/items", json={"name": "one", "price": "much"})
        assert wrong.status_code == 422
        assert wrong.json()["detail"][0]["loc"] == ["body", "price"]
        broken = client.post("/items", content=b"{", headers={"Content-Type": "application/json"})
        assert broken.status_code == 422
        assert client.get("/items/seven").status_code == 422


def test_an_http_exception(api: Server) -> None:
    with visit(api) as client:
        answer = client.get("/teapot")
        assert (answer.status_code, answer.json()) == (418, {"detail": "a teapot"})
        assert answer.headers["X-Why"] == "tea"


@pytest.mark.parametrize("kind", ["task", "thread"])
def test_background_tasks_hold_up_nobody(api: Server, kind: str) -> None:
    with connect(api) as one, connect(api) as other:
        for name in ("first", "second"):
            assert ask(one, "POST", f"/later/{kind}/{kind}-{name}") == b'"accepted"'
        for connection in (one, other):
            assert json.loads(ask(connection, "GET", "/items/1")) == {"number": 1, "q": ""}
        assert not api.count(f"^background {kind}")
        ask(one, "POST", f"/gates/{kind}-second")
        api.wait_for(f"^background {kind}-second$")
        ask(one, "POST", f"/gates/{kind}-first")
        api.wait_for(f"^background {kind}-first$")


def test_a_background_task_outlives_its_client(api: Server) -> None:
    with connect(api) as one, connect(api) as other:
        ask(one, "POST", "/later/task/alone")
        one.close()
        ask(other, "POST", "/gates/alone")
        api.wait_for("^background alone$")


def test_a_streaming_response(api: Server) -> None:
    with connect(api) as one, connect(api) as other:
        one.request("GET", "/stream/whole")
        answer = one.getresponse()
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.readline() == b"first\n"  # while the rest is not there yet
        ask(other, "POST", "/gates/whole")
        assert answer.read() == b"second\n"
        api.wait_for("^no more of whole$")
        ask(one, "GET", "/items/1")


def test_a_streaming_response_that_nobody_reads(api: Server) -> None:
    with connect(api) as one, connect(api) as other:
        one.request("GET", "/stream/left")
        one.getresponse().readline()
        one.close()
        ask(other, "POST", "/gates/left")
        api.wait_for("^no more of left$")


def test_a_response_without_an_end(api: Server) -> None:
    with connect(api) as one, connect(api) as other:
        one.request("GET", "/endless")
        with one.getresponse() as answer:
            assert answer.read(5) == b"piece"
            assert json.loads(ask(other, "GET", "/items/1")) == {"number": 1, "q": ""}
        one.close()
        api.wait_for("^over /api/endless$")


def test_a_dependency_with_an_end(api: Server) -> None:
    begun, ended = (api.count(f"^session {word}$") for word in ("begins", "ends"))
    with connect(api) as one:
        assert ask(one, "GET", "/session/1") == b'"session"'
        api.wait_for("^session ends$", ended + 1)
        one.request("GET", "/session/404")
        assert one.getresponse().status == 404
        api.wait_for("^session failed 404$")
        api.wait_for("^session ends$", ended + 2)
    assert api.count("^session begins$") == begun + 2


def test_an_upload_of_100_megabytes(api: Server) -> None:
    head = (
        b'--limit\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n"
    )
    parts = [head, *[PIECE] * 100, b"\r\n--limit--\r\n"]
    fields = {
        "Content-Type": "multipart/form-data; boundary=limit",
        "Content-Length": str(sum(map(len, parts))),
    }
    digest = hashlib.sha256(PIECE * 100).hexdigest()
    with connect(api) as one:
        one.request("POST", "/upload", iter(parts), fields)
        seen = json.loads(one.getresponse().read())
        assert seen == {"name": "big", "size": 100 << 20, "sha256": digest}
        ask(one, "GET", "/items/1")


def test_the_state_of_the_lifespan(api: Server) -> None:
    with visit(api) as client:
        first, second = (client.get("/state").json() for _ in range(2))
        assert second["used"] == first["used"] + 1
        assert first["is_new"]
        assert second["is_new"]  # what a request adds is its own


def test_a_mounted_program(api: Server) -> None:
    with visit(api) as client:
        seen = client.get("/api/sub/where").json()
        assert seen == {"root_path": "/api/sub", "url": "/api/sub/where"}
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/api"}]


def test_middleware(api: Server) -> None:
    with visit(api) as client:
        long = client.get("/long", headers={"Accept-Encoding": "gzip"})
        assert long.headers["Content-Encoding"] == "gzip"
        assert long.num_bytes_downloaded < 500
        assert long.text == "long " * 1000
        assert long.headers["X-Seen-By"] == "middleware"

        asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
        answer = client.options("/items/1", headers=asking)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
        asking["Origin"] = "https://b.example"
        assert client.options("/items/1", headers=asking).status_code == 400


# -- events

EVENTS = """\
import asyncio, sys
from collections import defaultdict
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
{imports}
app = FastAPI()
gates = defaultdict(asyncio.Event)

async def events(form):
    try:
        for number in range(3):
            yield form(number)
            await gates[number].wait()
        await asyncio.Event().wait()
    finally:
        sys.stderr.write("no more events\\n")

@app.post("/gates/{number}")
async def open_gate(number: int):
    gates[number].set()

{route}
"""
PLAIN = """\
@app.get("/events")
async def plain():
    return StreamingResponse(events("data: {}\\n\\n".format), media_type="text/event-stream")
"""
SSE_STARLETTE = """\
@app.get("/events")
async def sse():
    return EventSourceResponse(events(lambda number: {"data": number}))
"""
SSE_OF_FASTAPI = """\
@app.get("/events", response_class=EventSourceResponse)
async def own():
    async for number in events(int):
        yield number
"""
# For each way what is imported, the route, and the seconds after which it is cancelled; those that
# do not listen for the end have to be.
WAYS = {
    "plain": ("", PLAIN, "0"),
    "sse_starlette": ("from sse_starlette import EventSourceResponse", SSE_STARLETTE, "60"),
    "fastapi.sse": ("from fastapi.sse import EventSourceResponse", SSE_OF_FASTAPI, "0"),
}


@pytest.fixture
def run_events(server: Callable[..., Server]) -> Callable[..., Server]:
    """Run a program whose events have no end, made in one of the ways."""

    def start(way: str, *options: str) -> Server:
        for module in ("fastapi", "httpx"):
            skip_without(module)
        if way != "plain":
            skip_without(way)
        imports, route, grace = WAYS[way]
        text = EVENTS.replace("{imports}", imports).replace("{route}", route)
        words = ("-k", "asgi", "--asgi-disconnect-grace-period", grace)
        return server(*words, *options, "app:app", files={"app.py": text})

    return start


@pytest.fixture(params=WAYS)
def events(request: pytest.FixtureRequest, run_events: Callable[..., Server]) -> Server:
    """Run the program of each way."""
    return run_events(request.param)


def next_event(lines: Iterator[str]) -> str:
    """Return the data of the next event."""
    return next(line.removeprefix("data:").strip() for line in lines if line.startswith("data:"))


def test_events(events: Server) -> None:
    with visit(events) as client:
        with client.stream("GET", "/events") as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            for number in range(3):
                assert next_event(lines) == str(number)
                client.post(f"/gates/{number}")
        events.wait_for("^no more events$")  # the client has left
        assert client.get("/missing").status_code == 404
    assert not events.count("ERROR|WARNING|Traceback"), events.log


def test_events_that_a_client_leaves_which_is_no_proxy(run_events: Callable[..., Server]) -> None:
    srv = run_events("plain", "--forwarded-allow-ips", "10.0.0.1")
    with visit(srv) as client, client.stream("GET", "/events") as answer:
        assert next_event(answer.iter_lines()) == "0"
    srv.wait_for("^no more events$")
    assert not srv.count("ERROR|WARNING|Traceback"), srv.log


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGTERM])
def test_events_that_the_server_ends(events: Server, signum: int) -> None:
    with visit(events) as client, client.stream("GET", "/events") as answer:
        lines = answer.iter_lines()
        assert next_event(lines) == "0"
        events.signal(signum)
        assert not "".join(lines)  # and no error: the response has an end
        events.wait_for("^no more events$")
    if signum == signal.SIGHUP:
        events.signal(signal.SIGTERM)
    assert events.wait() == 0
    assert not events.count("ERROR|WARNING|Traceback"), events.log
