"""What becomes of fast requests beside slow ones: ``python -m benchmarks.concurrency``.

``pool``    one worker of four threads, three clients on slow calls and one on fast ones
``beside``  two workers of one thread, 16 kept connections, and a slow call every other second

The servers take turns, so that drift of the machine meets all alike; figures are medians of the
runs, in milliseconds, and counts are sums. What one takes counts from when it was due.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import fleet
from benchmarks.pace import Book, Pace, Plan, percentile
from benchmarks.server import Placement, Server, StartError, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.peers import Peer

FAST = "fast"
LANES = 16
PERIOD_SECONDS = 0.02  # between two fast requests of a lane


class Case(NamedTuple):
    """One load and the servers it is put on."""

    name: str
    plans: list[Plan]
    peers: list[Peer]
    describe: Callable[[list[Book]], list[str]]


def _middle(books: Iterable[Book], part: float) -> str:
    return f"{median(percentile(book.taken(FAST), part) for book in books):.2f}"


def _rate(books: Iterable[Book], kind: str) -> str:
    return f"{median(len(book.taken(kind)) / (book.ended - book.began) for book in books):,.0f}"


def _counts(books: list[Book]) -> list[str]:
    return [str(sum(book.lost for book in books)), str(sum(book.misplaced for book in books))]


def _describe_pool(books: list[Book]) -> list[str]:
    times = [_middle(books, part) for part in (0.5, 0.99, 1.0)]
    return [*times, _rate(books, FAST), _rate(books, "slow"), *_counts(books)]


def _describe_beside(books: list[Book]) -> list[str]:
    taken = [one for book in books for one in book.taken(FAST)]
    return [
        *(_middle(books, part) for part in (0.5, 0.99, 0.999, 1.0)),
        f"{1000 * max(taken, default=0.0):.1f}",
        str(sum(one > 0.1 for one in taken)),
        str(len(taken)),
        *_counts(books),
        f"{1000 * median(one for book in books for one in book.taken('slow')):.0f}",
        f"{1000 * max(book.lag for book in books):.1f}",
    ]


def _spread(count: int = LANES, period: float = PERIOD_SECONDS) -> list[Plan]:
    return [Plan(FAST, "/fast", period, period * place / count) for place in range(count)]


def _beside(name: str, *slow: Plan) -> Case:
    peers = [fleet.monoceros(2), fleet.gthread(2), fleet.granian(2), fleet.waitress()]
    return Case(name, [*_spread(), *slow], peers, _describe_beside)


def _pool(name: str, path: str) -> Case:
    plans = [Plan("slow", path)] * 3 + [Plan(FAST, "/fast")]
    peers = [fleet.monoceros(1, 4), fleet.gthread(1, 4), fleet.granian(1, 4)]
    return Case(name, plans, peers, _describe_pool)


CASES = {
    "pool": (
        _pool("1 worker x 4 threads, 3 clients on sleep(50 ms)", "/sleep/50"),
        _pool("1 worker x 4 threads, 3 clients on 20 ms of Python", "/spin/20"),
    ),
    "beside": (
        _beside("a call that sleeps 1 s every 2 s", Plan("slow", "/sleep/1000", 2.0, 0.3)),
        _beside("300 ms of Python every 2 s", Plan("slow", "/spin/300", 2.0, 0.3)),
        _beside(
            "both, one after the other",
            Plan("slow", "/sleep/1000", 2.0, 0.1),
            Plan("slow", "/spin/300", 2.0, 1.3),
        ),
        _beside(
            "300 ms in one call that holds the GIL, every 2 s", Plan("slow", "/hold/300", 2.0, 0.3)
        ),
    ),
}
HEADS = {
    "pool": ("fast p50", "fast p99", "slowest", "fast/s", "slow/s", "lost", "misplaced"),
    "beside": (
        *("fast p50", "p99", "p99.9", "slowest (median)", "slowest of all", "over 100 ms"),
        *("fast", "lost", "misplaced", "slow calls took", "client's lag"),
    ),
}


def measure(case: Case, rounds: int, seconds: float, placement: Placement) -> dict[str, list[Book]]:
    """Put the load on each server in turn, ``rounds`` times; names what does not start."""
    books: dict[str, list[Book]] = {}
    with contextlib.ExitStack() as stack:
        servers: list[Server] = []
        for peer in case.peers:
            try:
                servers.append(stack.enter_context(serving(peer, fleet.APP, placement)))
            except StartError as error:
                print(f"- {peer.name}: {error}")
        for number in range(rounds):
            for place in range(len(servers)):
                server = servers[(place + number) % len(servers)]
                book = Pace(server.port, case.plans).run(seconds)
                books.setdefault(server.name, []).append(book)
    return {server.name: books[server.name] for server in servers if server.name in books}


def show(case: Case, head: tuple[str, ...], found: dict[str, list[Book]]) -> None:
    """Print one table."""
    print(f"\n### {case.name}\n\n| server | {' | '.join(head)} |\n|---|{'--:|' * len(head)}")
    for name, books in found.items():
        print(f"| {name} | {' | '.join(case.describe(books))} |", flush=True)


def _end(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.concurrency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    parser.add_argument("--servers", default="", help="only those whose name begins like this")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    if unknown := set(options.names) - CASES.keys():
        parser.error(f"no {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}")
    signal.signal(signal.SIGTERM, _end)  # so that the servers are ended
    placement = Placement(None, own_python=options.python)
    for name in options.names or CASES:
        for case in CASES[name]:
            wanted = tuple(options.servers.split(","))
            chosen = case._replace(peers=[p for p in case.peers if p.name.startswith(wanted)])
            show(chosen, HEADS[name], measure(chosen, options.rounds, options.seconds, placement))
    return 0


if __name__ == "__main__":
    sys.exit(main())
