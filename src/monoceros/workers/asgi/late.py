"""What the log says of calls that have taken longer than ``request_timeout``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from monoceros.workers.asgi.stacks import describe_request, describe_task

if TYPE_CHECKING:
    import asyncio

    from monoceros.http.types import Exchange
    from monoceros.log.logger import Logger
    from monoceros.workers.asgi.waits import Waits


def report_late(
    log: Logger, exchange: Exchange, task: asyncio.Task[Any] | None, waits: Waits | None = None
) -> None:
    """Log that a request is about to be ended, and where its call is; see ``describe_task``."""
    log.error(
        "REQUEST TIMEOUT running %s, %s\n%s",
        describe_request(exchange, time.monotonic_ns()),
        "cut off" if exchange.started else "504",
        describe_task(task, waits),
    )
