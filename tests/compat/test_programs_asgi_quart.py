"""Programs of Quart on the ``asgi`` worker: real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.asgi_programs import FILE, check_background, leave, leave_pieces, visit

if TYPE_CHECKING:
    from tests.compat.asgi_programs import Run

pytestmark = [pytest.mark.process, pytest.mark.settled]

QUART = """\
import asyncio
from quart import Quart, request
from shared import parts, pieces, say, wait

app = Quart(__name__)

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

@app.get("/stream")
async def stream():
    return parts(app.gate)

@app.get("/open")
async def open_gate():
    app.gate.set()
    return ""

@app.post("/later")
async def later():
    app.add_background_task(wait, app.gate)
    return "accepted"

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


def test_quart(run_asgi: Run) -> None:
    srv = run_asgi("quart httpx", QUART)
    with visit(srv) as client:
        made = client.post("/json?a=1", json=["one"])
        assert (made.status_code, made.json()) == (201, {"seen": ["one"], "args": {"a": "1"}})
        assert client.post("/count", content=FILE).text == str(len(FILE))
        assert client.post("/count", content=iter([b"one", b"two"])).text == "6"
    check_background(srv, "/missing", 404, "served")


def test_clients_that_leave_quart(run_asgi: Run) -> None:
    srv = run_asgi("quart httpx", QUART)
    leave(srv, "/wait")
    srv.wait_for("^cancelled$")
    leave_pieces(srv, "/open")
