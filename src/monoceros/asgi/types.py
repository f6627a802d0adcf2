"""The names of the ASGI specification (version 3.0), and what the server has below them."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientTransport(asyncio.Transport):
    """A client's socket: all that asyncio's transports can do, and this."""

    @abstractmethod
    def reset(self) -> None:
        """Close it at once, so that the client cannot take it for the end of the content."""
