"""What the HTTP layer reports, as lines of the error log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.http.access import AccessFormat, Entry
    from monoceros.http.errors import BadRequest
    from monoceros.http.types import Environ
    from monoceros.log.logger import Logger


class Reporter:
    """A ``CoreLog`` over the error log."""

    def __init__(
        self,
        log: Logger,
        access: AccessFormat | None,
        finished: Callable[[Entry], object] | None,
    ) -> None:
        self._log = log
        self.access = access
        self.finished = finished

    def refused(self, peer: str, error: BadRequest) -> None:
        """Report a request that was refused before the application was called."""
        # Where it is not the client's fault, an operator should know.
        tell = self._log.info if error.status < 500 else self._log.warning
        tell("Invalid request from ip=%s: %s %s", peer, error.status, error.reason)

    def failed(self, environ: Environ, error: BaseException) -> None:
        """Report an application that raised, or broke PEP 3333, with its traceback."""
        # RAW_URI is printable ASCII by the time an application sees it, the method a token.
        self._log.error(
            "Error handling request %s %s",
            environ["REQUEST_METHOD"],
            environ["RAW_URI"],
            exc_info=error,
        )

    def warning(self, message: str) -> None:
        """Report something that an operator should know."""
        self._log.warning(message)
