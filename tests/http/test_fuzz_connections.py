"""Both twins serve the same connections alike: random requests, arrivals, clients, applications.

Each seed is one scenario, played against both twins over a pair of sockets. What a client can
see, what the application is given, what is logged and counted has to be the same.
``MONOCEROS_FUZZ_EXAMPLES`` asks for that many scenarios, with new seeds each time.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import select
import socket
import sys
import tempfile
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from monoceros.errors import StopWorker
from monoceros.http.budget import Budget
from monoceros.http.types import AGAIN, CLOSE, LINGER, MORE, UPGRADE, WANT_WRITE, Limits, Policy
from tests.http.both import Both, both, without_date
from tests.http.support import Recorder, make_core, room_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monoceros.http.types import Environ, StartResponse, Twin

__all__ = ["both"]

SCENARIOS = 1500
_ASKED = int(os.environ.get("MONOCEROS_FUZZ_EXAMPLES", "0"))
_FD = re.compile(r"fd=\d+|0x[0-9a-f]+")
_STEPS = 200  # more than any scenario needs


class Octets(bytes):
    """Bytes of an application's own kind."""


class Result:
    """An iterable with a ``close``."""

    def __init__(self, items: Iterable[bytes], error: BaseException | None = None) -> None:
        self.items = items
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.items)

    def close(self) -> None:
        if self.error is not None:
            raise self.error


# -- applications: each reads the path's digits for what to do ------------------------------------

_STATUSES = ["200 OK", "200", "204 None", "304 Same", "404 No \xe9", "101 Up", "99 x", "500 \u20ac"]
_FIELDS: list[list[Any]] = [
    [],
    [("X", "y")],
    [("Content-Length", "5")],
    [("content-length", "0"), ("X", "\xe9")],
    [("Connection", "close"), ("Date", "never")],
    [("Content-Length", "40000")],
    [("X", "a\r\nb")],
    [("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Upgrade", "x")],
]
_CONTENT: list[list[Any]] = [
    [],
    [b""],
    [b"hello"],
    [b"a", b"", b"b" * 300],
    [b"c" * 20_000, b"d"],
    [Octets(b"e")],
]
_CONTENT += [[b"f" * 100_000], ["text"]]
_READERS: list[Callable[[Any], object]] = [
    lambda body: body.read(),
    lambda body: body.read(3),
    lambda body: body.readline(),
    lambda body: None,
    list,
    lambda body: (body.read(1), body.readline(4), body.read()),
]


def read(environ: Environ, kind: int) -> object:
    try:
        return _READERS[kind % len(_READERS)](environ["wsgi.input"])
    except OSError as error:
        if kind > 6:
            raise
        return str(error)


def application(environ: Environ, start_response: StartResponse, state: list[Any]) -> Any:
    """Do what the path says: reader, status, fields, content, way to answer."""
    digits = [*map(int, re.findall("[0-9]", environ["PATH_INFO"])), 0, 0, 0, 0, 0]
    reader, status, fields, content, way = digits[:5]
    state.append(read(environ, reader))
    items = _CONTENT[content % len(_CONTENT)]
    chosen = [*_FIELDS[fields % len(_FIELDS)]]
    if environ["QUERY_STRING"] in _EXTRAS:
        _EXTRAS[environ["QUERY_STRING"]](environ, state)
    if way == 9:
        return late(environ, start_response, _STATUSES[status % 8], chosen, items)
    write = start_response(_STATUSES[status % 8], chosen)
    if way == 5:
        for item in items[:2]:
            write(item)
        return items[2:]
    if way == 6:
        try:
            raise KeyError(1)
        except KeyError:
            start_response("503 Again", [("Y", "z")], sys.exc_info())  # type: ignore[arg-type]
    if way == 7:
        chosen.append(("Late", "field"))
        return Result(items, ValueError("close"))
    return answer(environ, way, items)


def answer(environ: Environ, way: int, items: list[bytes]) -> Any:
    if way == 0:
        return items
    if way == 1:
        return tuple(items)
    if way == 2:
        return iter(items)
    if way == 3:
        return broken(items)
    content = b"".join(map(bytes, items[:3]))
    if way == 4:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(content)
        file.seek(0)
        return environ["wsgi.file_wrapper"](file)
    return environ["wsgi.file_wrapper"](io.BytesIO(content), 7)


def broken(items: list[bytes]) -> Iterator[bytes]:
    yield from items
    raise RuntimeError("mid")


def late(
    environ: Environ, start_response: Any, status: str, fields: list[Any], items: list[bytes]
) -> Iterator[bytes]:
    yield b""
    environ["wsgi.early_hints"]([("Link", "</a>")])
    start_response(status, fields)
    yield from items


def take(environ: Environ, state: list[Any]) -> None:
    taken = environ["gunicorn.socket"]
    taken.settimeout(0.001)
    with contextlib.suppress(TimeoutError):
        state.append(taken.recv(10))
    with contextlib.suppress(OSError):
        taken.sendall(b"raw")


def stop(environ: Environ, state: list[Any]) -> None:
    raise StopWorker(0)


def fail(environ: Environ, state: list[Any]) -> None:
    raise ValueError("early")


def drop(environ: Environ, state: list[Any]) -> None:
    environ.clear()
    environ["wsgi.file_wrapper"] = lambda file, size=0: file


_EXTRAS = {
    "hints": lambda environ, state: environ["wsgi.early_hints"]([("Link", "a")]),
    "badhints": lambda environ, state: environ["wsgi.early_hints"]([("Li nk", "a")]),
    "take": take,
    "stop": stop,
    "fail": fail,
    "drop": drop,
}


# -- what clients send ---------------------------------------------------------------------------


def request(rng: random.Random) -> bytes:
    """One request, mostly valid."""
    method = rng.choice([b"GET"] * 6 + [b"POST"] * 4 + [b"HEAD", b"PUT", b"OPTIONS", b"get"])
    extra = rng.choice([b""] * 16 + [b"?" + key.encode() for key in _EXTRAS] + [b"?a=b", b"#f"])
    target = b"/%05d" % rng.randrange(100_000) + extra
    if rng.random() < 0.3:
        target = b"/0010" + b"%d" % rng.randrange(10) + extra
    if rng.random() < 0.04:
        method, target = b"CONNECT", b"a:1"
    version = rng.choice([b"HTTP/1.1"] * 7 + [b"HTTP/1.0"])
    lines = [b"%b %b %b" % (method, target, version), b"Host: a"]
    lines += rng.sample(
        [
            b"Connection: close",
            b"Connection: keep-alive",
            b"Expect: 100-continue",
            b"Upgrade: x",
            b"Connection: upgrade",
            b"X_Y: z",
            b"Cookie: a",
            b"Cookie: b\xe9",
            b"X-%d: y" % rng.randrange(1000),
            b"Accept: " + b"a" * rng.choice([1, 15, 16, 17, 200]),
        ],
        rng.choice([0, 0, 1, 2, 4]),
    )
    content = rng.randbytes(rng.choice([0, 1, 5, 30, 400, 5000]))
    if method == b"POST" and rng.random() < 0.5:
        lines.append(b"Transfer-Encoding: chunked")
        content = chunks(rng, content)
    elif method in (b"POST", b"PUT") or rng.random() < 0.1:
        lines.append(b"Content-Length: %d" % len(content))
    else:
        content = b""
    return b"\r\n".join([*lines, b"", content])


def chunks(rng: random.Random, content: bytes) -> bytes:
    parts = []
    while content:
        size = rng.choice([1, 7, 100, 3000])
        parts.append(b"%x\r\n%b\r\n" % (len(content[:size]), content[:size]))
        content = content[size:]
    return b"".join([*parts, b"0\r\n", rng.choice([b"", b"", b"T: x\r\n"]), b"\r\n"])


def mutate(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        at = rng.randrange(len(data) + 1)
        new = rng.choice([b"", b"\r\n", b"\n", b" ", b":", b"\x00", b"\xff", b"\r\n\r\n", b"9"])
        data = data[:at] + new + data[at + rng.randrange(3) :]
    return data


class Scenario(NamedTuple):
    """What happens to one connection; ``end`` is what the client does last."""

    parts: list[bytes]
    limits: Limits
    options: dict[str, Any]
    buffer: int
    reads: bool
    end: str


def make_scenario(rng: random.Random) -> Scenario:
    data = mutate(rng, b"".join(request(rng) for _ in range(rng.choice([1, 1, 2, 3, 5, 80]))))
    if rng.random() < 0.02:
        data = data[:-1]
    data = data[:14_000]
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 0, 1, 2, 5])))
    bounds = [0, *cuts, len(data)]
    parts = [data[a:b] for a, b in pairwise(bounds) if b > a]
    limits = Limits(
        body=rng.choice([0, 0, 0, 100]),
        body_memory=rng.choice([1 << 20, 10, 0]),
        body_spool=rng.choice([64 << 20, 100]),
        head=rng.choice([65536, 65536, 300]),
        fields=rng.choice([100, 100, 3]),
    )
    options = {
        "keepalive": rng.random() < 0.95,
        "keepalive_timeout": rng.choice([0, 0, 75]),
        "request_buffering": rng.random() < 0.8,
        "sendfile": rng.random() < 0.8,
        "body_timeout": 0.001,
        "write_timeout": 0.001,
        "output_memory": rng.choice([1 << 20, 1000]),
        "output_spool": rng.choice([64 << 20, 30_000]),
    }
    return Scenario(
        parts,
        limits,
        options,
        rng.choice([0, 0, 4096]),
        rng.random() < 0.8,
        rng.choice(["stay", "stay", "half-close", "close", "reject"]),
    )


# -- playing ---------------------------------------------------------------------------------------


class Player:
    """Plays one scenario against one twin, and writes down all that can be seen."""

    def __init__(self, twin: Twin, scenario: Scenario) -> None:
        self.scenario = scenario
        self.seen: list[Any] = []
        self.output = b""
        self.log = Recorder('%(r)s %(s)s %(B)s "%({X}o)s" %(a)s')
        self.budget = Budget()
        policy = Policy(budget=self.budget, **scenario.options)
        self.core = make_core(twin, self.app, log=self.log, limits=scenario.limits, policy=policy)
        self.core.tick(0.0)
        self.client, server = socket.socketpair()
        server.setblocking(False)
        if scenario.buffer:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, scenario.buffer)
        self.client.setblocking(False)
        self.conn = twin.Conn(self.core, server.detach(), "", "/app.sock", "http")  # type: ignore[call-arg]
        self.code = AGAIN
        self.states: list[Any] = []

    def app(self, environ: Environ, start_response: StartResponse) -> Any:
        self.seen.append({k: v for k, v in environ.items() if isinstance(v, (str, bool, tuple))})
        return application(environ, start_response, self.seen)

    def play(self) -> None:
        for part in self.scenario.parts:
            with contextlib.suppress(OSError):
                self.client.sendall(part)
            self.serve(self.scenario.reads)
        if self.scenario.end == "half-close":
            with contextlib.suppress(OSError):
                self.client.shutdown(socket.SHUT_WR)
        elif self.scenario.end == "close":
            self.receive()
            self.client.close()
        elif self.scenario.end == "reject" and self.code == AGAIN and self.conn.fd >= 0:
            self.code = self.conn.reject(408)
        self.serve(True)

    def serve(self, reads: bool) -> None:
        for _ in range(_STEPS):
            if self.code in (CLOSE, UPGRADE) or not self.is_due():
                break
            self.step()
            if reads:
                self.receive()
        self.note()
        if self.code in (CLOSE, UPGRADE):
            self.conn.close()
        self.receive() if reads else None

    def is_due(self) -> bool:
        if self.code == MORE:
            return True
        poller = select.poll()
        poller.register(self.conn.fd, select.POLLOUT if self.code == WANT_WRITE else select.POLLIN)
        return bool(poller.poll(0))

    def step(self) -> None:
        conn = self.conn
        try:
            if self.code == WANT_WRITE:
                self.code = conn.writable()
            else:
                self.code = conn.discard() if self.code == LINGER else conn.ready()
        except StopWorker:
            self.code = CLOSE

    def note(self) -> None:
        conn = self.conn
        self.states.append((self.code, conn.state, conn.received, conn.pending))

    def receive(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.client.recv(1 << 20):
                self.output += data

    def budget_is_short(self) -> bool:
        """Whether some of the budget was not given back."""
        return room_left(self.budget) != room_left(Budget())

    def outcome(self) -> dict[str, Any]:
        self.client.close()
        self.conn.close()
        log = self.log
        return {
            "output": without_date(self.output),
            "seen": self.seen,
            "states": self.states,
            "refusals": [(peer, str(error)) for peer, error in log.refusals],
            "failures": [(type(e).__name__, _FD.sub("", str(e))) for _, e in log.failures],
            "warnings": log.warnings,
            "lines": self.core.drain_log(),
            "counters": self.core.counters(),
            "budget": room_left(self.budget),
            "leaked": self.budget_is_short(),
        }


def play(twin: Twin, scenario: Scenario) -> dict[str, Any]:
    player = Player(twin, scenario)
    try:
        player.play()
    finally:
        outcome = player.outcome()
    assert not outcome["leaked"], scenario
    return outcome


def differences(both: Both, scenario: Scenario) -> dict[str, tuple[Any, Any]]:
    compiled, pure = play(both.c, scenario), play(both.py, scenario)
    return {name: (compiled[name], pure[name]) for name in pure if compiled[name] != pure[name]}


def compare(both: Both, seed: int) -> None:
    scenario = make_scenario(random.Random(seed))
    found = differences(both, scenario)
    for _ in range(3):
        # What a busy machine makes of the timeouts does not come again.
        if not found:
            break
        found = differences(both, scenario)
    assert not found, (seed, found, scenario)


def test_scenarios(both: Both) -> None:
    first = random.SystemRandom().randrange(1 << 40) if _ASKED else 0
    for seed in range(first, first + (_ASKED or SCENARIOS)):
        compare(both, seed)
