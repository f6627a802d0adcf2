"""The loads: what is sent, how, and what the answer must look like; runs them with ``loadgen``."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.apps import CHUNK, CHUNKS, HELLO, TEN_KB
from benchmarks.native import build
from benchmarks.paths import BUILD

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.cpu import Meter

BROWSER_FIELDS = (
    ("Host", "www.example.com"),
    ("Connection", "keep-alive"),
    ("Cache-Control", "max-age=0"),
    ("sec-ch-ua", '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("DNT", "1"),
    ("Upgrade-Insecure-Requests", "1"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.0.0 Safari/537.36",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
        "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    ),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-User", "?1"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "https://www.example.com/articles/2026/11/index.html"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7"),
    ("Cookie", "sessionid=m3x0v9c8b7n6a5s4d3f2g1h0j9k8l7p6; csrftoken=Qw3rTy1LhJ; theme=dark"),
    ("If-None-Match", '"5f3c-61a2b3c4d5e6f"'),
    ("Priority", "u=0, i"),
)
POST_BYTES = 16_384
HOST = ("Host", "www.example.com")
UPLOAD = (HOST, ("Content-Type", "application/octet-stream"), ("Content-Length", str(POST_BYTES)))
API_PATH = "/items/42"
API_FIELDS = (HOST, ("User-Agent", "python-httpx/0.28.1"), ("Accept", "application/json"))
API_ANSWER_BYTES = 94
MESSAGE_BYTES = 100
# The key of RFC 6455 1.3, whose answer the generator knows.
HANDSHAKE_FIELDS = (
    HOST,
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)


def request(
    fields: tuple[tuple[str, str], ...] = (HOST,),
    method: str = "GET",
    body: bytes = b"",
    path: str = "/",
) -> bytes:
    """Return the octets of one request."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


@dataclass(frozen=True, slots=True)
class Load:
    """One load: ``octets`` is a request, ``answer_bytes`` the length of the answer's body.

    With ``message_bytes``, ``octets`` is the handshake of a WebSocket, and each message that comes
    back counts as a request.
    """

    name: str
    app: str
    octets: bytes
    answer_bytes: int
    connections: int = 64
    depth: int = 1
    close: bool = False
    message_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Count:
    """What ``loadgen`` counted; latencies are of whole batches, in microseconds."""

    requests: int
    errors: int
    body_bytes: int
    connects: int
    seconds: float
    p50_us: int
    p99_us: int


LOADS = {
    load.name: load
    for load in (
        Load("hello", "hello", request(), len(HELLO)),
        Load("browser20", "hello", request(BROWSER_FIELDS), len(HELLO)),
        Load("pipelined_x16", "hello", request(), len(HELLO), depth=16),
        Load("close", "hello", request((HOST, ("Connection", "close"))), len(HELLO), close=True),
        Load("ten_kb", "ten_kb", request(), len(TEN_KB)),
        Load(
            "post_16k",
            "post",
            request(UPLOAD, "POST", b"x" * POST_BYTES),
            len(str(POST_BYTES)),
        ),
        Load("stream", "stream", request(), len(CHUNK) * CHUNKS),
        Load("fastapi", "fastapi", request(API_FIELDS, path=API_PATH), API_ANSWER_BYTES),
        Load(
            "websocket",
            "echo",
            request(HANDSHAKE_FIELDS),
            MESSAGE_BYTES,
            message_bytes=MESSAGE_BYTES,
        ),
    )
}


def run(
    load: Load,
    port: int,
    seconds: float,
    *,
    requests: int = 0,
    connections: int = 0,
    meter: Meter | None = None,
) -> Count:
    """Put ``load`` on 127.0.0.1:``port`` for ``seconds`` or ``requests``, whichever ends first.

    ``meter`` runs meanwhile. It leaves out the handshakes of WebSockets.
    """
    clients, most = connections or load.connections, max(1, round(seconds * 1000))
    path = _write(load)
    if load.message_bytes:
        line = _echo(
            _command("wsload", port, path, clients, load.message_bytes, most, requests),
            seconds,
            meter,
        )
    else:
        line = _ask(
            _command("loadgen", port, path, clients, load.depth, int(load.close), most, requests),
            seconds,
            meter,
        )
    return Count(**json.loads(line))


def _command(program: str, *arguments: object) -> list[str]:
    return [str(build(program)), *map(str, arguments)]


def _write(load: Load) -> Path:
    """Return the file that has the octets of a request."""
    path = BUILD / "requests" / load.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != load.octets:
        path.write_bytes(load.octets)
    return path


def _ask(command: list[str], seconds: float, meter: Meter | None) -> str:
    with meter or contextlib.nullcontext():
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + 10
        ).stdout


def _echo(command: list[str], seconds: float, meter: Meter | None) -> str:
    """Have connections opened before the meter starts, and closed after it has stopped."""
    pipe, line = subprocess.PIPE, ""
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline():
                with meter or contextlib.nullcontext():
                    process.stdin.write("go\n")
                    process.stdin.flush()
                    line = process.stdout.readline()
            _, said = process.communicate(timeout=seconds + 10)
        finally:
            process.kill()
    if process.returncode or not line:
        raise subprocess.CalledProcessError(process.returncode, command, line, said)
    return line


def probe(load: Load, port: int) -> str | None:
    """Return why the server cannot be measured under ``load``, or None where it answers rightly."""
    wanted = 20 * load.depth
    try:
        count = run(load, port, 3.0, requests=wanted, connections=2)
    except subprocess.CalledProcessError as error:
        return " ".join(error.stderr.split())
    if count.requests != wanted or count.errors:
        return f"{count.requests} of {wanted} requests answered, {count.errors} errors"
    if count.body_bytes != wanted * load.answer_bytes:
        return f"bodies of {count.body_bytes / wanted:g} bytes instead of {load.answer_bytes}"
    return None
