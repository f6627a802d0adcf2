"""What access lines are made of, for type checkers; nothing imports it at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class LoggedResponse(Protocol):
    """What an access line takes from a response; ``sent`` counts octets of content."""

    @property
    def status(self) -> str | int: ...
    @property
    def headers(self) -> Iterable[tuple[str, str]]: ...
    @property
    def sent(self) -> int: ...


class LoggedRequest(Protocol):
    """What an access line takes from a request."""

    @property
    def headers(self) -> Iterable[tuple[str, str]]: ...


class Duration(Protocol):
    """What an access line takes from a timedelta."""

    @property
    def seconds(self) -> int: ...
    @property
    def microseconds(self) -> int: ...
