"""A WSGI application that answers each request with the request's own number and its process.

``/fast/N`` at once, ``/sleep/SECONDS/N`` later, ``/cpu/SECONDS/N`` after so much Python work, and
``/stuck/NAME/N`` once there is a file of that name where the server was started.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, StartResponse


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer ``N PID``."""
    _, kind, *details, number = environ["PATH_INFO"].split("/")
    if kind == "sleep":
        time.sleep(float(details[0]))
    elif kind == "cpu":
        _work(float(details[0]))
    elif kind == "stuck":
        _wait_for(details[0])
    body = f"{number} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def _wait_for(name: str) -> None:
    while not os.path.lexists(name):
        time.sleep(0.005)


def _work(seconds: float) -> None:
    """Use the processor for so long, and never let go of the interpreter of one's own accord."""
    total = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for number in range(1000):
            total += number * number
