"""One application for both interfaces, which answer the same: each path shows one behaviour."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monoceros.asgi.types import Receive, Scope, Send
    from monoceros.http.types import Environ, StartResponse

IMPORTED_BY = os.getpid()


class Request(NamedTuple):
    """What both interfaces tell of a request; fields have small letters and hyphens."""

    path: str
    query: str
    scheme: str
    client: str
    fields: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What to answer, and how many seconds to wait for before."""

    body: bytes
    status: str = "200 OK"
    pause_s: float = 0.0


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer ``/NAME/ARGUMENT`` by the function of that name."""
    names = [name for name in environ if name.startswith("HTTP_")]
    answered = _answer(
        Request(
            environ["PATH_INFO"],
            environ["QUERY_STRING"],
            environ["wsgi.url_scheme"],
            environ["REMOTE_ADDR"],
            {name[5:].replace("_", "-").lower(): environ[name] for name in names},
            environ["wsgi.input"].read(),
        )
    )
    time.sleep(answered.pause_s)
    start_response(answered.status, _fields(answered))
    return [answered.body]


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what ``wsgi`` answers."""
    if scope["type"] == "lifespan":
        raise RuntimeError("has none")
    parts = []
    is_more = True
    while is_more:
        event = await receive()
        parts.append(event["body"])
        is_more = event["more_body"]
    fields: dict[str, str] = {}
    for octets, value in scope["headers"]:
        name = octets.decode().replace("_", "-")
        fields[name] = ",".join([*filter(None, [fields.get(name)]), value.decode("latin-1")])
    answered = _answer(
        Request(
            scope["path"],
            scope["query_string"].decode(),
            scope["scheme"],
            (scope["client"] or ("",))[0],
            fields,
            b"".join(parts),
        )
    )
    await asyncio.sleep(answered.pause_s)
    headers = [(one.encode(), text.encode()) for one, text in _fields(answered)]
    status = int(answered.status[:3])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answered.body})


def _answer(request: Request) -> Answer:
    _, name, argument = (request.path + "/").split("/", 2)
    answered: Answer = ROUTES[name](request, argument.strip("/"))
    return answered


def _fields(answered: Answer) -> list[tuple[str, str]]:
    return [("Content-Length", str(len(answered.body))), ("X-Answer", "yes")]


def pid(request: Request, _: str) -> Answer:
    """Name the worker."""
    return Answer(b"%d" % os.getpid())


def importer(request: Request, _: str) -> Answer:
    """Name the process that has imported this module, as the worker or its parent."""
    names = {os.getpid(): b"worker", os.getppid(): b"master"}
    return Answer(names.get(IMPORTED_BY, b"somebody else"))


def tell(request: Request, _: str) -> Answer:
    """Tell what is known of the request."""
    fields = {name: value for name, value in request.fields.items() if name.startswith("x-")}
    told = {**request._asdict(), "fields": fields, "body": request.body.decode("latin-1")}
    return Answer(json.dumps(told).encode())


def surroundings(request: Request, variable: str) -> Answer:
    """Tell where the application runs."""
    told = {
        "variable": os.environ.get(variable),
        "directory": Path.cwd().name,
        "library": importlib.util.find_spec("borrowed") is not None,
    }
    return Answer(json.dumps(told).encode())


def nap(request: Request, seconds: str) -> Answer:
    """Answer late, and let others run meanwhile where that is possible."""
    return Answer(b"slept", pause_s=float(seconds))


def block(request: Request, seconds: str) -> Answer:
    """Answer late, and let nobody run meanwhile."""
    time.sleep(float(seconds))
    return Answer(b"blocked")


def spin(request: Request, seconds: str) -> Answer:
    """Compute for so long, without a look at anything else."""
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        pass
    return Answer(b"spun")


def freeze(request: Request, _: str) -> Answer:
    """Compute for ever in C, and let no other thread run meanwhile."""
    re.match(r"(a+)+$", "a" * 60 + "b")
    return Answer(b"thawed")


def fail(request: Request, _: str) -> Answer:
    """Raise."""
    raise ValueError("a fault of the application's")


def say(request: Request, text: str) -> Answer:
    """Print something."""
    print(text, flush=True)
    return Answer(b"said")


ROUTES: dict[str, Any] = {
    route.__name__: route
    for route in (pid, importer, tell, surroundings, nap, block, spin, freeze, fail, say)
} | {"": pid}
