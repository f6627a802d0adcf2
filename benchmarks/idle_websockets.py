"""What an idle WebSocket takes in memory: ``python -m benchmarks.idle_websockets``.

A fresh server per round, all servers in turns. Some connections come and go first, so that whatever
is loaded once is there. Then each connection has one message come back to it, says nothing more but
answers to pings, and is closed in the end. Memory is the proportional set size of all processes of
a server: before, with all connections open, and after the server has closed the last one. What the
kernel keeps for a connection is not in it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import selectors
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks import cpu
from benchmarks.load import LOADS, MESSAGE_BYTES
from benchmarks.peers import Peer, select
from benchmarks.report import Held, ratios
from benchmarks.server import Placement, Server, StartError, serving

NAME = "idle_websockets"
SERVERS = "monoceros-asgi-uvloop,uvicorn-uvloop,monoceros-asgi-asyncio,uvicorn-asyncio"
REFERENCES = ("uvicorn-uvloop", "uvicorn-asyncio")
SPARE_FILES = 100
WARM = 100  # connections
TIMEOUT_S = 30.0
SETTLE_S = 2.0
MASK = bytes(4)  # of zeros, which leave a payload as it is
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
MESSAGE = bytes((TEXT, 0x80 | MESSAGE_BYTES)) + MASK + b"x" * MESSAGE_BYTES
ECHO = bytes((TEXT, MESSAGE_BYTES)) + b"x" * MESSAGE_BYTES
GOODBYE = bytes((CLOSE, 0x82)) + MASK + (1000).to_bytes(2, "big")
HEAD = ("server", "bytes per connection", "reference / this", "before MiB", "with all", "after")


class ClientError(RuntimeError):
    """A server did not do what it should."""


def memory(pid: int) -> int:
    """Return the proportional set size of a process and those below it, in bytes."""
    kib = 0
    for one in (pid, *cpu.children(pid)):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib * 1024


def sockets(pid: int) -> int:
    """Return how many sockets a process and those below it have open."""
    count = 0
    for one in (pid, *cpu.children(pid)):
        for entry in Path(f"/proc/{one}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += str(entry.readlink()).startswith("socket:")
    return count


def _open(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    client.sendall(LOADS["websocket"].octets)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _some(client)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ClientError(f"the handshake was answered by {head[:80]!r}")
    client.sendall(MESSAGE)
    echo = b""
    while len(echo) < len(ECHO):
        echo += _some(client)
    if echo != ECHO:
        raise ClientError(f"the message came back as {echo[:20]!r}")
    return client


def _some(client: socket.socket) -> bytes:
    data = client.recv(4096)
    if not data:
        raise ClientError("the server has closed a connection")
    return data


class Clients:
    """Many open WebSockets, whose pings a thread answers."""

    def __init__(self) -> None:
        self._members: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self.lost = 0

    def open(self, port: int, count: int) -> None:
        """Open them one after another."""
        self._thread.start()
        for _ in range(count):
            client = _open(port)
            self._members.append(client)
            self._selector.register(client, selectors.EVENT_READ)

    def _answer(self) -> None:
        while not self._is_over.is_set():
            for key, _ in self._selector.select(0.1):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                self._take(client)

    def _take(self, client: socket.socket) -> None:
        data = client.recv(4096)
        if data[:1] == bytes((PING,)) and len(data) == 2 + data[1]:
            client.sendall(bytes((PONG, 0x80 | data[1])) + MASK + data[2:])
        else:
            self._selector.unregister(client)
            self.lost += 1

    def close(self) -> None:
        """Say goodbye for all of them, and wait until the server has closed every one."""
        self._is_over.set()
        self._thread.join()
        self._selector.close()
        for client in self._members:
            client.sendall(GOODBYE)
        for client in self._members:
            with contextlib.suppress(ConnectionResetError):
                while client.recv(4096):
                    continue
            client.close()


def _await_sockets(pid: int, count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while sockets(pid) > count:
        if time.monotonic() > deadline:
            raise ClientError(f"{sockets(pid)} sockets are open instead of {count}")
        time.sleep(0.1)


def _visit(server: Server, count: int, number: int) -> Held:
    """Open and close ``count`` WebSockets."""
    none = sockets(server.pid)
    before = memory(server.pid)
    clients = Clients()
    clients.open(server.port, count)
    time.sleep(SETTLE_S)
    held = memory(server.pid)
    if clients.lost:
        raise ClientError(f"{clients.lost} connections were not left alone")
    clients.close()
    _await_sockets(server.pid, none)
    time.sleep(SETTLE_S)
    return Held(NAME, server.name, number, count, before, held, memory(server.pid))


def measure(peer: Peer, placement: Placement, count: int, number: int) -> Held:
    """Measure a fresh server."""
    with serving(peer, "echo", placement) as server:
        _visit(server, WARM, number)
        return _visit(server, count, number)


def prepared(peer: Peer, count: int) -> Peer:
    """Return a server that takes as many connections."""
    if not peer.name.startswith("monoceros"):
        return peer
    limit = ("--worker-connections", str(count + SPARE_FILES))
    return dataclasses.replace(peer, command=(*peer.command[:-1], *limit, peer.command[-1]))


def _row(own: list[Held], held: list[Held]) -> str:
    loop = own[0].server.rpartition("-")[2]
    base = [one for one in held if one.server in REFERENCES and one.server.endswith(loop)]
    found = ratios(own, base)
    cells = [
        own[0].server,
        f"{median(one.cost for one in own):,.0f}",
        f"{median(found):.2f}" if found else "-",
        *(
            f"{median(part) / 2**20:.1f}"
            for part in zip(*((one.before, one.held, one.after) for one in own), strict=True)
        ),
    ]
    return f"| {' | '.join(cells)} |"


def _raise_limit(files: int) -> bool:
    """Let this process and the servers have as many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return files <= hard


def _end(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Print the table; the exit code counts the rounds that could not be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.idle_websockets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--servers", default=SERVERS)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    chosen = [prepared(peer, options.connections) for peer in select(options.servers)]
    if not _raise_limit(options.connections + SPARE_FILES):
        parser.error("the limit of open files is too low for as many connections: ulimit -Hn")
    signal.signal(signal.SIGTERM, _end)  # so that the servers are ended
    placement = Placement(0, min(1, (os.cpu_count() or 1) - 1), options.python)
    placement.pin_load()
    held, failures = [], 0
    for number in range(options.rounds):
        for place in range(len(chosen)):
            peer = chosen[(place + number) % len(chosen)]
            try:
                held.append(measure(peer, placement, options.connections, number))
            except (ClientError, StartError, OSError) as error:
                failures += 1
                print(f"{peer.name}: {error}", file=sys.stderr)
    print(f"| {' | '.join(HEAD)} |\n|---|{'--:|' * (len(HEAD) - 1)}")
    for peer in chosen:
        if own := [one for one in held if one.server == peer.name]:
            print(_row(own, held))
    if options.json:
        data = {"held": [asdict(one) for one in held]}
        options.json.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    return failures


if __name__ == "__main__":
    sys.exit(main())
