"""Measures the time from the command to its first answer: ``python -m benchmarks.startup``.

The servers take turns, a fresh process each, so that drift of the machine meets all alike. The
application is hello; byte code is cached, as it is after the first start of a deployment.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time

from benchmarks.paths import PROJECT
from benchmarks.peers import Peer, select
from benchmarks.server import Placement, command_line, environment, free_port, stop

LIMIT_SECONDS = 15.0
POLL_SECONDS = 0.001
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def _first_answer(port: int, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
                client.sendall(REQUEST)
                if client.recv(64).startswith(b"HTTP/1."):
                    return
        except OSError:
            time.sleep(POLL_SECONDS)
    raise TimeoutError(f"no answer within {LIMIT_SECONDS:g} s")


def seconds_to_answer(peer: Peer, placement: Placement) -> float:
    """Start a server, wait for its first answer, end it; returns how long the answer took."""
    port = free_port()
    began = time.monotonic()
    process = subprocess.Popen(
        command_line(peer, "hello", port, placement.own_python),
        cwd=PROJECT,
        env=environment(peer),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _first_answer(port, began + LIMIT_SECONDS)
        return time.monotonic() - began
    finally:
        stop(process)


def main(argv: list[str] | None = None) -> int:
    """Print the median, the fastest and the slowest start of each server in milliseconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--servers", default="monoceros-c,monoceros-py,gunicorn-sync")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    placement = Placement(own_python=options.python)
    peers = select(options.servers)
    times: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for number in range(options.rounds + 1):
        for peer in peers:
            taken = seconds_to_answer(peer, placement)
            if number:  # the first start fills the caches
                times[peer.name].append(taken * 1000)
    print(f"{options.rounds} rounds, {os.cpu_count()} processors; milliseconds")
    print("| server | median | fastest | slowest |\n|---|--:|--:|--:|")
    for name, found in times.items():
        print(f"| {name} | {statistics.median(found):.0f} | {min(found):.0f} | {max(found):.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
