"""Uses connections again at the moment in which they may be closed.

``python -m benchmarks.idle_boundary`` sends POST requests, which proxies do not repeat, through
real nginx and HAProxy, or without a proxy. Each goes out after a pause that ends around the time at
which idle connections are closed. The application answers its peer's port, so that a connection
that was used again can be told from a new one. What must not be there are the last three columns:
answers of the proxy's own (502), connections that end without an answer, and resets.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.peers import PEERS, Peer
from benchmarks.proxies import proxying
from benchmarks.server import Placement, StartError, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER_SECONDS = 30.0
LONG_SECONDS = 60.0
OUTCOMES = ("reused", "new", "5xx", "cut", "reset")


class Scene(NamedTuple):
    """A server, how long the proxy keeps idle connections, and the pauses between requests."""

    server: str
    options: tuple[str, ...]
    proxy_idle_s: float
    shortest_s: float
    longest_s: float


SCENES = {
    # The proxy is trusted, as it is on the same machine, and closes after a second.
    "defaults": Scene("monoceros-c", (), 1.0, 0.95, 1.05),
    "defaults-py": Scene("monoceros-py", (), 1.0, 0.95, 1.05),
    # The time that clients are told.
    "told": Scene("monoceros-c", ("--keep-alive", "1"), LONG_SECONDS, 0.95, 1.05),
    # Two seconds later connections are closed, by a look once a second.
    "set": Scene("monoceros-c", ("--keep-alive", "1"), LONG_SECONDS, 2.9, 4.1),
    "gunicorn": Scene("gunicorn-gthread", ("--keep-alive", "2"), LONG_SECONDS, 1.95, 2.05),
}


class Lane:
    """One client, whose requests come one at a time after a pause."""

    def __init__(self, number: int, port: int, scene: Scene) -> None:
        self._number = number
        self._port = port
        self._scene = scene
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._peer = b""

    async def run(self, seen: Counter[str], tries: int) -> None:
        """Try until all lanes together have tried so often."""
        await asyncio.sleep(random.uniform(0, self._scene.longest_s))
        await self._ask()
        while seen.total() < tries:
            await asyncio.sleep(random.uniform(self._scene.shortest_s, self._scene.longest_s))
            seen[await self._try()] += 1
        self._drop()

    async def _try(self) -> str:
        # A client without a proxy sees for itself that the server has closed.
        if self._streams is not None and self._streams[0].at_eof():
            self._drop()
        before = self._peer
        try:
            status = await self._ask()
        except ConnectionResetError:
            outcome = "reset"
        except (EOFError, BrokenPipeError):
            outcome = "cut"
        else:
            if status >= 500:
                return "5xx"
            return "reused" if self._peer == before else "new"
        self._drop()
        return outcome

    async def _ask(self) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            b"POST /%d/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi" % self._number
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_SECONDS)
        lines = head.lower().split(b"\r\n")
        status = int(lines[0].split()[1])
        length = next(line for line in lines if line.startswith(b"content-length:"))
        self._peer = await reader.readexactly(int(length.partition(b":")[2]))
        if b"connection: close" in lines:
            self._drop()
        return status

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _drive(scene: Scene, port: int, lanes: int, tries: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    await asyncio.gather(*(Lane(number, port, scene).run(seen, tries) for number in range(lanes)))
    return seen


@contextlib.contextmanager
def _entrance(proxy: str, server_port: int, lanes: int, scene: Scene) -> Iterator[int]:
    if proxy == "none":
        yield server_port
    else:
        with proxying(proxy, server_port, lanes, scene.proxy_idle_s) as port:
            yield port


def _peer(scene: Scene) -> Peer:
    peer = PEERS[scene.server]
    return replace(peer, command=(*peer.command[:-1], *scene.options, peer.command[-1]))


def measure(scene: Scene, proxy: str, lanes: int, tries: int, own_python: str) -> Counter[str]:
    """Return how often each outcome was seen; raises ``StartError``."""
    placement = Placement(own_python=own_python)
    with (
        serving(_peer(scene), "peer_port", placement) as server,
        _entrance(proxy, server.port, lanes, scene) as port,
    ):
        return asyncio.run(_drive(scene, port, lanes, tries))


def main(argv: list[str] | None = None) -> int:
    """Print a table; the exit code counts what could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle_boundary", description=__doc__)
    parser.add_argument("--scenes", default=",".join(SCENES))
    parser.add_argument("--proxies", default="nginx,haproxy", help="of nginx, haproxy and none")
    parser.add_argument("--tries", type=int, default=10_000, help="of each row")
    parser.add_argument("--lanes", type=int, default=400, help="connections at a time")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    failures = 0
    print(f"| scene | proxy | {' | '.join(OUTCOMES)} |\n|---|---|{'--:|' * len(OUTCOMES)}")
    for name in options.scenes.split(","):
        for proxy in options.proxies.split(","):
            try:
                seen = measure(SCENES[name], proxy, options.lanes, options.tries, options.python)
            except StartError as error:
                failures += 1
                print(f"| {name} | {proxy} | none ({error}) |", flush=True)
                continue
            cells = " | ".join(str(seen[outcome]) for outcome in OUTCOMES)
            print(f"| {name} | {proxy} | {cells} |", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
