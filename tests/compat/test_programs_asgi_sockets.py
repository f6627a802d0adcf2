"""Programs that speak WebSocket on the ``asgi`` worker, with a real client: real servers."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.compat.asgi_programs import DEADLINE_S
from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from tests.compat.asgi_programs import Run
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def join(srv: Server, path: str, **options: Any) -> Any:
    """Return an open WebSocket."""
    connect = pytest.importorskip("websockets.sync.client").connect
    address = f"ws://127.0.0.1:{srv.port}{path}"
    return connect(address, proxy=None, close_timeout=DEADLINE_S, **options)


def hear(member: Any) -> Any:
    """Return the next message, read as JSON."""
    return json.loads(member.recv(DEADLINE_S))


def echo(member: Any, *messages: str | bytes) -> None:
    """See that each message comes back."""
    for message in messages:
        member.send(message)
        assert member.recv(DEADLINE_S) == message


def hear_end(member: Any) -> tuple[int, str]:
    """Return with what code and reason a WebSocket is closed, where nothing comes before that."""
    closed = pytest.importorskip("websockets.exceptions").ConnectionClosed
    with pytest.raises(closed) as caught:
        member.recv(DEADLINE_S)
    return caught.value.rcvd.code, caught.value.rcvd.reason


def be_denied(srv: Server, path: str) -> tuple[int, bytes]:
    """Return status and content of the answer to a handshake that is not accepted."""
    denied = pytest.importorskip("websockets.exceptions").InvalidStatus
    with pytest.raises(denied) as caught:
        join(srv, path)
    return caught.value.response.status_code, caught.value.response.body


# -- FastAPI

CHAT = """\
import sys
from typing import Annotated
from fastapi import Depends, FastAPI, Query, WebSocket, WebSocketDisconnect, WebSocketException
from fastapi.responses import JSONResponse

app = FastAPI()
members = {}

async def tell(event):
    for member in members.values():
        await member.send_json(event)

async def known(room: str):
    if room == "closed":
        raise WebSocketException(1008, "room is closed")
    return room

@app.get("/members")
async def count():
    return len(members)

@app.websocket("/chat/{room}")
async def chat(
    socket: WebSocket, name: Annotated[str, Query()], room: Annotated[str, Depends(known)]
):
    if room == "full":
        return await socket.send_denial_response(JSONResponse({"room": "full"}, 409))
    offered = "chat.v2" in socket.scope["subprotocols"]
    await socket.accept(subprotocol="chat.v2" if offered else None)
    members[name] = socket
    await tell({"joined": name, "room": room})
    try:
        async for text in socket.iter_text():
            if text == "bye":
                return await socket.close(3000, "good bye")
            await tell({"from": name, "text": text})
    finally:
        del members[name]
        await tell({"left": name})

@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            event = await socket.receive()
            if event["type"] == "websocket.disconnect":
                sys.stderr.write(f"left with {event['code']} {event['reason']}\\n")
                return
            if event.get("text") is not None:
                await socket.send_text(event["text"])
            else:
                await socket.send_bytes(event["bytes"])
    except WebSocketDisconnect:
        pass
"""


@LOOPS
def test_a_chat_in_fastapi(run_asgi: Run, loop: str) -> None:
    skip_without(loop)
    srv = run_asgi("fastapi websockets", CHAT, "--asgi-loop", loop)
    with join(srv, "/chat/one?name=a", subprotocols=["chat.v1", "chat.v2"]) as a:
        assert a.subprotocol == "chat.v2"
        assert hear(a) == {"joined": "a", "room": "one"}
        with join(srv, "/chat/one?name=b") as b:
            assert b.subprotocol is None
            assert [hear(one) for one in (a, b)] == [{"joined": "b", "room": "one"}] * 2
            for one, name in ((a, "a"), (b, "b")):
                one.send("what \u2603")
                told = {"from": name, "text": "what \u2603"}
                assert [hear(each) for each in (a, b)] == [told] * 2
            assert srv.get("/members").body == b"2"
        assert hear(a) == {"left": "b"}

        c = join(srv, "/chat/one?name=c")
        assert hear(a)["joined"] == "c"
        c.socket.shutdown(socket.SHUT_RDWR)  # without a word
        assert hear(a) == {"left": "c"}
        a.send("bye")
        assert hear_end(a) == (3000, "good bye")
    assert srv.get("/members").body == b"0"


@LOOPS
def test_messages_of_all_sizes(run_asgi: Run, loop: str) -> None:
    skip_without(loop)
    srv = run_asgi("fastapi websockets", CHAT, "--asgi-loop", loop)
    for compression in ("deflate", None):
        with join(srv, "/echo", compression=compression, max_size=None) as client:
            for size in (0, 1, 125, 126, 65_535, 65_536, 3_000_000):
                echo(client, "x" * size, b"\xff" * size)
            client.close(4000, "enough")
        srv.wait_for("^left with 4000 enough$", 1 if compression else 2)


def test_handshakes_that_fastapi_denies(run_asgi: Run) -> None:
    srv = run_asgi("fastapi websockets", CHAT)
    assert be_denied(srv, "/chat/closed?name=a")[0] == 403
    assert be_denied(srv, "/chat/one")[0] == 403  # the name is missing
    assert be_denied(srv, "/missing")[0] == 403
    assert be_denied(srv, "/chat/full?name=a") == (409, b'{"room":"full"}')


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGHUP, 1012), (signal.SIGTERM, 1001)])
def test_members_are_told_of_the_end(run_asgi: Run, signum: int, code: int) -> None:
    srv = run_asgi("fastapi websockets", CHAT)
    with join(srv, "/echo") as one, join(srv, "/echo") as other:
        for member in (one, other):
            echo(member, "here")
        srv.signal(signum)
        assert [hear_end(member)[0] for member in (one, other)] == [code] * 2
    srv.wait_for(f"^left with {code} ", 2)
    if signum == signal.SIGHUP:
        with join(srv, "/echo") as again:
            echo(again, "here")


# -- Channels

CHANNELS = """\
import sys
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="none",
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)

from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

django = get_asgi_application()

def page(request):
    return HttpResponse("page")

urlpatterns = [path("", page)]

class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def receive_json(self, content):
        await self.channel_layer.group_send(self.room, {"type": "told", "content": content})

    async def told(self, event):
        await self.send_json(event["content"])

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)
        sys.stderr.write(f"left {code}\\n")

class Shout(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data.upper())
        if text_data == "enough":
            self.close(3001)

sockets = URLRouter([path("chat/<room>", Chat.as_asgi()), path("shout", Shout.as_asgi())])
app = ProtocolTypeRouter({
    "http": django,
    "websocket": OriginValidator(sockets, ["https://a.example"]),
})
"""


def test_channels(run_asgi: Run) -> None:
    srv = run_asgi("django channels websockets", CHANNELS)
    known = {"origin": "https://a.example"}
    with join(srv, "/chat/one", **known) as a, join(srv, "/chat/one", **known) as b:
        with join(srv, "/chat/two", **known) as c:
            c.send('"first"')
            assert hear(c) == "first"
            a.send('{"text": "what"}')
            assert [hear(one) for one in (a, b)] == [{"text": "what"}] * 2
            c.send('"second"')
            assert hear(c) == "second"  # and nothing of the other room
            c.close(4001)
        srv.wait_for("^left 4001$")
        assert srv.get("/").body == b"page"
    srv.wait_for("^left 1000$", 2)
    with join(srv, "/shout", **known) as client:
        client.send("enough")
        assert client.recv(DEADLINE_S) == "ENOUGH"
        assert hear_end(client)[0] == 3001
    assert be_denied(srv, "/shout")[0] == 403


# -- Quart and Litestar

QUART = """\
from quart import Quart, websocket

app = Quart(__name__)

@app.websocket("/echo")
async def echo():
    await websocket.accept(subprotocol="loud", headers={"X-Seen": "handshake"})
    while (text := await websocket.receive()) != "enough":
        await websocket.send(text)

@app.websocket("/denied")
async def denied():
    return "not for you", 401
"""


def test_quart(run_asgi: Run) -> None:
    srv = run_asgi("quart websockets", QUART)
    with join(srv, "/echo", subprotocols=["loud"]) as client:
        assert client.response.headers["X-Seen"] == "handshake"
        echo(client, "text", b"octets")
        client.send("enough")
        assert hear_end(client)[0] == 1000
    assert be_denied(srv, "/denied") == (401, b"not for you")


LITESTAR = """\
from litestar import Litestar, WebSocket, websocket, websocket_listener
from litestar.exceptions import WebSocketException

@websocket_listener("/double")
async def double(data: dict[str, int]) -> dict[str, int]:
    return {name: number * 2 for name, number in data.items()}

@websocket("/watch")
async def watch(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    raise WebSocketException(code=4003, detail="no more")

app = Litestar([double, watch])
"""


def test_litestar(run_asgi: Run) -> None:
    srv = run_asgi("litestar websockets", LITESTAR)
    with join(srv, "/double") as client:
        client.send('{"a": 1, "b": 2}')
        assert hear(client) == {"a": 2, "b": 4}
    with join(srv, "/watch") as client:
        echo(client, "here")
        assert hear_end(client) == (4003, "no more")
    assert be_denied(srv, "/missing")[0] in (403, 404)
