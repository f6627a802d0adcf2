"""What is served under ``reload`` in the place of an application that cannot be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

    from monoceros.http.types import Environ, StartResponse


class BrokenApplication:
    """Answers every request with 500 and the reason, as plain text."""

    def __init__(self, reason: str) -> None:
        text = (
            "The application could not be loaded.\n\n"
            f"{reason}\n\n"
            "It is loaded again as soon as one of its files changes.\n"
        )
        self._body = text.encode("utf-8", "backslashreplace")
        self._fields = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(self._body))),
            ("Cache-Control", "no-store"),
        ]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, whatever was asked for."""
        start_response("500 Internal Server Error", list(self._fields))
        return [self._body]

    async def answer(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer, as an ASGI application; WebSockets are not accepted."""
        kind = scope["type"]
        if kind == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
        elif kind == "websocket":
            await send({"type": "websocket.close"})
        else:
            fields = [(name.encode(), value.encode()) for name, value in self._fields]
            await send({"type": "http.response.start", "status": 500, "headers": fields})
            await send({"type": "http.response.body", "body": self._body})
