"""What hello costs in this build and in another one: ``python -m benchmarks.builds DIRECTORY``.

DIRECTORY is another working copy of the project, built in place; its sources take the place of
this one's in the environment of its server. Both serve with one thread and, where they can, with
four; then they are left alone, and what they spend without a request is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks import cpu, fleet, load, report
from benchmarks.compare import Comparison
from benchmarks.load import LOADS
from benchmarks.paths import PROJECT
from benchmarks.peers import Peer
from benchmarks.server import Placement, Server, StartError, serving

SETTLE_SECONDS = 2.0


def peer_of(directory: Path, name: str, threads: int) -> Peer:
    """Return the server of a working copy."""
    peer = fleet.monoceros(1, threads, name=name)
    path = os.pathsep.join([str(directory / "src"), str(PROJECT)])
    return Peer(peer.name, peer.command, environment=(*peer.environment, ("PYTHONPATH", path)))


def idle_cost(server: Server, seconds: float) -> float:
    """Return the milliseconds of processor time per second that a server spends on nothing."""
    before = cpu.task_times(server.pid)
    time.sleep(seconds)
    return cpu.spent(before, cpu.task_times(server.pid)) / 1e6 / seconds


def show_idle(peers: list[Peer], placement: Placement, seconds: float) -> None:
    """Print what servers spend on nothing, after they have served."""
    print(f"\nIdle for {seconds:g} s:\n\n| server | CPU ms/s |\n|---|--:|")
    for peer in peers:
        with contextlib.suppress(StartError), serving(peer, "hello", placement) as server:
            load.run(LOADS["hello"], server.port, 0.5)
            time.sleep(SETTLE_SECONDS)
            print(f"| {peer.name} | {idle_cost(server, seconds):.3f} |", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.builds", description=__doc__)
    parser.add_argument("directory", type=Path, help="the other working copy")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--slice", type=float, default=0.5, help="seconds")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds")
    parser.add_argument("--load", default="hello", choices=[*LOADS])
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    placement = Placement(own_python=options.python)
    placement.pin_load()
    peers = [
        peer_of(options.directory.resolve(), "other", 1),
        peer_of(PROJECT, "this", 1),
        peer_of(PROJECT, "this-4-threads", 4),
    ]
    target = LOADS[options.load]
    comparison = Comparison(placement, options.rounds, options.slice)
    comparison.run(target.app, [target], peers)
    print(report.table(target.name, comparison.samples, comparison.failures, ["other"]))
    by_name = {
        peer.name: [one for one in comparison.samples if one.server == peer.name] for peer in peers
    }
    for name in ("this", "this-4-threads"):
        found = report.ratios(by_name["other"], by_name[name])
        if found:
            print(f"{name}: {median(found):.3f} times the cost of the other one")
    show_idle(peers, placement, options.idle)
    return 0


if __name__ == "__main__":
    sys.exit(main())
