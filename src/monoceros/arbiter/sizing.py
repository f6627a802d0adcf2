"""How many workers there are to be where the configuration leaves it to the server.

Theory of operation. The plan of a configuration knows the processors and the memory limit. Where
the limit could matter it needs the size of a worker: at start one worker is forked alone and
measured when it is ready, and the others follow; at a reload the largest one that lives is taken
for the measure. TTIN and TTOU change the number afterwards as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.arbiter.children import Phase
from monoceros.arbiter.memory import measure_private

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.arbiter.children import Child
    from monoceros.arbiter.loop import Arbiter


def begin(server: Arbiter, living: Iterable[Child] = ()) -> int:
    """Return with how many workers the current generation starts, and log why.

    ``living`` are workers whose size may be taken for that of the new ones.
    """
    cfg = server.cfg
    plan = cfg.plan
    server.current.unmeasured = False
    if plan is None:
        return cfg.workers
    size = find_largest(living) if plan.needs_measuring else None
    if plan.needs_measuring and size is None:
        server.current.unmeasured = True
        return 1
    count = cfg.workers if size is None else plan.fit(size)
    server.log.info("%s", plan.explain(count, size))
    return count


def advance(server: Arbiter) -> None:
    """Decide as soon as a first worker is there to be measured."""
    plan = server.cfg.plan
    if not server.current.unmeasured or plan is None:
        return
    ready = [c for c in server.children.serving(server.current.number) if c.phase is Phase.READY]
    if not ready:
        return
    server.current.unmeasured = False
    size = find_largest(ready)
    count = plan.workers if size is None else plan.fit(size)
    server.log.info("%s", plan.explain(count, size))
    if count != server.num_workers:
        server.num_workers = count


def find_largest(children: Iterable[Child]) -> int | None:
    """Return the octets that the largest of the ready ones has to itself; None if unknown."""
    sizes = (measure_private(child.pid) for child in children if child.phase is Phase.READY)
    return max((size for size in sizes if size is not None), default=None)
