"""What the HTTP layer raises; both twins raise exactly these, with the same status and reason."""

from __future__ import annotations

from monoceros.errors import MonocerosError


class HttpError(MonocerosError):
    """Root of the errors of the HTTP layer."""


class BadRequest(HttpError):
    """A request is refused: ``status`` is the answer, ``reason`` says why, quoting nothing raw."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"


class InvalidResponse(HttpError):
    """The application's status or fields cannot be sent; the message echoes no value of theirs."""


class BodyError(HttpError, OSError):
    """A request body that is being streamed to the application cannot be read to its end.

    Also an ``OSError``, because that is what applications expect of ``wsgi.input``. ``status``
    is the answer where the application lets it pass and nothing was sent.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class ClientGone(HttpError, OSError):
    """The client went away, or took nothing for too long, while a response was being sent."""


class ClientDisconnected(HttpError, OSError):
    """What ASGI's ``send`` raises once nobody takes what it sends.

    The client has gone, or its connection was closed.
    """
