"""A client's socket in an event loop, as far as nothing has to wait, in pure Python.

``workers.asgi.transport.Transport`` is what it becomes with all that does wait.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from monoceros.http._core_py import Core

_MOST = 1 << 16  # octets that are received at a time


def look(
    wires: Mapping[int, Wire],
    events: list[tuple[int, int]],
    output: int,
    report: Callable[[Any, Exception], object],
    /,
) -> None:
    """Have wires read and send that can; ``report`` hears of what they raise.

    ``output`` is the event of room for output, all others are of input or of the end.
    """
    for fd, mask in events:
        wire = wires.get(fd)
        if wire is None:
            continue  # it was given up for what has come on another one
        try:
            if mask & ~output:
                wire.take_in()
            if mask & output:
                wire.go_on()
        except Exception as error:  # border: one connection's failure is not another's
            report(wire, error)


class Wire:
    """``take`` is called with what has come, ``held`` is what is to be sent later.

    What is written in one turn of the loop goes out together, but for the first of it.
    """

    __slots__ = ("core", "held", "is_shut", "is_warm", "reads", "socket", "take")

    take: Callable[[bytes], object]

    def __init__(self, core: Core, sock: socket.socket, /) -> None:
        self.core = core
        self.socket = sock
        self.held: deque[bytes | memoryview] = deque()
        self.reads = True  # what comes is read
        self.is_warm = False  # something was sent in this turn
        self.is_shut = False  # nothing more is sent

    def take_in(self) -> None:
        """Read what has come."""
        if not self.reads:
            self.hang_up()
            return
        try:
            data = self.socket.recv(_MOST)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lose(error)
            return
        self.core.received += len(data)
        if data:
            self.take(data)
        else:
            self.end()

    def write(self, data: Any, /) -> None:
        """Send octets, or keep what the client does not take at once."""
        if self.is_shut:
            return
        data = bytes(data)  # the caller may change what is none
        if self.is_warm or self.held:
            self.hold(data)
        else:
            self.is_warm = True
            self.begin_turn()
            self._send(data)

    def write_last(self, data: bytes, /) -> None:
        """Send octets that are not followed by others soon."""
        if self.is_shut:
            return
        if self.held:
            self.hold(data)
            self.flush()
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self.lose(error)
            return
        self.core.sent += sent
        if sent < len(data):
            self.hold(memoryview(data)[sent:])
            self.flush()

    # -- what subclasses do --------------------------------------------------------------------

    def begin_turn(self) -> None:
        """Have ``is_warm`` taken back, and ``flush`` called, at the end of this turn."""
        raise NotImplementedError

    def hold(self, data: Any, /) -> None:
        """Keep octets that are to be sent later."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send what is held, now or when there is room."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Hear that there is room."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """Hear, while nothing is to be read, that nobody is there any more."""
        raise NotImplementedError

    def end(self) -> None:
        """Hear that the client sends nothing more."""
        raise NotImplementedError

    def lose(self, error: Exception | None, /) -> None:
        """Give the connection up."""
        raise NotImplementedError
