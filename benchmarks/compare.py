"""Measures servers side by side in interleaved slices: ``python -m benchmarks.compare``.

All servers of a comparison are alive at once on one processor, the load generator on another.
Every round gives each server one slice of each load, in rotating order, so that drift of the
machine meets all alike. Costs are processor time per request from the kernel's accounting.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import load, peers, report
from benchmarks.cpu import Meter
from benchmarks.load import LOADS, Load
from benchmarks.peers import Peer, select
from benchmarks.report import Failure, Sample
from benchmarks.server import Placement, Server, StartError, serving

LONGEST_SECONDS = 3600.0
DEFAULT_SERVERS = "monoceros-c,monoceros-py,raw,bjoern,fastpysgi,freastal,granian,gunicorn-gthread"


def measure(server: Server, target: Load, number: int, seconds: float) -> Sample:
    """Put one slice of load on a server."""
    meter = Meter(server.pid)
    count = load.run(target, server.port, seconds, meter=meter)
    return Sample(
        target.name,
        server.name,
        number,
        count.requests,
        count.errors,
        count.seconds,
        meter.spent_ns,
        count.p50_us,
        count.p99_us,
    )


class Comparison:
    """Collects samples and failures of the loads of one application at a time."""

    def __init__(self, placement: Placement, rounds: int, slice_seconds: float) -> None:
        self.placement = placement
        self.rounds = rounds
        self.slice_seconds = slice_seconds
        self.samples: list[Sample] = []
        self.failures: list[Failure] = []

    def run(self, app: str, targets: list[Load], chosen: list[Peer]) -> None:
        """Measure all ``chosen`` servers with ``app`` under each of ``targets``."""
        with contextlib.ExitStack() as stack:
            servers = [s for peer in chosen if (s := self._start(stack, peer, app, targets))]
            for target in targets:
                self._run_load(target, servers)

    def _start(
        self, stack: contextlib.ExitStack, peer: Peer, app: str, targets: list[Load]
    ) -> Server | None:
        try:
            if app not in peer.apps:
                raise StartError(f"does not serve the application {app}")
            return stack.enter_context(serving(peer, app, self.placement))
        except StartError as error:
            self.failures += [Failure(t.name, peer.name, str(error)) for t in targets]
            return None

    def _run_load(self, target: Load, servers: list[Server]) -> None:
        able = []
        for server in servers:
            reason = load.probe(target, server.port)
            if reason is None:
                able.append(server)
            else:
                self.failures.append(Failure(target.name, server.name, reason))
        for number in range(self.rounds):
            for place in range(len(able)):
                server = able[(place + number) % len(able)]
                self.samples.append(measure(server, target, number, self.slice_seconds))


def _by_app(targets: list[Load]) -> dict[str, list[Load]]:
    groups: dict[str, list[Load]] = {}
    for target in targets:
        groups.setdefault(target.app, []).append(target)
    return groups


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    servers = f"comma-separated, or all: {', '.join(peers.PEERS)}"
    parser.add_argument("--servers", default=DEFAULT_SERVERS, help=servers)
    parser.add_argument("--loads", default="hello", help=f"or all: {', '.join(LOADS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slice", type=float, default=1.0, help="seconds")
    parser.add_argument("--reference", default="bjoern,fastpysgi", help="the first one measured")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--load-cpu", type=int, default=min(1, (os.cpu_count() or 1) - 1))
    options = parser.parse_args(argv)
    try:
        options.chosen = select(options.servers)
    except ValueError as error:
        parser.error(str(error))
    names = list(LOADS) if options.loads == "all" else options.loads.split(",")
    if unknown := set(names) - LOADS.keys():
        parser.error(f"no load named {', '.join(sorted(unknown))}; there are: {', '.join(LOADS)}")
    options.targets = [LOADS[name] for name in names]
    seconds = len(options.chosen) * len(names) * options.rounds * (options.slice + 0.1)
    if options.rounds < 1 or options.slice <= 0 or seconds > LONGEST_SECONDS:
        parser.error(f"this would take {seconds:.0f} s; allowed: up to {LONGEST_SECONDS:.0f} s")
    print(f"about {seconds:.0f} s of measuring", file=sys.stderr)
    return options


def _end(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Run a comparison and print its tables."""
    options = _options(argv)
    signal.signal(signal.SIGTERM, _end)  # so that the servers are ended
    placement = Placement(options.server_cpu, options.load_cpu, options.python)
    placement.pin_load()
    comparison = Comparison(placement, options.rounds, options.slice)
    for app, targets in _by_app(options.targets).items():
        comparison.run(app, targets, options.chosen)
    references = options.reference.split(",")
    for target in options.targets:
        print(report.table(target.name, comparison.samples, comparison.failures, references))
    if len(options.targets) > 1:
        print(report.summary([target.name for target in options.targets], comparison.samples))
    if options.json:
        data = {
            "samples": [asdict(sample) for sample in comparison.samples],
            "failures": [asdict(failure) for failure in comparison.failures],
        }
        options.json.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
