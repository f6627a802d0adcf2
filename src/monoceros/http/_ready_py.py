"""What ``send`` and ``receive`` return where there is nothing to wait for, in pure Python."""

from __future__ import annotations

from typing import Any


class Ready:
    """An awaitable whose value is there; ``asyncio.create_task`` takes it for a coroutine."""

    __slots__ = ("_value",)

    def __init__(self, value: Any, /) -> None:
        self._value = value

    def __await__(self) -> Ready:
        return self

    __iter__ = __await__

    def __next__(self) -> Any:
        raise StopIteration(self._value)

    def send(self, value: Any, /) -> Any:
        """Return the value, as a coroutine does."""
        raise StopIteration(self._value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> Any:
        """Raise what was thrown in."""
        raise kind if value is None else value

    def close(self) -> None:
        """Do nothing: nothing was begun."""


class Whole(Ready):
    """All content of a request, as an event; given back where nobody takes it.

    A task of it may be cancelled before it runs, as by ``asyncio.wait_for`` without patience.
    """

    __slots__ = ("_giver",)

    def __init__(self, value: Any, giver: Any, /) -> None:
        super().__init__(value)
        self._giver = giver

    def __next__(self) -> Any:
        self._giver = None
        raise StopIteration(self._value)

    def send(self, value: Any, /) -> Any:
        """Return the value, as a coroutine does."""
        self._giver = None
        raise StopIteration(self._value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> Any:
        """Give the content back, and raise what was thrown in."""
        self.close()
        raise kind if value is None else value

    def close(self) -> None:
        """Give the content back."""
        giver, self._giver = self._giver, None
        if giver is not None:
            giver.take_back(self._value)
