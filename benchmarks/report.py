"""Turns the samples of a comparison into Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Cost(Protocol):
    """What something cost a server in one round of a load, whatever the unit."""

    @property
    def load(self) -> str:
        """The load's name."""

    @property
    def server(self) -> str:
        """The server's name."""

    @property
    def round(self) -> int:
        """The number of the round."""

    @property
    def cost(self) -> float:
        """What is held against others of the same load and round."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One slice: what was counted, and the server's processor time in nanoseconds."""

    load: str
    server: str
    round: int
    requests: int
    errors: int
    seconds: float
    cpu_ns: int
    p50_us: int
    p99_us: int

    @property
    def cost_us(self) -> float:
        """Processor time per request, in microseconds."""
        return self.cpu_ns / 1000 / self.requests

    @property
    def cost(self) -> float:
        """Processor time per request."""
        return self.cost_us

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Held:
    """The memory (PSS, in bytes) of a server before, with, and after many idle connections."""

    load: str
    server: str
    round: int
    connections: int
    before: int
    held: int
    after: int

    @property
    def cost(self) -> float:
        """Bytes per connection."""
        return (self.held - self.before) / self.connections


@dataclass(frozen=True, slots=True)
class Failure:
    """A server that could not be measured under a load, and why."""

    load: str
    server: str
    reason: str


def ratios(samples: Sequence[Cost], reference: Sequence[Cost]) -> list[float]:
    """Return, per round, how many times cheaper than the reference it was."""
    base = {sample.round: sample.cost for sample in reference}
    return [base[s.round] / s.cost for s in samples if s.round in base]


def _row(samples: list[Sample], reference: list[Sample]) -> str:
    costs = [sample.cost_us for sample in samples]
    rates = [sample.rate for sample in samples]
    compared = ratios(samples, reference)
    cells = [
        samples[0].server,
        f"{median(costs):.2f} ({min(costs):.2f})",
        f"{median(compared):.2f}" if compared else "-",
        f"{median(rates):,.0f}",
        f"{max(rates):,.0f}",
        f"{median(s.p50_us for s in samples):.0f} / {median(s.p99_us for s in samples):.0f}",
        str(sum(sample.errors for sample in samples) or "-"),
    ]
    return "| " + " | ".join(cells) + " |"


def _by_server(load: str, samples: list[Sample]) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.load == load and sample.requests:
            groups.setdefault(sample.server, []).append(sample)
    return groups


def _cost(samples: list[Sample]) -> float:
    return median(sample.cost_us for sample in samples)


def table(load: str, samples: list[Sample], failures: list[Failure], references: list[str]) -> str:
    """Return the Markdown table of one load, cheapest server first.

    Ratios are to the first of ``references`` that was measured.
    """
    groups = _by_server(load, samples)
    reference = next((name for name in references if name in groups), "-")
    base = groups.get(reference, [])
    head = (
        "server",
        "CPU us/req, median (min)",
        f"{reference} / this" if base else "ratio",
        "req/s",
    )
    columns = (*head, "max req/s", "p50 / p99 us", "errors")
    lines = [
        f"### {load}",
        "",
        "| " + " | ".join(columns) + " |",
        "|---|" + "--:|" * (len(columns) - 1),
        *(_row(group, base) for group in sorted(groups.values(), key=_cost)),
    ]
    missing = [f"- {f.server}: {f.reason}" for f in failures if f.load == load]
    return "\n".join([*lines, *([""] if missing else []), *missing, ""])


def summary(loads: list[str], samples: list[Sample]) -> str:
    """Return one Markdown table of all loads: median processor microseconds per request."""
    groups = {load: _by_server(load, samples) for load in loads}
    servers = dict.fromkeys(sample.server for sample in samples)
    lines = [f"| CPU us/req | {' | '.join(loads)} |", "|---|" + "--:|" * len(loads)]
    for server in servers:
        found = (groups[load].get(server) for load in loads)
        cells = (f"{_cost(group):.2f}" if group else "-" for group in found)
        lines.append(f"| {server} | {' | '.join(cells)} |")
    return "\n".join(lines)
