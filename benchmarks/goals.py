"""Holds the samples of a comparison against the project's goals: ``python -m benchmarks.goals``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.report import Sample, ratios


@dataclass(frozen=True, slots=True)
class Goal:
    """``server`` is to need at most 1/``factor`` of the processor time of ``reference``."""

    load: str
    server: str
    reference: str
    factor: float

    def measured(self, samples: list[Sample]) -> float | None:
        """Return the median of the rounds' ratios, or None where one of the two is missing."""
        ours, theirs = (
            [s for s in samples if s.load == self.load and s.server == name and s.requests]
            for name in (self.server, self.reference)
        )
        found = ratios(ours, theirs)
        return median(found) if found else None


GOALS = (
    Goal("hello", "monoceros-c", "bjoern", 1.25),
    Goal("browser20", "monoceros-c", "bjoern", 1.7),
    Goal("ten_kb", "monoceros-c", "bjoern", 1.35),
    Goal("close", "monoceros-c", "bjoern", 0.85),
    Goal("pipelined_x16", "monoceros-c", "fastpysgi", 3.0),
    Goal("hello", "monoceros-c", "granian", 2.2),
    Goal("browser20", "monoceros-c", "granian", 3.0),
    Goal("hello", "monoceros-c", "raw", 0.8),
    Goal("hello", "monoceros-py", "gunicorn-gthread", 4.0),
    Goal("hello", "monoceros-c-threads", "monoceros-c", 1 / 1.15),
    Goal("hello", "monoceros-c-threads", "gunicorn-gthread", 10.0),
    Goal("hello", "monoceros-asgi-uvloop", "uvicorn-uvloop", 2.5),
    Goal("hello", "monoceros-asgi-uvloop", "granian-asgi", 1.6),
    Goal("hello", "monoceros-asgi-asyncio", "uvicorn-asyncio", 2.0),
)


def main(argv: list[str] | None = None) -> int:
    """Print each goal beside what was measured; the exit code counts the missed ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goals", description=__doc__)
    parser.add_argument("samples", type=Path, help="file written by compare --json")
    options = parser.parse_args(argv)
    data = json.loads(options.samples.read_text("utf-8"))
    samples = [Sample(**sample) for sample in data["samples"]]
    print("| load | server | against | goal | measured | |\n|---|---|---|--:|--:|---|")
    missed = 0
    for goal in GOALS:
        ratio = goal.measured(samples)
        reached = ratio is not None and ratio >= goal.factor
        missed += not reached
        cells = (
            goal.load,
            goal.server,
            goal.reference,
            f"{goal.factor:.2f}",
            "-" if ratio is None else f"{ratio:.2f}",
            "reached" if reached else "missed" if ratio else "not measured",
        )
        print(f"| {' | '.join(cells)} |")
    return missed


if __name__ == "__main__":
    sys.exit(main())
