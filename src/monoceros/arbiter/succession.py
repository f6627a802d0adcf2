"""Who follows whom: how many workers to fork now, and which to let go.

Theory of operation. Every planned replacement is the same movement. Workers of an earlier
generation, and those that are to be replaced for a reason of their own, are outdated: they serve
on while successors boot, up to ``surge`` at once beyond the number wanted, and one of them
retires for each successor that is ready. So there are never fewer ready workers than before. With
a surge of 0, for machines whose memory holds no worker more, one retires first, and its
successor is forked when it has gone.

These are decisions about plain data; forking and signals are left to the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from monoceros.arbiter.children import Child, Children


class Demand(NamedTuple):
    """What there is to be: workers of a generation, and how many may be there beyond them.

    With ``is_atomic`` all successors boot at once, and no ready worker leaves before all are ready.
    """

    generation: int
    wanted: int
    surge: int
    is_atomic: bool = False


def count_missing(children: Children, demand: Demand, held: int = 0) -> int:
    """Return how many workers to fork now, while ``held`` places stay empty for a time."""
    serving = len(children.serving(demand.generation))
    present = serving + len(children.outdated(demand.generation))
    if not demand.surge:
        present += len(children.draining())
    room = demand.wanted + demand.surge - present
    missing = demand.wanted - held - serving
    return max(0, missing if demand.is_atomic else min(missing, room))


def choose_leavers(children: Children, demand: Demand) -> list[Child]:
    """Return those that are to retire now."""
    serving = children.serving(demand.generation)
    # Whoever still boots holds no request, and the ready ones are wanted until others are.
    spare = sorted(serving, key=lambda child: (child.is_ready, -child.place, child.age))
    leavers = spare[: max(0, len(serving) - demand.wanted)]
    outdated = children.outdated(demand.generation)
    ready = children.count_ready(demand.generation)
    if ready >= demand.wanted:
        return leavers + outdated
    leavers += [child for child in outdated if not child.is_ready]
    old = _sort_by_place([child for child in outdated if child.is_ready], serving)
    if demand.is_atomic or not old:
        return leavers
    if demand.surge:
        return leavers + old[: max(0, ready + len(old) - demand.wanted)]
    # One goes ahead of its successor, once the last has gone and was replaced.
    is_settled = not leavers and not children.draining() and ready == len(serving)
    return old[:1] if is_settled and ready + len(old) >= demand.wanted else leavers


def _sort_by_place(old: list[Child], serving: list[Child]) -> list[Child]:
    """Put those first whose sockets a successor serves, and then those whose turn is next."""
    served = {child.place for child in serving if child.is_ready}
    return sorted(old, key=lambda child: (child.place not in served, child.place))
