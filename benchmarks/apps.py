"""The WSGI applications that every server under measurement runs."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks.paths import BUILD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    StartResponse = Callable[[str, list[tuple[str, str]]], object]

HELLO = b"Hello, World!"
TEN_KB = b"x" * 10_240
CHUNK = b"x" * 4_096
CHUNKS = 16
READ = 1 << 16
DOWNLOAD = BUILD / "download"


def hello(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer 13 bytes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]


def ten_kb(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer 10 KiB in one piece."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10240")])
    return [TEN_KB]


def post(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Read the whole body and answer its length in digits."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    answer = b"%d" % len(body)
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))]
    start_response("200 OK", fields)
    return [answer]


def stream(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
    """Yield 16 pieces of 4 KiB without announcing their length."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(CHUNKS):
        yield CHUNK


def peer_port(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer the peer's port, which tells one connection from another."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    answer = str(environ["REMOTE_PORT"]).encode()
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))]
    start_response("200 OK", fields)
    return [answer]


def mixed(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer ``/NAME/NUMBER`` after what ``WORK`` names; with the query, if there is one."""
    _, name, *number = environ["PATH_INFO"].split("/")
    body = WORK[name](int(number[0]) if number else 0) or environ["QUERY_STRING"].encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _nothing(number: int) -> bytes:
    return b""


def _sleep(milliseconds: int) -> bytes:
    time.sleep(milliseconds / 1000)
    return b""


def _spin(milliseconds: int) -> bytes:
    """Spend processor time in Python, where another thread may have the interpreter."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass
    return b""


def _hold(milliseconds: int) -> bytes:
    """Spend time in one call that never lets go of the interpreter."""
    sum(range(_numbers_per_ms() * milliseconds))
    return b""


@cache
def _numbers_per_ms() -> int:
    began = time.thread_time()
    sum(range(10**6))
    return int(10**3 / (time.thread_time() - began))


def _whole(size: int) -> bytes:
    return b"x" * size


WORK: dict[str, Callable[[int], bytes]] = {
    "": _nothing,
    "fast": _nothing,
    "sleep": _sleep,
    "spin": _spin,
    "hold": _hold,
    "whole": _whole,
    "upload": _nothing,
}


def transfer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Discard the body and answer its length in digits, or answer a large file."""
    if environ["REQUEST_METHOD"] == "GET" and DOWNLOAD.exists():
        size = DOWNLOAD.stat().st_size
        start_response("200 OK", [("Content-Length", str(size))])
        return environ["wsgi.file_wrapper"](DOWNLOAD.open("rb"), READ)  # type: ignore[no-any-return]
    read, size = environ["wsgi.input"].read, 0
    while data := read(READ):
        size += len(data)
    answer = b"%d" % size
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
