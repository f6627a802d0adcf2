"""Counts user instructions per request with callgrind: ``python -m benchmarks.instructions``.

The count does not depend on what else the machine does. Start and stop cancel out: the same
server serves two numbers of requests, and the difference of the totals is divided by that of the
requests. Only the processes that serve count, not a parent that supervises them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import cpu, load
from benchmarks.load import LOADS, Load
from benchmarks.peers import PEERS, Peer, select
from benchmarks.server import Placement, StartError, serving

START_SECONDS = 120.0
RUN_SECONDS = 120.0


class CountError(RuntimeError):
    """A run gave no usable count."""


def _total(path: Path) -> int:
    """Return the instructions of one callgrind output file."""
    for line in path.read_text("utf-8", "replace").splitlines():
        if line.startswith(("summary:", "totals:")):
            return int(line.split()[1])
    raise CountError(f"{path.name} holds no total: the server was killed before it could write")


def total(peer: Peer, target: Load, requests: int, connections: int, placement: Placement) -> int:
    """Return the user instructions of a server's whole life with that many requests."""
    with tempfile.TemporaryDirectory() as directory:
        output = f"--callgrind-out-file={directory}/out.%p"
        wrapper = ("valgrind", "--tool=callgrind", "--trace-children=yes", output)
        with serving(peer, target.app, placement, wrapper, START_SECONDS) as server:
            count = load.run(
                target, server.port, RUN_SECONDS, requests=requests, connections=connections
            )
            serving_pids = cpu.children(server.pid) or [server.pid]
        if count.requests != requests or count.errors:
            raise CountError(f"{count.requests} of {requests} answered, {count.errors} errors")
        paths = [Path(directory) / f"out.{pid}" for pid in serving_pids]
        if missing := [path.name for path in paths if not path.exists()]:
            raise CountError(f"callgrind wrote no {', '.join(missing)}")
        return sum(map(_total, paths))


def per_request(
    peer: Peer, target: Load, requests: int, connections: int, placement: Placement
) -> float:
    """Return user instructions per request: the difference of ``requests`` and three times it."""
    less = total(peer, target, requests, connections, placement)
    more = total(peer, target, 3 * requests, connections, placement)
    return (more - less) / (2 * requests)


def main(argv: list[str] | None = None) -> int:
    """Print a table of instructions per request; the exit code counts what could not be had."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--servers", default="monoceros-c", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--loads", default="hello,browser20", help=f"of {', '.join(LOADS)}")
    parser.add_argument("--requests", type=int, default=4000, help="of the shorter run")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed (Debian: valgrind)")
    placement = Placement(own_python=options.python)
    placement.pin_load()
    names = options.loads.split(",")
    failures = 0
    print(f"| server | {' | '.join(names)} |\n|---|{'--:|' * len(names)}")
    for peer in select(options.servers):
        cells = []
        for name in names:
            counts = (LOADS[name], options.requests, options.connections, placement)
            try:
                cells.append(f"{per_request(peer, *counts):,.0f}")
            except (CountError, StartError) as error:
                failures += 1
                cells.append(f"none ({error})")
        print(f"| {peer.name} | {' | '.join(cells)} |", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
