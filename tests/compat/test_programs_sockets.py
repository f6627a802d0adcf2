"""Programs that speak WebSocket through the server: flask-sock and Flask-SocketIO, real clients."""

from __future__ import annotations

import queue
import signal
from typing import TYPE_CHECKING

import pytest

from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

DEADLINE_S = 20

ECHO = """\
from flask import Flask
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)

@app.get("/")
def page():
    return "page"

@sock.route("/echo")
def echo(ws):
    while (data := ws.receive()) != "enough":
        ws.send(data)
"""

CHAT = """\
from flask import Flask, request
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode="{mode}")

@app.get("/")
def page():
    return socketio.async_mode

@socketio.event
def connect():
    emit("welcome", request.environ["PATH_INFO"])

@socketio.event
def question(text):
    emit("told", text, broadcast=True)
    return text.upper()
"""


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_flask_sock(program: Callable[..., Server], kind: str) -> None:
    skip_without("flask_sock")
    if kind == "gevent":
        skip_without("gevent")
    connect = pytest.importorskip("websockets.sync.client").connect
    options = ("-k", kind, "--threads", "4", "-b", "127.0.0.1:0", "--log-level", "debug")
    srv = program("-m", "gunicorn", *options, "app:app", files={"app.py": ECHO})
    address = f"ws://127.0.0.1:{srv.port}/echo"

    with connect(address) as one, connect(address) as other:
        for text in ("first", "x" * 100_000):
            one.send(text)
            other.send(text.encode())
            assert one.recv(DEADLINE_S) == text
            assert other.recv(DEADLINE_S) == text.encode()
        assert srv.get("/").body == b"page"
        other.send("enough")
        other.close_timeout = DEADLINE_S
        with pytest.raises(Exception, match="1000") as closed:
            other.recv(DEADLINE_S)
        assert type(closed.value).__name__ == "ConnectionClosedOK"
    # Where the client is first, simple-websocket may answer too late, under Gunicorn as well.
    assert other.close_code == 1000

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert not srv.count("ERROR|WARNING|Traceback|Cut off")


MODES = pytest.mark.parametrize(
    ("mode", "kind"), [("threading", "gthread"), ("gevent", "gevent"), ("eventlet", "eventlet")]
)


@pytest.fixture
def chat(program: Callable[..., Server]) -> Callable[..., Server]:
    """Start the chat in one of its modes."""

    def start(mode: str, kind: str, *options: str) -> Server:
        skip_without("flask_socketio")
        if mode != "threading":
            skip_without(mode)
        words = f"-m gunicorn -k {kind} --threads 8 -b 127.0.0.1:0 --log-level debug app:app"
        files = {"app.py": CHAT.replace("{mode}", mode)}
        srv = program(*words.split(), *options, files=files)
        assert srv.get("/").body == mode.encode()
        return srv

    return start


class Member:
    """A client that takes part in the chat."""

    def __init__(self, srv: Server, transport: str) -> None:
        skip_without("websocket")
        self.client = pytest.importorskip("socketio").Client(reconnection=False)
        self._heard: queue.Queue[str] = queue.Queue()
        for event in ("welcome", "told", "disconnect"):
            self.client.on(event, self._heard.put)
        self.client.connect(f"http://127.0.0.1:{srv.port}", transports=[transport])
        assert self.client.transport() == transport

    def hear(self) -> str:
        """Return what comes next, or the reason of the end."""
        return self._heard.get(timeout=DEADLINE_S)

    def ask(self, text: str) -> object:
        """Return the answer."""
        return self.client.call("question", text, timeout=DEADLINE_S)


@MODES
def test_flask_socketio(chat: Callable[..., Server], mode: str, kind: str) -> None:
    srv = chat(mode, kind, "--graceful-timeout", "3")
    members = [Member(srv, transport) for transport in ("websocket", "polling")]
    assert [one.hear() for one in members] == ["/socket.io/"] * 2
    for asking in members:
        assert asking.ask("what") == "WHAT"
        assert [one.hear() for one in members] == ["what"] * 2
    for one in members:
        one.client.disconnect()
        one.hear()

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    # eventlet wakes nobody who reads from a socket that another greenlet closes, as python-engineio
    # does where a packet has said that the client leaves. That call may have to be cut off.
    assert not srv.count("Traceback" if kind == "eventlet" else "ERROR|WARNING|Traceback|Cut off")


@MODES
def test_a_stop_with_clients_of_flask_socketio(
    chat: Callable[..., Server], mode: str, kind: str
) -> None:
    srv = chat(mode, kind, "--graceful-timeout", "2")
    members = [Member(srv, transport) for transport in ("websocket", "polling")]
    assert [one.hear() for one in members] == ["/socket.io/"] * 2

    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    for one in members:
        one.hear()  # that it is over
    assert srv.count("Cut off at the end of graceful_timeout: calls in progress") == 1
    assert not srv.count("Traceback")
