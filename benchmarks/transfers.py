"""Measures large uploads and downloads side by side: ``python -m benchmarks.transfers``.

As in ``compare``, all servers are alive at once on one processor, the client on another, and each
round gives every server one transfer of each kind. The client sends from and receives into one
buffer of 1 MiB, so that most of what it spends is the kernel's copying. The application discards
an upload in reads of 64 KiB, and answers a download by ``wsgi.file_wrapper``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import signal
import socket
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import cpu
from benchmarks.apps import DOWNLOAD
from benchmarks.peers import PEERS, Peer
from benchmarks.server import Placement, Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 1 << 20
CHUNK = 1 << 16
TIMEOUT_S = 120.0
REFERENCE = "gunicorn-gthread"
MIB = 1 << 20


class Sample(NamedTuple):
    """One transfer by one server."""

    kind: str
    server: str
    seconds: float
    cpu_seconds: float


def with_options(name: str, suffix: str, *options: str) -> Peer:
    """Return a server under another name, with more options before its application."""
    peer = PEERS[name]
    command = (*peer.command[:-1], *options, peer.command[-1])
    return dataclasses.replace(peer, name=f"{name}-{suffix}", command=command)


def servers(size: int) -> list[Peer]:
    """Return what is measured: ``spooled`` keeps a whole upload in a file."""
    return [
        peer
        for name in ("monoceros-c", "monoceros-py")
        for peer in (
            PEERS[name],
            with_options(name, "spooled", "--body-spool-limit", str(size)),
            with_options(name, "unbuffered", "--no-request-buffering"),
        )
    ] + [PEERS[REFERENCE]]


def _begin(server: Server, lines: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
    client.sendall(lines + b"Host: localhost\r\nConnection: close\r\n\r\n")
    return client


def _finish(client: socket.socket, expected: bytes) -> None:
    with client:
        answer = b"".join(iter(lambda: client.recv(PIECE), b""))
    if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"\r\n\r\n" + expected):
        raise RuntimeError(f"unexpected answer: {answer[:200]!r}")


def upload(server: Server, size: int) -> None:
    """Send a body of known length."""
    piece = memoryview(bytes(PIECE))
    client = _begin(server, b"POST / HTTP/1.1\r\nContent-Length: %d\r\n" % size)
    left = size
    while left:
        client.sendall(piece[:left])
        left -= min(left, PIECE)
    _finish(client, b"%d" % size)


def upload_chunks(server: Server, size: int) -> None:
    """Send a body in chunks of 64 KiB."""
    chunk = b"%x\r\n%b\r\n" % (CHUNK, bytes(CHUNK))
    pieces = chunk * (PIECE // CHUNK)
    client = _begin(server, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n")
    for _ in range(size // PIECE):
        client.sendall(pieces)
    client.sendall(b"0\r\n\r\n")
    _finish(client, b"%d" % size)


def download(server: Server, size: int) -> None:
    """Receive a file."""
    buffer = bytearray(PIECE)
    with _begin(server, b"GET / HTTP/1.1\r\n") as client:
        received = 0
        while count := client.recv_into(buffer):
            received += count
    if received < size:
        raise RuntimeError(f"the download ended after {received} octets")


KINDS: dict[str, Callable[[Server, int], None]] = {
    "upload": upload,
    "chunked": upload_chunks,
    "download": download,
}


def measure(kind: str, server: Server, size: int) -> Sample:
    """Transfer once."""
    before, began = cpu.task_times(server.pid), time.monotonic()
    KINDS[kind](server, size)
    seconds = time.monotonic() - began
    spent = cpu.spent(before, cpu.task_times(server.pid))
    return Sample(kind, server.name, seconds, spent / 1e9)


def table(kind: str, samples: list[Sample], size: int) -> str:
    """Return the medians of one kind, and their ratios to the reference in the same rounds."""
    by_server: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.kind == kind:
            by_server.setdefault(sample.server, []).append(sample)
    reference = by_server[REFERENCE]
    lines = [
        f"| {kind} | MiB/s | CPU s/GiB | times {REFERENCE}'s rate | its CPU / this |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, own in by_server.items():
        pairs = list(zip(own, reference, strict=True))
        lines.append(
            f"| {name} | {size / MIB / median(s.seconds for s in own):,.0f} "
            f"| {median(s.cpu_seconds for s in own) * (1 << 30) / size:.2f} "
            f"| {median(r.seconds / s.seconds for s, r in pairs):.2f} "
            f"| {median(r.cpu_seconds / s.cpu_seconds for s, r in pairs):.2f} |"
        )
    return "\n".join(lines) + "\n"


def _end(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1024, help="MiB of each transfer")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--servers", help="comma-separated, the reference added")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _end)  # so that the servers are ended
    size = options.size * MIB
    names = [*options.servers.split(","), REFERENCE] if options.servers else None
    chosen = [peer for peer in servers(size) if names is None or peer.name in names]
    placement = Placement(0, min(1, (os.cpu_count() or 1) - 1), options.python)
    placement.pin_load()
    DOWNLOAD.parent.mkdir(parents=True, exist_ok=True)
    with DOWNLOAD.open("wb") as file:
        file.truncate(size)  # a hole, which reads as zeros from memory
    samples: list[Sample] = []
    try:
        with contextlib.ExitStack() as stack:
            alive = [stack.enter_context(serving(peer, "transfer", placement)) for peer in chosen]
            for kind in options.kinds.split(","):
                for number in range(options.rounds):
                    for place in range(len(alive)):
                        server = alive[(place + number) % len(alive)]
                        samples.append(measure(kind, server, size))
                print(table(kind, samples, size))
    finally:
        DOWNLOAD.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
