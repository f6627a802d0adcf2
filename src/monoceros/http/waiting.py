"""Waiting for a client on behalf of an application, as ``Policy.wait`` does by default."""

from __future__ import annotations

from monoceros.unpatched import poll


def wait_for(fd: int, events: int, timeout_s: float) -> bool:
    """Wait until a descriptor is ready for ``events`` of poll(2); False where time was up first."""
    poller = poll()
    poller.register(fd, events)
    return bool(poller.poll(max(0.0, timeout_s) * 1000))
