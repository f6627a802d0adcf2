"""How much of FastAPI's cost is the server's: ``python -m benchmarks.floor``.

In each round the application is called without a server (``benchmarks.inside``), and each server
has one slice of the load ``fastapi``, all on the same processor in turns. No server can cost less
than the application alone: the last row's ratio is that of a server which costs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from statistics import median

from benchmarks.compare import measure
from benchmarks.load import LOADS
from benchmarks.paths import PROJECT
from benchmarks.peers import PEERS, Peer, select
from benchmarks.server import Placement, Server, environment, serving

LOAD = LOADS["fastapi"]
SERVER_CPU = 0
SERVERS = "monoceros-asgi-uvloop,uvicorn-uvloop,granian-asgi,raw-asgi"
HEAD = ("server", "CPU us/req", "less the application", "share of the server", "reference / this")


def inside(placement: Placement, loop: str, seconds: float) -> float:
    """Return the microseconds of a call of the application alone."""
    done = subprocess.run(
        [placement.own_python, "-m", "benchmarks.inside", LOAD.app, loop, str(seconds)],
        cwd=PROJECT,
        env=environment(PEERS["monoceros-asgi-uvloop"]),
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CPU}),
        check=True,
        timeout=seconds + 30,
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found["cpu_ns"] / found["calls"] / 1000


def _row(name: str, costs: list[float], alone: list[float], reference: list[float]) -> str:
    own = [cost - floor for cost, floor in zip(costs, alone, strict=True)]
    cells = [
        name,
        f"{median(costs):.1f}",
        f"{median(own):.1f}",
        f"{median(part / cost for part, cost in zip(own, costs, strict=True)):.0%}",
        f"{median(base / cost for base, cost in zip(reference, costs, strict=True)):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _end(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.floor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--servers", default=SERVERS)
    parser.add_argument("--reference", default="uvicorn-uvloop", help="one of the servers")
    parser.add_argument("--loop", default="uvloop", choices=["asyncio", "uvloop"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slice", type=float, default=1.0, help="seconds")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    chosen = select(options.servers)
    if options.reference not in [peer.name for peer in chosen]:
        parser.error(f"{options.reference} is none of the servers: {options.servers}")
    signal.signal(signal.SIGTERM, _end)  # so that the servers are ended
    placement = Placement(SERVER_CPU, min(1, (os.cpu_count() or 1) - 1), options.python)
    placement.pin_load()
    alone, costs = _measure(chosen, placement, options)
    reference = costs[options.reference]
    print(f"| {' | '.join(HEAD)} |\n|---|{'--:|' * (len(HEAD) - 1)}")
    for name, found in costs.items():
        print(_row(name, found, alone, reference))
    print(_row("none: the application alone", alone, alone, reference))
    return 0


def _measure(
    chosen: list[Peer], placement: Placement, options: argparse.Namespace
) -> tuple[list[float], dict[str, list[float]]]:
    """Return the microseconds per call of each round: alone, and by server."""
    alone: list[float] = []
    costs: dict[str, list[float]] = {peer.name: [] for peer in chosen}
    with contextlib.ExitStack() as stack:
        servers: list[Server] = [
            stack.enter_context(serving(peer, LOAD.app, placement)) for peer in chosen
        ]
        for number in range(options.rounds):
            alone.append(inside(placement, options.loop, options.slice))
            for place in range(len(servers)):
                server = servers[(place + number) % len(servers)]
                sample = measure(server, LOAD, number, options.slice)
                costs[server.name].append(sample.cost_us)
    return alone, costs


if __name__ == "__main__":
    sys.exit(main())
