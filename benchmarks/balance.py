"""Whether all workers are at work while requests wait: ``python -m benchmarks.balance``.

64 kept connections. Under full loads they ask again as soon as they have their answers, so that
more requests wait than there are workers at any time: *of the ideal* is the work in the answers,
by what each call takes on its own, divided by workers times time. Under the paced load they ask at
set times for seven tenths of what the workers can do. The scoreboard, looked at every
millisecond, tells when workers were idle; *beside idle* is for how long a request waited while
one was. Calls sleep where nothing else is said: so many workers can do that at once on any machine.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from array import array
from bisect import bisect
from functools import cache
from statistics import median
from typing import NamedTuple

from benchmarks import apps, fleet
from benchmarks.pace import Book, Pace, Plan, percentile
from benchmarks.paths import BUILD
from benchmarks.peers import Peer
from benchmarks.server import Placement, Server, StartError, serving

RUNNING = 2  # State in monoceros.scoreboard
EDGE_SECONDS = 0.3  # left out at both ends of a run
LONG_SECONDS = 0.005
LOADS = {
    "sleep 1 ms": [Plan("/sleep/1", "/sleep/1")] * 64,
    "56 x 1 ms, 7 x 20 ms, 1 x 200 ms": (
        [Plan("/sleep/1", "/sleep/1")] * 56
        + [Plan("/sleep/20", "/sleep/20")] * 7
        + [Plan("/sleep/200", "/sleep/200")]
    ),
    "paced": [
        *(Plan("/sleep/1", "/sleep/1", 0.1, 0.0017 * place) for place in range(60)),
        *(Plan("/sleep/20", "/sleep/20", 0.1, 0.03 + 0.05 * place) for place in range(2)),
        *(Plan("/sleep/200", "/sleep/200", 1.0, 0.2 + 0.45 * place) for place in range(2)),
    ],
    "1 ms of Python": [Plan("/spin/1", "/spin/1")] * 64,
}
HEAD = (
    *("server", "load", "req/s", "of the ideal", "p50 ms", "p99 ms", "lost", "misplaced"),
    *("in calls", "idle", "longest ms beside idle", f"over {1000 * LONG_SECONDS:g} ms"),
)
Span = tuple[float, float]  # time.monotonic() seconds


class Idleness(NamedTuple):
    """What the scoreboard showed: parts of the workers' time, and waits beside an idle one."""

    in_calls: float
    idle: float
    beside: list[float]  # seconds, of each request


def sampled(workers: int) -> Peer:
    """Return this server with the process that looks at its scoreboard."""
    name = f"monoceros-{workers}x1"
    peer = fleet.monoceros(workers, 1, "--config", "python:benchmarks.sampled", name=name)
    samples = ("BENCHMARK_SAMPLES", str(BUILD / f"{name}.samples"))
    return Peer(peer.name, peer.command, environment=(*peer.environment, samples))


@cache
def work_seconds(path: str) -> float:
    """Return what a call takes on its own."""
    _, name, number = path.split("/")
    times = []
    for _ in range(20):
        began = time.monotonic()
        apps.WORK[name](int(number))
        times.append(time.monotonic() - began)
    return min(times)  # what a busy machine adds is not its own


def read_idleness(server: Server, workers: int, book: Book) -> Idleness:
    """Return what the workers did in the middle of a run."""
    numbers = array("Q", (BUILD / f"{server.name}.samples").read_bytes())
    width = 1 + 3 * workers
    begin, end = (
        round(1e9 * moment) for moment in (book.began + EDGE_SECONDS, book.ended - EDGE_SECONDS)
    )
    rows = [numbers[at : at + width] for at in range(0, len(numbers) - width + 1, width)]
    rows = [row for row in rows if begin <= row[0] <= end]
    spans = [_idle_spans(rows, 1 + 3 * worker) for worker in range(workers)]
    whole = (rows[-1][0] - rows[0][0]) / 1e9 * workers
    in_calls = sum(rows[-1][3 + 3 * place] - rows[0][3 + 3 * place] for place in range(workers))
    idle = sum(end - begin for group in spans for begin, end in group)
    return Idleness(in_calls / 1e9 / whole, idle / whole, _beside(book, spans))


def _idle_spans(rows: list[array[int]], at: int) -> list[Span]:
    """Return the times in which a worker began nothing and ran nothing."""
    spans = []
    since: tuple[int, int] | None = None  # the time of the first look and the requests until then
    last = 0
    for row in rows:
        is_idle = row[at] != RUNNING
        if since is not None and not (is_idle and row[at + 1] == since[1]):
            spans.append((since[0] / 1e9, last / 1e9))
            since = None
        if since is None and is_idle:
            since = (row[0], row[at + 1])
        last = row[0]
    return [*spans, *([(since[0] / 1e9, last / 1e9)] if since is not None else [])]


def _beside(book: Book, spans: list[list[Span]]) -> list[float]:
    """Return for how long each request waited, at a stretch, while one worker was idle."""
    costs = _costs(book)
    found = []
    for one in book.asked:
        begin, end = one.sent, one.done - costs[one.kind]
        longest = 0.0
        for group in spans:
            for at in range(max(0, bisect(group, (begin,)) - 1), len(group)):
                if group[at][0] >= end:
                    break
                longest = max(longest, min(end, group[at][1]) - max(begin, group[at][0]))
        found.append(longest)
    return found


def _costs(book: Book) -> dict[str, float]:
    return {kind: work_seconds(kind) for kind in {one.kind for one in book.asked}}


def _work(book: Book) -> float:
    costs = _costs(book)
    return sum(costs[one.kind] for one in book.asked if one.status and one.done <= book.ended)


def _row(server: Server, load: str, workers: int, books: list[Book], found: list[Idleness]) -> str:
    seconds = books[0].ended - books[0].began
    answered = [[one for one in book.asked if one.status] for book in books]
    waits = sorted(one.wait for group in answered for one in group)
    cells = [
        server.name,
        load,
        f"{median(len(group) / seconds for group in answered):,.0f}",
        f"{median(_work(book) / seconds / workers for book in books):.3f}",
        f"{percentile(waits, 0.5):.1f}",
        f"{percentile(waits, 0.99):.1f}",
        str(sum(book.lost for book in books)),
        str(sum(book.misplaced for book in books)),
    ]
    if found:
        cells += [
            f"{median(one.in_calls for one in found):.3f}",
            f"{median(one.idle for one in found):.3f}",
            f"{1000 * median(max(one.beside) for one in found):.1f}",
            str(sum(wait > LONG_SECONDS for one in found for wait in one.beside)),
        ]
    return f"| {' | '.join(cells)} |"


def compare(workers: int, rounds: int, seconds: float, placement: Placement) -> None:
    """Print the rows for so many workers; the servers take turns."""
    with contextlib.ExitStack() as stack:
        servers = []
        for peer in (sampled(workers), fleet.gthread(workers), fleet.granian(workers)):
            try:
                servers.append(stack.enter_context(serving(peer, fleet.APP, placement)))
            except StartError as error:
                print(f"- {peer.name}: {error}")
        for load, plans in LOADS.items():
            books: dict[Server, list[Book]] = {server: [] for server in servers}
            for _ in range(rounds):
                for server in servers:
                    books[server].append(Pace(server.port, plans).run(seconds))
            time.sleep(2.0)  # the last samples are written
            for server in servers:
                ours = server.name.startswith("monoceros")
                found = [read_idleness(server, workers, one) for one in books[server] if ours]
                print(_row(server, load, workers, books[server], found), flush=True)


def _end(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.balance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _end)  # so that the servers are ended
    print(f"| {' | '.join(HEAD)} |\n|---|---|{'--:|' * (len(HEAD) - 2)}")
    for workers in options.workers:
        compare(workers, options.rounds, options.seconds, Placement(None, 0, options.python))
    return 0


if __name__ == "__main__":
    sys.exit(main())
