"""Times request-head parsers alone: ``python -m benchmarks.bench_parser``.

Each parser produces the finished list of fields, besides method, target and version: ours as
``Head.fields``, httptools through its callbacks, h11 as ``Request.headers``. httptools keeps one
parser for all requests, as a connection does; h11 gets a new one each time, because its cycle
does not restart without an answer. Times are of this thread only, the least of several runs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.load import BROWSER_FIELDS, HOST, request

if TYPE_CHECKING:
    from collections.abc import Callable

    Parse = Callable[[bytes], int]

THREE = request((HOST, ("User-Agent", "curl/8.14.1"), ("Accept", "*/*")))
TWENTY = request(BROWSER_FIELDS)


@dataclass(frozen=True, slots=True)
class Subject:
    """A parser under its name; ``parse`` returns how many fields the list got."""

    name: str
    parse: Parse


def _twin(module: str) -> Parse:
    twin = importlib.import_module(module)
    types = importlib.import_module("monoceros.http.types")
    parse_head, limits, rules = twin.parse_head, types.Limits(), types.Rules()

    def parse(data: bytes) -> int:
        return len(parse_head(data, limits, rules).fields)

    return parse


class _Collector:
    """What httptools calls."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_message_begin(self) -> None:
        self.target = b""
        self.fields = []

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def _httptools() -> Parse:
    httptools = importlib.import_module("httptools")
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)

    def parse(data: bytes) -> int:
        parser.feed_data(data)
        parser.get_method()
        parser.get_http_version()
        return len(collector.fields)

    return parse


def _h11() -> Parse:
    h11 = importlib.import_module("h11")

    def parse(data: bytes) -> int:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(data)
        return len(connection.next_event().headers)

    return parse


SUBJECTS: dict[str, Callable[[], Parse]] = {
    "monoceros c": lambda: _twin("monoceros.http._c"),
    "monoceros py": lambda: _twin("monoceros.http._py"),
    "httptools": _httptools,
    "h11": _h11,
}


def load_subjects() -> tuple[list[Subject], list[str]]:
    """Return the parsers that are installed, and a line for each that is not."""
    subjects, missing = [], []
    for name, make in SUBJECTS.items():
        try:
            subjects.append(Subject(name, make()))
        except (ImportError, AttributeError) as error:
            missing.append(f"- {name}: {error}")
    return subjects, missing


def time_ns(parse: Parse, data: bytes, runs: int, run_ns: int) -> float:
    """Return the least nanoseconds per head of ``runs`` runs of about ``run_ns`` each."""
    begin = time.thread_time_ns()
    for _ in range(100):
        parse(data)
    repeat = max(10, 100 * run_ns // max(1, time.thread_time_ns() - begin))
    best = float("inf")
    for _ in range(runs):
        begin = time.thread_time_ns()
        for _ in range(repeat):
            parse(data)
        best = min(best, (time.thread_time_ns() - begin) / repeat)
    return best


def main(argv: list[str] | None = None) -> int:
    """Print a table of nanoseconds per head; 1 where a parser returns another list's length."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_parser", description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--run-ms", type=float, default=10.0, help="length of one run")
    options = parser.parse_args(argv)
    subjects, missing = load_subjects()
    print("| parser | 3 fields, ns | 20 fields, ns |\n|---|--:|--:|")
    wrong = 0
    for subject in subjects:
        cells = []
        for data, fields in ((THREE, 3), (TWENTY, 20)):
            if (got := subject.parse(data)) != fields:
                missing.append(f"- {subject.name}: {got} fields instead of {fields}")
                wrong = 1
            run_ns = int(options.run_ms * 1e6)
            cells.append(f"{time_ns(subject.parse, data, options.runs, run_ns):,.0f}")
        print(f"| {subject.name} | {' | '.join(cells)} |")
    if missing:
        print("\n" + "\n".join(missing))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
