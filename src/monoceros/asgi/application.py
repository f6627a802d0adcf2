"""Applications in the one shape that this server calls: ASGI 3, a single callable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from monoceros.arity import accepts

if TYPE_CHECKING:
    from monoceros.asgi.types import AsgiApp, Receive, Scope, Send

_SCOPE = 1  # how many arguments an application of ASGI 2 takes at first
_ALL = 3


def adapt(app: Any) -> AsgiApp:
    """Return an application as one of ASGI 3.

    One of ASGI 2 takes the scope alone, and returns what is called with the rest.
    """
    return _join(app) if is_double(app) else cast("AsgiApp", app)


def is_double(app: Any) -> bool:
    """Whether a callable can only be an application of ASGI 2."""
    # A class is called to make something, whatever else its instances can be called with.
    return accepts(app, _SCOPE) and not accepts(app, _ALL)


def _join(app: Any) -> AsgiApp:
    async def joined(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return joined
