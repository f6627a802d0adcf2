"""Calls an ASGI application without a server: ``python -m benchmarks.inside APP LOOP SECONDS``.

``receive`` and ``send`` do nothing, and nothing is awaited that is not there. What is left is the
application's own cost, which no server can lower. It prints one line of JSON: calls, and the
nanoseconds of processor time that they took. The calls come one after another in one task, where a
server makes a task of each; caches are as warm as they get.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.load import API_FIELDS, API_PATH
from benchmarks.peers import asgi_target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    AsgiApp = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_BATCH = 200


SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": API_PATH,
    "raw_path": API_PATH.encode(),
    "query_string": b"",
    "root_path": "",
    "headers": [(name.lower().encode(), value.encode()) for name, value in API_FIELDS],
    "client": ("127.0.0.1", 40000),
    "server": ("127.0.0.1", 8000),
}


async def receive() -> dict[str, Any]:
    """Return the whole content of a request without any."""
    return {"type": "http.request", "body": b"", "more_body": False}


class _Status:
    """Takes the responses, and keeps the last one's status."""

    last = 0

    async def send(self, event: dict[str, Any]) -> None:
        self.last = event.get("status", self.last)


async def measure(app: AsgiApp, seconds: float) -> tuple[int, int]:
    """Return how many calls of ``app`` fitted into the time, and what they took in nanoseconds."""
    status = _Status()
    for _ in range(_BATCH):  # whatever is made only once
        await app(SCOPE.copy(), receive, status.send)
    if status.last != 200:
        raise RuntimeError(f"the application answers {status.last}")
    calls, began = 0, time.process_time_ns()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(_BATCH):
            await app(SCOPE.copy(), receive, status.send)
        calls += _BATCH
    return calls, time.process_time_ns() - began


def main(app: str, loop: str, seconds: float) -> int:
    """Measure ``app``, which is one of ``benchmarks.asgi_apps`` or beside it."""
    if loop == "uvloop":
        import uvloop

        run: Callable[..., tuple[int, int]] = uvloop.run
    else:
        run = asyncio.run
    module, _, name = asgi_target(app).partition(":")
    calls, cpu_ns = run(measure(getattr(importlib.import_module(module), name), seconds))
    print(json.dumps({"calls": calls, "cpu_ns": cpu_ns}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
