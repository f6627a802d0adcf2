"""``wsgi.input`` of a request without content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class EmptyInput:
    """An input at its end; stateless, so one serves all requests."""

    __slots__ = ()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the end of the input."""
        return b""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the end of the input."""
        return b""

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Return no lines."""
        return []

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Do nothing: other requests share this object."""
