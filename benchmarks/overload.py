"""What a server does with more than it can do: ``python -m benchmarks.overload``.

Two workers of one thread sleep 10 ms for each request, which makes 200 requests a second. Some
lanes ask for half of that all the time, and for a few seconds others ask for enough to make it
three times as much. Each lane asks at set times and waits for its answer.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from statistics import median

from benchmarks import cpu, fleet
from benchmarks.pace import Asked, Book, Pace, Plan, percentile
from benchmarks.server import Placement, serving

CALL_SECONDS = 0.01
WORKERS = 2
CAPACITY = WORKERS / CALL_SECONDS
QUIET_SECONDS = 2.0
BURST_SECONDS = 6.0
AFTER_SECONDS = 4.0
LANE_SECONDS = 3.0  # between two requests of a lane; longer than any of them may wait
NORMAL_SECONDS = 0.1  # what a request may take in quiet times
HEAD = (
    *("run", "200", "503", "lost", "longest wait of a 200, ms", "503 p50 ms", "p99 ms"),
    *("longest ms", "memory before MiB", "peak MiB", "normal again after, s"),
)


def plans() -> list[Plan]:
    """Return the lanes: half of the capacity throughout, and the rest in the burst."""
    base = round(CAPACITY / 2 * LANE_SECONDS)
    rest = round(CAPACITY * 5 / 2 * LANE_SECONDS)
    path = f"/sleep/{1000 * CALL_SECONDS:.0f}"
    return [
        *(Plan("base", path, LANE_SECONDS, LANE_SECONDS * at / base) for at in range(base)),
        *(
            Plan(
                "burst",
                path,
                LANE_SECONDS,
                QUIET_SECONDS + LANE_SECONDS * at / rest,
                QUIET_SECONDS + BURST_SECONDS,
            )
            for at in range(rest)
        ),
    ]


class Memory(threading.Thread):
    """Looks at the resident memory of a tree of processes, a few times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._end = threading.Event()
        self.first = self.peak = measure(pid)

    def run(self) -> None:
        """Look until told to stop."""
        while not self._end.wait(0.2):
            self.peak = max(self.peak, measure(self._pid))

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self.join()


def measure(pid: int) -> float:
    """Return the resident memory of a process and those below it, in MiB."""
    pages = 0
    for one in (pid, *cpu.children(pid)):
        pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def recovery(book: Book) -> float:
    """Return how long after the burst a request was still refused or slow, in seconds."""
    end = book.began + QUIET_SECONDS + BURST_SECONDS
    late = [
        one.sent - end
        for one in book.asked
        if one.sent > end and (one.status != 200 or one.wait > NORMAL_SECONDS)
    ]
    return max(late, default=0.0)


def _row(name: str, book: Book, memory: Memory) -> str:
    def waits(status: int) -> list[float]:
        return sorted(one.wait for one in book.asked if one.status == status)

    served, refused = waits(200), waits(503)
    cells = [
        name,
        str(len(served)),
        str(len(refused)),
        str(book.lost),
        f"{percentile(served, 1.0) - 1000 * CALL_SECONDS:.0f}",
        *(f"{percentile(refused, part):.0f}" for part in (0.5, 0.99, 1.0)),
        f"{memory.first:.1f}",
        f"{memory.peak:.1f}",
        f"{recovery(book):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _timeline(asked: list[Asked], began: float) -> str:
    """Return per second of the run: requests sent, 200s, 503s, and the median wait of the 200s."""
    lines = []
    for second in range(int(QUIET_SECONDS + BURST_SECONDS + AFTER_SECONDS)):
        group = [one for one in asked if second <= one.sent - began < second + 1]
        good = [one.wait for one in group if one.status == 200]
        middle = 1000 * median(good) if good else 0.0
        refused = sum(one.status == 503 for one in group)
        lines.append(f"{second:3} s: {len(group)} sent, {len(good)} x 200, {refused} x 503,")
        lines[-1] += f" median wait {middle:.0f} ms"
    return "\n".join(lines)


def _end(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overload",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", default="1", help="queue_timeout; empty for none")
    parser.add_argument("--seconds", action="store_true", help="print what each second was like")
    parser.add_argument("--python", default=sys.executable, help="interpreter with monoceros")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _end)  # so that the server is ended
    limit = ("--queue-timeout", options.limit) if options.limit else ()
    peer = fleet.monoceros(WORKERS, 1, "--worker-connections", "5000", *limit)
    with serving(peer, fleet.APP, Placement(None, own_python=options.python)) as server:
        print(f"| {' | '.join(HEAD)} |\n|---|{'--:|' * (len(HEAD) - 1)}")
        for number in range(options.rounds):
            memory = Memory(server.pid)
            memory.start()
            pace = Pace(server.port, plans())
            book = pace.run(QUIET_SECONDS + BURST_SECONDS + AFTER_SECONDS)
            memory.stop()
            print(_row(str(number + 1), book, memory), flush=True)
            if options.seconds:
                print(_timeline(book.asked, book.began), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
