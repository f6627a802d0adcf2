"""A FastAPI application whose calls wait for tasks and threads: each path shows one way.

With ``MIDDLEWARE`` in the environment each call runs in a task of Starlette's as well.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = FastAPI()

RELEASED = threading.Event()


async def nap() -> None:
    """Wait where the stack is to end."""
    await asyncio.sleep(60)


def nap_on_thread() -> None:
    """Wait on a thread for what comes last."""
    RELEASED.wait(20)


@app.get("/release")
async def release() -> None:
    """Have all threads end."""
    RELEASED.set()


@app.get("/thread")
def thread() -> None:
    """Wait on one of AnyIO's threads."""
    nap_on_thread()


@app.get("/executor")
async def executor() -> None:
    """Wait for a thread of the loop's, and for one more by a task."""
    job = asyncio.get_running_loop().run_in_executor(None, nap_on_thread)
    await asyncio.gather(asyncio.shield(job), asyncio.to_thread(thread))


@app.get("/direct")
async def direct() -> None:
    """Wait for nothing else."""
    await nap()


@app.get("/task")
async def task() -> None:
    """Wait for a task."""
    await asyncio.create_task(nap())


@app.get("/gather")
async def gather() -> None:
    """Wait for several tasks."""
    await asyncio.gather(nap(), task())


@app.get("/limited")
async def limited() -> None:
    """Wait for so long, with a task of its own before Python 3.12."""
    await asyncio.wait_for(nap(), 60)


@app.get("/wait")
async def wait() -> None:
    """Wait for the first of some tasks."""
    tasks = [asyncio.create_task(nap()), asyncio.create_task(task())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


@app.get("/group")
async def group() -> None:
    """Wait for the tasks of a group, and for something else meanwhile."""
    async with asyncio.TaskGroup() as tasks:  # type: ignore[attr-defined]  # from 3.11 on
        tasks.create_task(nap())
        await asyncio.Event().wait()


@app.get("/stream")
async def stream() -> StreamingResponse:
    """Wait in the middle of a response."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"part"
        await nap()

    return StreamingResponse(parts())


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    """Say that it waits, and wait for a task."""
    await websocket.accept()
    await websocket.send_text("waits")
    await task()


@app.websocket("/stop")
async def stop(websocket: WebSocket) -> None:
    """Accept, and stop the whole loop with the first message."""
    await websocket.accept()
    await websocket.receive_text()
    threading.Event().wait(60)


class Middleware(BaseHTTPMiddleware):
    """Does nothing, in a task of its own."""

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        """Call what comes next."""
        return await call_next(request)


if "MIDDLEWARE" in os.environ:
    app.add_middleware(Middleware)
