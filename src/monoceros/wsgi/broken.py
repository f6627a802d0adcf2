"""What is served under ``reload`` in the place of an application that cannot be imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, StartResponse


class BrokenApplication:
    """Answers every request with 500 and the reason, as plain text."""

    def __init__(self, reason: str) -> None:
        text = (
            "The application could not be imported.\n\n"
            f"{reason}\n\n"
            "It is imported again as soon as one of its files changes.\n"
        )
        self._body = text.encode("utf-8", "backslashreplace")

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, whatever was asked for."""
        start_response(
            "500 Internal Server Error",
            [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(self._body))),
                ("Cache-Control", "no-store"),
            ],
        )
        return [self._body]
