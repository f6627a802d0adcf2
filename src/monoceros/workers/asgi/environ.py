"""An environ made of a scope, for those who know requests by one: hooks and access logs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from monoceros.http.environ import add_field, environ_key, listener_environ, peer_environ

if TYPE_CHECKING:
    from monoceros.http.types import Environ, Exchange, OctetField

_CONTENT = ("CONTENT_TYPE", "CONTENT_LENGTH")


def make_environ(exchange: Exchange, base: Environ) -> Environ:
    """Return the environ (PEP 3333) of a request; its content is not in it.

    ``base`` is what all requests of the worker have in common.
    """
    scope = exchange.scope
    method, _, target = exchange.line.decode("latin-1").partition(" ")
    name, port = scope.get("server") or ("", None)
    local = "" if port is None else (name, port)
    scheme = str(scope["scheme"]).replace("ws", "http", 1)  # behind WebSockets, too
    environ = {
        **listener_environ(base, local, scheme),
        "REQUEST_METHOD": method,
        "RAW_URI": target,
        "SCRIPT_NAME": scope["root_path"],
        "PATH_INFO": scope["path"].encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/1.{exchange.minor}",
        "wsgi.input": io.BytesIO(),
        **peer_environ(scope["client"]),
    }
    for field, octets in scope["headers"]:
        add_field(environ, environ_key(field.decode("latin-1")), octets.decode("latin-1"))
    return environ


def fields_of(environ: Environ) -> list[OctetField]:
    """Return the fields that an environ has, as a scope has them."""
    return [
        (
            key.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1"),
            value.encode("latin-1"),
        )
        for key, value in environ.items()
        if key.startswith("HTTP_") or key in _CONTENT
    ]
