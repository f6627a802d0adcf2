"""Holds what was measured against the project's goals: ``python -m benchmarks.goals FILE ...``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.report import Held, Sample, ratios

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Cost


@dataclass(frozen=True, slots=True)
class Goal:
    """``server`` is to need at most 1/``factor`` of what ``reference`` does.

    That is processor time per request, or memory per idle connection.
    """

    load: str
    server: str
    reference: str
    factor: float

    def measured(self, costs: Sequence[Cost]) -> float | None:
        """Return the median of the rounds' ratios, or None where one of the two is missing."""
        ours, theirs = (
            [one for one in costs if one.load == self.load and one.server == name]
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
    Goal("fastapi", "monoceros-asgi-uvloop", "uvicorn-uvloop", 1.3),
    Goal("fastapi", "monoceros-asgi-asyncio", "uvicorn-asyncio", 1.3),
    Goal("websocket", "monoceros-asgi-uvloop", "uvicorn-uvloop", 1.0),
    Goal("websocket", "monoceros-asgi-asyncio", "uvicorn-asyncio", 1.0),
    Goal("idle_websockets", "monoceros-asgi-uvloop", "uvicorn-uvloop", 1.0),
    Goal("idle_websockets", "monoceros-asgi-asyncio", "uvicorn-asyncio", 1.0),
)


def read(path: Path) -> list[Cost]:
    """Return what ``--json`` of ``compare`` or ``idle_websockets`` has written."""
    data = json.loads(path.read_text("utf-8"))
    samples = [Sample(**one) for one in data.get("samples", ())]
    return [*(s for s in samples if s.requests), *(Held(**one) for one in data.get("held", ()))]


def main(argv: list[str] | None = None) -> int:
    """Print each goal beside what was measured; the exit code counts the missed ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goals", description=__doc__)
    parser.add_argument(
        "files", type=Path, nargs="+", help="what compare or idle_websockets wrote by --json"
    )
    options = parser.parse_args(argv)
    costs = [cost for path in options.files for cost in read(path)]
    print("| load | server | against | goal | measured | |\n|---|---|---|--:|--:|---|")
    missed = 0
    for goal in GOALS:
        ratio = goal.measured(costs)
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
