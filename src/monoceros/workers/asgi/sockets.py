"""The clients' sockets of an ASGI worker: one poller for all of them, which the loop watches.

Loops watch sockets too, but at a price: transports of theirs cost more than the calls of the kernel
that they are there for, and uvloop does not tell of errors on descriptors that it only watches.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, cast

from monoceros.http import look
from monoceros.workers.asgi.transport import Transport
from monoceros.workers.poller import make_poller

if TYPE_CHECKING:
    import asyncio
    import socket
    from typing import Any

    from monoceros.http import Core


class Sockets:
    """Calls transports when something can be read or sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, core: Core) -> None:
        self.loop = loop
        self.core = core
        self._poller = make_poller()
        self._transports: dict[int, Transport] = {}
        self._warm: list[Transport] = []
        # What is called from inside of an application's call has nothing of its context.
        self._context = contextvars.copy_context()
        loop.add_reader(self._poller.fileno(), self._look)

    def close(self) -> None:
        """Let go of the poller."""
        self.loop.remove_reader(self._poller.fileno())
        self._poller.close()

    def open(
        self, sock: socket.socket, protocol: asyncio.Protocol, remote: Any, local: Any
    ) -> None:
        """Serve a client's socket by a protocol."""
        transport = Transport(self, sock, protocol, remote, local)
        fd = sock.fileno()
        self._transports[fd] = transport
        self._poller.add(fd)
        protocol.connection_made(cast("asyncio.Transport", transport))

    # -- for transports ------------------------------------------------------------------------

    def watch(self, fd: int, reads: bool, writes: bool) -> None:
        """Watch a socket for this, and for its end."""
        self._poller.watch(fd, reads, writes)

    def remove(self, fd: int) -> None:
        """Watch a socket no more; before it is closed."""
        del self._transports[fd]
        self._poller.remove(fd)

    def end_soon(self, transport: Transport, error: Exception | None) -> None:
        """Call ``end_connection`` when nothing of the connection runs."""
        self.loop.call_soon(transport.end_connection, error, context=self._context)

    def end_turn_of(self, transport: Transport) -> None:
        """Call ``end_turn`` once all that runs in this turn of the loop has run."""
        if not self._warm:
            self.loop.call_soon(self._end_turn, context=self._context)
        self._warm.append(transport)

    # -- for the loop --------------------------------------------------------------------------

    def _end_turn(self) -> None:
        warm, self._warm = self._warm, []
        for transport in warm:
            try:
                transport.end_turn()
            except Exception as error:  # border: one connection's failure is not another's
                self._report(transport, error)

    def _look(self) -> None:
        poller = self._poller
        look(self._transports, poller.poll(0), poller.OUTPUT, self._report)

    def _report(self, transport: Transport, error: Exception) -> None:
        self.loop.call_exception_handler(
            {"message": "A connection has failed", "exception": error, "transport": transport}
        )
        transport.abort()
