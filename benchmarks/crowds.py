"""Fast requests among slow clients, the application at work: ``python -m benchmarks.crowds``.

``slow``     800 clients: 400 send a head at one octet a second, 200 a body at one kilobyte a
             second, and 200 take nothing of ten megabytes
``readers``  500 clients that take nothing of ten megabytes each

Meanwhile one client has the application work for 20 ms, ten times a second, and eight others ask
for what is fast, 50 times a second each. What one takes counts from when it was due.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from statistics import median

from benchmarks import cpu, fleet
from benchmarks.overload import Memory
from benchmarks.pace import Book, Pace, Plan, percentile
from benchmarks.server import Placement, Server, serving
from tests.e2e.crowd import crowd, leave

CROWDS = {
    "slow": {"slow_head": 400, "slow_body": 200, "no_reader": 200},
    "readers": {"no_reader": 500},
}
PEERS = (
    fleet.monoceros(1, 1, "--header-timeout", "60"),
    fleet.monoceros(1, 2, "--header-timeout", "60"),
    fleet.monoceros(1, 4, "--header-timeout", "60"),
)
WORK = {"sleep": "/sleep/20", "Python": "/spin/20"}
HEAD = (
    *("server", "crowd", "work", "fast p50", "p99", "slowest", "lost", "misplaced"),
    *("memory before MiB", "peak MiB", "files MiB", "crowd at the end"),
)


def plans(work: str) -> list[Plan]:
    """Return the lanes."""
    fast = [Plan("fast", "/fast", 0.02, 0.0025 * place) for place in range(8)]
    return [*fast, Plan("work", work, 0.1, 0.05)]


def spooled_mib(pid: int) -> float:
    """Return what unlinked files of a tree of processes take on disk."""
    sizes = {}
    for process in (pid, *cpu.children(pid)):
        for entry in Path(f"/proc/{process}/fd").iterdir():
            try:
                if str(entry.readlink()).endswith(" (deleted)"):
                    status = entry.stat()
                    sizes[status.st_dev, status.st_ino] = 512 * status.st_blocks
            except FileNotFoundError:
                continue  # closed meanwhile
    return sum(sizes.values()) / 2**20


def _run(server: Server, name: str, work: str, rounds: int, seconds: float) -> str:
    memory = Memory(server.pid)
    memory.start()
    with crowd(("127.0.0.1", server.port), **CROWDS[name]) as members:
        books = [Pace(server.port, plans(WORK[work])).run(seconds) for _ in range(rounds)]
        files = spooled_mib(server.pid)
        found = leave(members)
    memory.stop()
    cells = [
        *(server.name, name, work),
        *(_middle(books, part) for part in (0.5, 0.99, 1.0)),
        str(sum(book.lost for book in books)),
        str(sum(book.misplaced for book in books)),
        *(f"{memory.first:.1f}", f"{memory.peak:.1f}", f"{files:.0f}"),
        ", ".join(f"{kind} {counts}" for kind, counts in found.items()),
    ]
    return f"| {' | '.join(cells)} |"


def _middle(books: list[Book], part: float) -> str:
    return f"{median(percentile(book.taken('fast'), part) for book in books):.2f}"


def _end(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Print the table; each crowd meets a fresh server."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crowds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("crowds", nargs="*", metavar="NAME", help=f"of {', '.join(CROWDS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--servers", default="", help="only those whose name begins like this")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    if unknown := set(options.crowds) - CROWDS.keys():
        parser.error(f"no {', '.join(sorted(unknown))}; there are: {', '.join(CROWDS)}")
    signal.signal(signal.SIGTERM, _end)  # so that the servers are ended
    placement = Placement(None, own_python=options.python)
    print(f"| {' | '.join(HEAD)} |\n|---|---|---|{'--:|' * (len(HEAD) - 3)}")
    for peer in PEERS:
        if not peer.name.startswith(tuple(options.servers.split(","))):
            continue
        for name in options.crowds or CROWDS:
            for work in WORK:
                with serving(peer, fleet.APP, placement) as server:
                    row = _run(server, name, work, options.rounds, options.seconds)
                print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
