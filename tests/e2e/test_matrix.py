"""Each common setting has the same visible effect, whatever the kind of worker.

One server of each kind runs with the same configuration; what differs on purpose is given by the
name of the kind, and docs/concurrency.md has the list.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros
from tests.e2e.clients import ask, at_end, connect_unix, head, read_answer, read_to_end
from tests.e2e.conftest import IMPLS, require
from tests.e2e.fleet import Fleet, fleet_of
from tests.e2e.load import Loss, load
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

_WSGI = ("sync", "gthread", "gevent")
_ASGI = ("asgi", "asgi on uvloop")

# -- requests, and where they are answered -----------------------------------------------------

CONFIG = """\
import json, os
bind = ["127.0.0.1:0", "unix:s"]
chdir = "site"
pythonpath = "../library"
raw_env = ["PLACE=here"]
umask = 0o027
pidfile = "pid"
proc_name = "shop"
tmp_upload_dir = "../spool"
body_memory_limit = 1000
worker_connections = 8
limit_request_line = 200
limit_request_fields = 8
limit_request_field_size = 64
header_map = "refuse"
forwarded_allow_ips = "127.0.0.9"
secure_scheme_headers = {"X-Forwarded-Proto": "https"}
accesslog = "access.log"
access_log_format = (
    '%(h)s %(l)s %(u)s "%(r)s" %(m)s %(U)s %(q)s %(H)s %(s)s %(B)s %(b)s "%(f)s" "%(a)s" '
    '%({x-name}i)s %({x-answer}o)s %({wsgi.url_scheme}e)s %(T)s'
)

def say(*words):
    os.write(2, (" ".join(map(str, ("hook", *words))) + "\\n").encode())

def on_starting(server): say("on_starting", len(server.LISTENERS))
def when_ready(server): say("when_ready", len(server.LISTENERS))
def pre_fork(server, worker): say("pre_fork", worker.pid, worker.age)
def post_fork(server, worker): say("post_fork", worker.pid == os.getpid())
def post_worker_init(worker): say("post_worker_init", worker.wsgi is not None)
def worker_exit(server, worker): say("worker_exit", worker.pid == os.getpid())
def child_exit(server, worker): say("child_exit", worker.pid in server.WORKERS)
def on_exit(server): say("on_exit")

def pre_request(worker, req):
    if req.path.startswith("/tell"):
        fields = sorted(req.headers)
        say("pre_request", req.method, req.uri, req.path, req.query, req.fragment, req.version)
        say("pre_request", req.scheme, req.remote_addr[:1], fields, req.trailers)

def post_request(worker, req, environ, resp):
    if req.path.startswith("/tell"):
        say("post_request", req.method, req.path, resp.status, resp.status_code, resp.sent)
        say("post_request", sorted(resp.headers), resp.response_length, resp.chunked)
        texts = {name: value for name, value in environ.items() if type(value) is str}
        say("environ", json.dumps(texts))
"""


@pytest.fixture(scope="module", params=IMPLS)
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    require(request.param)
    files = {"site/x": "", "spool/x": "", "library/borrowed.py": ""}
    home = tmp_path_factory.mktemp(request.param)
    with fleet_of(home, request.param, config=CONFIG, files=files) as found:
        yield found


def ask_from(srv: Server, request: bytes, source: str = "127.0.0.1") -> tuple[int, object]:
    """Send a request from an address; returns the status, and what ``/tell`` tells."""
    with socket.create_connection(srv.address, 20, (source, 0)) as client:
        client.sendall(request)
        answer = read_answer(client)
        return answer.status, json.loads(answer.body) if answer.status == 200 else None


def test_requests_are_told_alike(fleet: Fleet) -> None:
    fields = ("X-Name: 1, 2", "X-Name: 3", "Content-Length: 3")
    request = head("POST", "/tell/a%20b%2Fc?x=%20y&z", *fields) + b"abc"
    told = {"path": "/tell/a b/c", "query": "x=%20y&z", "scheme": "http", "client": "127.0.0.1"}
    content = {"fields": {"x-name": "1, 2,3"}, "body": "abc"}
    fleet.expect(lambda srv: ask_from(srv, request), (200, {**told, **content}))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head("GET", "/pid/" + "x" * 180), 200),
        (head("GET", "/pid/" + "x" * 200), 414),  # limit_request_line
        (head("GET", "/pid", *(f"X-{n}: 1" for n in range(7))), 200),
        (head("GET", "/pid", *(f"X-{n}: 1" for n in range(8))), 431),  # limit_request_fields
        (head("GET", "/pid", "X-Long: " + "x" * 60), 431),  # limit_request_field_size
        (head("GET", "/pid", "X_Name: 1"), 400),  # header_map
        (head("GET", "/pid") * 2, 200),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (head("GET", "/fail"), 500),
    ],
)
def test_limits(fleet: Fleet, request_: bytes, status: int) -> None:
    def answer(srv: Server) -> tuple[int, bytes]:
        with srv.connect() as client:
            client.sendall(request_)
            if status == 200:
                return read_answer(client).status, b""
            return status, re.sub(rb"Date: [^\r]+", b"", read_to_end(client))

    found = fleet.each(answer)
    assert len(set(found.values())) == 1, found
    assert {code for code, _ in found.values()} == {status}
    if status >= 400:
        assert found["sync"][1].startswith(b"HTTP/1.1 %d " % status)


def close(method: str, target: str, *fields: str) -> bytes:
    """Return the head of a request that is the last one."""
    return head(method, target, *fields, "Connection: close")


CHUNKED = "Transfer-Encoding: chunked"
# What is seldom or wrong, with its status; in between the kinds could differ in every octet.
ODD = [
    (close("HEAD", "/tell"), 200),
    (close("GET", "http://other:81/tell?q"), 200),
    (close("GET", "/tell//x"), 200),
    (close("GET", "/tell#x"), 200),
    (close("OPTIONS", "*"), 500),  # the application has no such route
    (close("CONNECT", "a:1"), 500),
    (close("DELETE", "/tell"), 200),
    (close("GET", "/tell", "X-B: 1", "X-B: 2", "Authorization: Basic YTpi"), 200),
    (close("GET", "/tell", "Upgrade: h2c"), 200),
    (close("POST", "/tell", "Expect: 100-continue", "Content-Length: 3") + b"abc", 200),
    (close("POST", "/tell", CHUNKED) + b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", 200),
    (b"GET /tell HTTP/1.0\r\n\r\n", 200),
    (b"GET /tell HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
    (close("GET", "/tell") + head("GET", "/tell"), 200),
    (close("GET", "/tell", "SCRIPT_NAME: /x"), 400),
    (head("POST", "/tell", "Expect: x"), 417),
    (head("POST", "/tell", "Transfer-Encoding: gzip, chunked"), 501),
    (head("POST", "/tell", CHUNKED, "Content-Length: 3"), 400),
    (head("POST", "/tell", CHUNKED) + b"zz\r\n", 400),
    (head("POST", "/tell", "Content-Length: 10") + b"abc", 400),  # and no more comes
    (b"GET / HTTP/1.1\r\nBad\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00", 400),
]


def test_odd_requests(fleet: Fleet) -> None:
    def answer(srv: Server) -> list[bytes]:
        found = []
        for request, _ in ODD:
            with srv.connect() as client:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                found.append(re.sub(rb"Date: [^\r]+", b"", read_to_end(client)))
        return found

    found = fleet.each(answer)
    for number, (request, status) in enumerate(ODD):
        answers = {kind: each[number] for kind, each in found.items()}
        assert len(set(answers.values())) == 1, (request, answers)
        assert b"HTTP/1.1 %d " % status in answers["sync"], (request, answers)


def test_responses_are_the_same(fleet: Fleet) -> None:
    def answer(srv: Server) -> bytes:
        with srv.connect() as client:
            client.sendall(head("GET", "/surroundings") + head("HEAD", "/pid"))
            client.sendall(head("GET", "/nap/0", "Connection: close"))
            octets = read_to_end(client)
        return re.sub(rb"(Date|Content-Length): [^\r]+", rb"\1: x", octets)

    found = fleet.each(answer)
    assert len(set(found.values())) == 1, found
    start = b"HTTP/1.1 200 OK\r\nServer: monoceros\r\nDate: x\r\nContent-Length: x\r\n"
    kept = b"X-Answer: yes\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\n\r\n"
    assert found["sync"].startswith(start + kept)


def test_proxies(fleet: Fleet) -> None:
    """Only those in ``forwarded_allow_ips`` are believed, and nobody says who the client is."""
    proxied = head("GET", "/tell", "X-Forwarded-Proto: https", "X-Forwarded-For: 10.1.1.1")

    def tell(srv: Server) -> list[tuple[str, str]]:
        found = []
        for source in ("127.0.0.9", "127.0.0.1"):
            _status, told = ask_from(srv, proxied, source)
            assert isinstance(told, dict)
            assert told["fields"]["x-forwarded-for"] == "10.1.1.1"
            found.append((told["scheme"], told["client"]))
        return found

    fleet.expect(tell, [("https", "127.0.0.9"), ("http", "127.0.0.1")])


def test_unix_sockets(fleet: Fleet) -> None:
    def tell(srv: Server) -> object:
        path = srv.cwd / "site" / "s"
        with connect_unix(path) as client:
            answer = ask(client, "/tell", "X-Forwarded-Proto: https")
            told = json.loads(answer.body)
            return told["scheme"], told["client"], f"{path.stat().st_mode:o}"

    fleet.expect(tell, ("https", "", "140750"))


def test_surroundings(fleet: Fleet) -> None:
    told = {"variable": "here", "directory": "site", "library": True}
    fleet.expect(lambda srv: json.loads(srv.get("/surroundings/PLACE").body), told)


def test_processes(fleet: Fleet) -> None:
    def tell(srv: Server) -> object:
        worker = int(srv.get("/pid").body)
        return (
            (srv.cwd / "site" / "pid").read_text() == f"{srv.pid}\n",
            Path(f"/proc/{worker}/cmdline").read_bytes().rstrip(b"\0"),
            srv.get("/importer").body,
        )

    fleet.expect(tell, (True, b"monoceros: worker [shop]", b"worker"))


def test_access_log(fleet: Fleet) -> None:
    line = (
        '127.0.0.1 - - "GET /tell/b?logged HTTP/1.1" GET /tell/b logged HTTP/1.1 200 118 118 '
        '"here" "\\"me\\"" c yes http 0'
    )

    def read(srv: Server) -> str | None:
        ask_from(
            srv, head("GET", "/tell/b?logged", "Referer: here", 'User-Agent: "me"', "X-Name: c")
        )
        log = srv.cwd / "site" / "access.log"

        def find() -> str | None:
            lines = [one for one in log.read_text().splitlines() if "logged" in one]
            return lines[0] if lines else None

        return srv.wait_until(find, "the line")

    fleet.expect(read, line)


def test_faults_are_logged(fleet: Fleet) -> None:
    def read(srv: Server) -> str:
        assert srv.get("/fail/logged").status == 500
        srv.wait_for("^ValueError: a fault of the application's$")
        return srv.wait_for(r"(\[ERROR\].*) /fail/logged.*")[0]

    fleet.expect(read, "[ERROR] Error handling request GET /fail/logged")


def test_hooks_of_requests(fleet: Fleet) -> None:
    def tell(srv: Server) -> list[str]:
        request = head("POST", "/tell/hooked?x=1", "X-Name: 1", "Content-Length: 3") + b"abc"
        ask_from(srv, request)
        srv.wait_for("^hook environ .*/tell/hooked")
        lines = [line for line in srv.lines if re.match("hook (pre|post)_request", line)]
        return lines[-4:]

    fields = [("CONTENT-LENGTH", "3"), ("HOST", "localhost"), ("X-NAME", "1")]
    answered = [("Content-Length", "123"), ("X-Answer", "yes")]
    expected = [
        "hook pre_request POST /tell/hooked?x=1 /tell/hooked x=1  (1, 1)",
        f"hook pre_request http ('127.0.0.1',) {fields} []",
        "hook post_request POST /tell/hooked 200 OK 200 123",
        f"hook post_request {answered} 123 False",
    ]
    fleet.expect(tell, expected)


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_environ_of_hooks(fleet: Fleet, family: str) -> None:
    environ = {**ENVIRON, "PATH_INFO": f"/tell/{family}", "RAW_URI": f"/tell/{family}?x=1"}
    if family == "unix":
        environ.update(REMOTE_ADDR="", SERVER_NAME="localhost")
    found = fleet if family == "tcp" else fleet.only(*_WSGI)
    found.expect(lambda srv: read_environ(srv, family), environ)


@pytest.mark.parametrize(
    ("family", "name", "text"),
    [
        ("tcp", "SERVER_SOFTWARE", f"monoceros/{monoceros.__version__}"),
        ("unix", "SERVER_NAME", "localhost"),
    ],
)
def test_environ_of_hooks_with_asgi(fleet: Fleet, family: str, name: str, text: str) -> None:
    fleet.expect(lambda srv: read_environ(srv, family, name), {name: text})


ENVIRON = {
    "CONTENT_LENGTH": "3",
    "HTTP_X_NAME": "1",
    "QUERY_STRING": "x=1",
    "REMOTE_ADDR": "127.0.0.1",
    "REQUEST_METHOD": "POST",
    "SCRIPT_NAME": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "http",
}
_VARYING = {"REMOTE_PORT", "SERVER_PORT", "HTTP_HOST", "SERVER_SOFTWARE"}


def read_environ(srv: Server, family: str, name: str = "") -> dict[str, str]:
    """Return what ``post_request`` sees as environ, or one variable of it."""
    path = f"/tell/{family}"
    with srv.connect() if family == "tcp" else connect_unix(srv.cwd / "site" / "s") as client:
        client.sendall(head("POST", f"{path}?x=1", "X-Name: 1", "Content-Length: 3") + b"abc")
        assert read_answer(client).status == 200
    environ = json.loads(srv.wait_for(f"^hook environ (.*{path}.*)")[1])
    kept = {name} if name else environ.keys() - _VARYING
    return {name: environ[name] for name in kept & environ.keys()}


def has_file(worker: int) -> bool:
    return any("/spool" in name for name in descriptors(worker).values())


def test_content_of_a_request_waits(fleet: Fleet) -> None:
    """For WSGI in a file; to ASGI it goes as it comes."""

    def look(srv: Server) -> bool:
        worker = int(srv.get("/pid").body)
        with srv.connect() as client:
            client.sendall(head("POST", "/pid", "Content-Length: 3000") + b"x" * 2000)
            if "asgi" in srv.cwd.name:
                return has_file(worker)
            srv.wait_until(partial(has_file, worker), "a file")
            client.sendall(b"x" * 1000)
            assert read_answer(client).status == 200
        return True

    fleet.expect(look, True, asgi=False)


def ask_all_at_once(srv: Server) -> Counter[object]:
    """Have more clients than connections, that ask as soon as they have connected."""
    answers: Counter[object] = Counter()
    for _ in range(5):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(srv.connect()) for _ in range(30)]
            for client in clients:
                client.sendall(head("GET", "/nap/0.01"))
            for client in clients:
                try:
                    answers[read_answer(client).status] += 1
                except (OSError, http.client.HTTPException) as error:
                    answers[type(error)] += 1
    return answers


def test_more_clients_than_connections(fleet: Fleet) -> None:
    fleet.expect(ask_all_at_once, Counter({200: 150}))


def test_the_end(fleet: Fleet) -> None:
    """Comes last: hooks of the server's life, and what is left behind."""

    def stop(srv: Server) -> tuple[int, list[str], set[str]]:
        srv.signal(signal.SIGTERM)
        code = srv.wait()
        lines = [line for line in srv.lines if re.match(r"hook (?!environ|p\w+_request)", line)]
        return code, lines, {path.name for path in srv.cwd.iterdir()}

    life = [
        "hook on_starting 0",
        "hook when_ready 2",
        "hook pre_fork [booting] 1",
        "hook post_fork True",
        "hook post_worker_init True",
        "hook worker_exit True",
        "hook child_exit False",
        "hook on_exit",
    ]
    left = {"gunicorn.conf.py", "site", "spool", "library"}
    fleet.expect(stop, (0, life, left))


# -- what takes time ---------------------------------------------------------------------------

TIMES = """\
import os
loglevel = "debug"
keepalive = 1
forwarded_allow_ips = ""
timeout = 1
graceful_timeout = 1
def worker_abort(worker): os.write(2, b"hook worker_abort\\n")
"""


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Servers with short times; one twin will do, since it is not at work then."""
    with fleet_of(tmp_path_factory.mktemp("timed"), IMPLS[0], config=TIMES) as found:
        yield found


def test_keepalive(timed: Fleet) -> None:
    """Clients have two seconds more than they are told."""

    def idle(srv: Server) -> tuple[str, bool, bool]:
        with srv.connect() as client:
            told = ask(client, "/pid").fields["Keep-Alive"]
            began = time.monotonic()
            return told, at_end(client), time.monotonic() - began > 2.5

    timed.expect(idle, ("timeout=1", True, True))


def test_timeout(timed: Fleet) -> None:
    """A process that stands still is replaced, and the log tells where it was.

    Threads stand still where C does not let go of the interpreter, which not even a hook can mend.
    """

    def hang(srv: Server) -> tuple[bool, bool, int]:
        how = "freeze" if srv.cwd.name == "gthread" else "spin"
        (worker,) = srv.wait_workers(1)
        with srv.connect() as client:
            client.sendall(head("GET", f"/{how}/60"))
            doing = f"running GET /{how}/60 from 127.0.0.1 for"
            told = srv.wait_for(rf"\[CRITICAL\] WORKER TIMEOUT \(pid:(\d+)\) {doing}")
            srv.wait_for(rf'^  File ".*apps/alike.py", line \d+ in {how}$')
            srv.wait_for("Booting worker", 2)
            assert at_end(client) or read_to_end(client)
        successor = srv.wait_until(lambda: srv.workers() - {worker})
        return int(told[1]) == worker, successor == {int(srv.get("/pid").body)}, srv.count("hook")

    timed.expect(hang, (True, True, 1), gthread=(True, True, 0))


def test_graceful_timeout(timed: Fleet) -> None:
    """Comes last: calls that last longer than that are cut off."""

    def stop(srv: Server) -> tuple[int, bool, bytes]:
        with srv.connect() as client:
            client.sendall(head("GET", "/nap/30"))
            with srv.connect() as other:
                ask(other, "/pid") if srv.cwd.name != "sync" else None
            began = time.monotonic()
            srv.signal(signal.SIGTERM)
            code = srv.wait()
            return code, 0.8 < time.monotonic() - began < 10, read_to_end(client)

    timed.expect(stop, (0, True, b""))


# -- workers that follow one another -----------------------------------------------------------

ROLLING = """\
import os
loglevel = "debug"
workers = 2
reload = True
reload_engine = "poll"
request_timeout = 1
max_requests = 100
max_requests_jitter = 20
def worker_int(worker): os.write(2, b"hook worker_int\\n")
"""
MINE = """\
import os
from tests.e2e.apps.alike import asgi, wsgi
os.environ["VERSION"] = "{}"
"""


@pytest.fixture(scope="module")
def rolling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Servers whose workers are replaced for several reasons."""
    home = tmp_path_factory.mktemp("rolling")
    files = {"mine.py": MINE.format("one")}
    with fleet_of(home, IMPLS[0], config=ROLLING, files=files, app="mine:{}") as found:
        yield found


def test_request_timeout(rolling: Fleet) -> None:
    """On ``sync`` it costs the worker, see docs/operation.md."""

    def wait(srv: Server) -> tuple[int, bool, int, int]:
        srv.wait_workers(2)
        began = time.monotonic()
        status = srv.get("/nap/30").status
        took = time.monotonic() - began
        told = r"REQUEST TIMEOUT running GET /nap/30 from 127\.0\.0\.1 for 1\.\ds, 504"
        srv.wait_for(rf"\[ERROR\] {told}")
        srv.wait_for(r'^  File ".*apps/alike.py", line \d+ in (wsgi|asgi)$')
        if srv.cwd.name == "sync":
            srv.wait_for("its threads are lost")
        return status, took > 0.9, srv.get("/pid").status, srv.count("its threads are lost")

    rolling.expect(wait, (504, True, 200, 0), sync=(504, True, 200, 1))


def test_max_requests(rolling: Fleet) -> None:
    def wear_out(srv: Server) -> list[Loss]:
        srv.wait_until(lambda: len(srv.workers()) == 2)
        before = srv.workers()
        with load(srv, "/pid", 2) as clients:
            srv.wait_until(lambda: not any(map(srv.owns, before)))
            clients.wait_for_more(10)
        assert srv.count(r"\[INFO\] Autorestarting worker after current request\.$") >= 2
        return clients.losses

    rolling.expect(wear_out, [])


def test_reload(rolling: Fleet) -> None:
    def edit(srv: Server) -> set[bytes]:
        assert b'"one"' in srv.get("/surroundings/VERSION").body
        before = srv.workers()
        (srv.cwd / "mine.py").write_text(MINE.format("two"))
        srv.wait_until(lambda: not any(map(srv.owns, before)), "successors")
        return {srv.get("/surroundings/VERSION").body[:18] for _ in range(5)}

    rolling.expect(edit, {b'{"variable": "two"'})


def test_quick_stop(rolling: Fleet) -> None:
    """Comes last: INT ends calls where they are."""

    def stop(srv: Server) -> tuple[int, bool, bool]:
        with srv.connect() as client:
            client.sendall(head("GET", "/nap/30"))
            srv.wait_for(r"\[DEBUG\] GET /nap/30", 2)
            began = time.monotonic()
            srv.signal(signal.SIGINT)
            code = srv.wait()
        return code, time.monotonic() - began < 10, srv.count("^hook worker_int") >= 2

    rolling.expect(stop, (0, True, True))


# -- logs in files, and an application that is imported once ------------------------------------

FILES = """\
bind = "unix:s"
workers = 2
preload_app = True
errorlog = "log"
loglevel = "warning"
capture_output = True
graceful_timout = 3  # a warning
"""


def test_files(tmp_path: Path) -> None:
    def look(srv: Server) -> tuple[bytes, list[str], str]:
        def connected() -> bool:
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(str(srv.cwd / "s")) == 0

        srv.wait_until(connected, "a listening socket")
        with connect_unix(srv.cwd / "s") as client:
            importer = ask(client, "/importer").body
            ask(client, "/say/something")
        lines = (srv.cwd / "log").read_text().splitlines()
        return (
            importer,
            [re.sub(r".*\[WARNING\] (\S+ is not).*", r"\1", one) for one in lines],
            srv.log,
        )

    lines = ["'graceful_timout' is not", "something"]
    with fleet_of(tmp_path, IMPLS[0], config=FILES) as fleet:
        fleet.expect(look, (b"master", lines, ""))
