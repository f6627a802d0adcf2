"""Serves many requests of one kind on one twin; fails where memory or descriptors grow.

Run as a script with the twin, the kind and the number of requests: a process of its own, so
that nothing else allocates. The first third fills caches and free lists.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).parents[2])]

from monoceros.http.types import AGAIN, CLOSE, LINGER, MORE, UPGRADE, Policy  # noqa: E402
from tests.http.support import GET, Recorder, make_core, room_left  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = 200  # blocks that allocators and caches may differ by
_HEAD = b"POST /%b HTTP/1.1\r\nHost: a\r\n"
_TWENTY = b"".join(b"X-Field-%d: value %d\r\n" % (i, i) for i in range(20))
KINDS: dict[str, list[bytes]] = {
    "hello": [GET],
    "fields": [GET[:-2] + _TWENTY + b"\r\n"],
    "slow": [GET[:10], GET[10:20], GET[20:]],
    "body": [_HEAD % b"read" + b"Content-Length: 9\r\n\r\n", b"12345", b"6789"],
    "chunked": [_HEAD % b"read" + b"Transfer-Encoding: chunked\r\n\r\n3\r\n", b"abc\r\n0\r\n\r\n"],
    "pipeline": [GET * 10],
    "refused": [b"GET / HTTP/1.1\r\nBad Name: a\r\nHost: a\r\n\r\n"],
    "error": [GET.replace(b"/ ", b"/error ")],
    "generator": [GET.replace(b"/ ", b"/generator ")],
    "odd": [GET.replace(b"/ ", b"/odd ")],
    "hints": [GET.replace(b"/ ", b"/hints ")],
    "taken": [GET.replace(b"/ ", b"/taken ")],
    "gone": [b"gone", GET.replace(b"/ ", b"/generator ")],
}


class Silent(Recorder):
    """A log that keeps nothing."""

    def refused(self, peer: str, error: Any) -> None:
        pass

    def failed(self, environ: Any, error: Any) -> None:
        pass

    def warning(self, message: str) -> None:
        pass


def app(environ: Any, start_response: Any) -> Any:
    path = environ["PATH_INFO"]
    if path == "/error":
        raise ValueError
    if path == "/taken":
        environ["gunicorn.socket"].sendall(b"raw")
        return []
    if path == "/hints":
        environ["wsgi.early_hints"]([("Link", "a")])
    if path == "/odd":
        start_response("200", (("X", "y"), ("Connection", "close")))
        return (b"a", b"b")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/read":
        return [environ["wsgi.input"].read()]
    return generate() if path == "/generator" else [b"hello"]


def generate() -> Iterator[bytes]:
    yield b"a"
    yield b"b" * 20_000


def serve(twin: Any, core: Any, parts: list[bytes]) -> None:
    """One connection: all parts, one after the other."""
    client, server = socket.socketpair()
    server.setblocking(False)
    conn = twin.Conn(core, server.detach(), "", "", "http")
    code = AGAIN
    for part in parts:
        if part == b"gone":
            continue
        client.sendall(part)
        if parts[0] == b"gone":
            client.close()
        code = conn.ready()
        while code == MORE:
            code = conn.ready()
        if code in (CLOSE, UPGRADE, LINGER):
            break
    with contextlib.suppress(OSError):
        client.recv(1 << 20)
    conn.close()
    client.close()


def main(impl: str, kind: str, count: int) -> str | None:
    twin = importlib.import_module(f"monoceros.http._{impl}")
    core = make_core(twin, app, log=Silent("%(r)s %(s)s %({x}i)s"), policy=Policy())
    budget = core.policy.budget
    whole = room_left(budget)
    blocks = []
    for _ in range(3):
        for _ in range(count // 3):
            serve(twin, core, KINDS[kind])
            core.drain_log()
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    if blocks[2] - blocks[1] > ALLOWED:
        return f"{kind}: blocks {blocks}"
    if descriptors > 20:
        return f"{kind}: {descriptors} descriptors"
    if room_left(budget) != whole:
        return f"{kind}: budget {room_left(budget)}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
