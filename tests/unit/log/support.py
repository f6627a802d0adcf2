"""Stand-ins for a request and its response, as the access log sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.log.logger import Logger

ENVIRON: dict[str, object] = {
    "REMOTE_ADDR": "192.0.2.7",
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/p?q=1",
    "PATH_INFO": "/p",
    "QUERY_STRING": "q=1",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_USER_AGENT": "probe/1",
}


@dataclass
class Response:
    """What was answered."""

    status: str = "200 OK"
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("X-Made-By", "app")])
    sent: int = 5
    status_code: int = 200


@dataclass
class Request:
    """What was asked."""

    headers: list[tuple[str, str]] = field(default_factory=list)


def call(
    log: Logger,
    status: str = "200 OK",
    headers: tuple[tuple[str, str], ...] = (),
    **environ: object,
) -> None:
    """Log one response that took 1.5 s and a bit."""
    log.access(
        Response(status),
        Request(list(headers)),
        {**ENVIRON, **environ},
        timedelta(seconds=1, microseconds=500_007),
    )
