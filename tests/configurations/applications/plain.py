"""A WSGI application that tells about its surroundings."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

print("application imported", flush=True)


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer ``/environ/KEY``, ``/variable/NAME``, ``/directory``, ``/log`` and ``/``."""
    _, topic, name = f"{environ['PATH_INFO']}/".split("/", 2)
    text = _tell(topic, name.strip("/"), environ)
    body = text.encode()
    headers = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(body))),
        ("X-Request-Id", environ.get("HTTP_X_REQUEST_ID", "none")),
    ]
    start_response("200 OK", headers)
    return [body]


def _tell(topic: str, name: str, environ: dict[str, Any]) -> str:
    if topic == "environ":
        return str(environ.get(name))
    if topic == "variable":
        return str(os.environ.get(name))
    if topic == "directory":
        return os.getcwd()  # noqa: PTH109 - just what the system says
    if topic == "log":
        logging.getLogger("shop.views").warning("a message of the application")
    return "hello"


app = application


def create_app(config: str = "production", *, debug: bool = False) -> object:
    """Make an application the way that factories do."""
    os.environ["FACTORY_CONFIG"] = f"{config} debug={debug}"
    return application
