"""One client's socket as a transport of asyncio."""

from __future__ import annotations

import contextlib
import socket
import struct
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from monoceros.http import Wire

if TYPE_CHECKING:
    import asyncio

    from monoceros.workers.asgi.sockets import Sockets

_HIGH, _LOW = 1 << 16, 1 << 14  # octets that wait when the protocol is to pause, and to go on
_GATHERED = 1 << 16  # octets that are not held any longer where others could be sent with them
_SHARE = 1 << 20  # octets after which others have their turn
_RESET = struct.pack("ii", 1, 0)  # struct linger: at once
_MOST_PIECES = 64  # for one system call


class Transport(Wire):
    """What ``Wire`` leaves open: all that waits, and the end; see ``asyncio.Transport``."""

    __slots__ = (
        "_is_at_end",
        "_is_closing",
        "_is_lost",
        "_is_paused",
        "_is_waiting",
        "_local",
        "_protocol",
        "_remote",
        "_resets",
        "_size",
        "_sockets",
        "_taken",
        "_wants_eof",
    )

    def __init__(
        self,
        sockets: Sockets,
        sock: socket.socket,
        protocol: asyncio.Protocol,
        remote: Any,
        local: Any,
    ) -> None:
        super().__init__(sockets.core, sock)
        self._sockets = sockets
        self.set_protocol(protocol)
        self._remote = remote
        self._local = local
        self._size = 0  # octets that are held
        self._taken = 0  # octets that were
        self._is_waiting = False  # for room in the socket
        self._is_paused = False  # the protocol sends nothing for now
        self._is_at_end = False  # there is nothing more to read
        self._is_closing = False
        self._is_lost = False
        self._resets = False
        self._wants_eof = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return ``peername``, ``sockname``, ``socket``, or ``taken``: octets that had waited."""
        known = {
            "peername": self._remote,
            "sockname": self._local,
            "socket": self.socket,
            "taken": self._taken,
        }
        return known.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol told of everything from now on."""
        self._protocol = cast("asyncio.Protocol", protocol)
        self.take = self._protocol.data_received

    def get_protocol(self) -> asyncio.BaseProtocol | None:
        """Return the protocol that is told, while there is one."""
        return getattr(self, "_protocol", None)

    # -- reading -----------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Hear, while nothing is to be read, that nobody is there any more."""
        if not self._is_lost:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.lose(OSError(code, "the client has gone") if code else None)

    def end(self) -> None:
        """Hear that the client sends nothing more."""
        self._is_at_end = True
        self.reads = False
        self._watch()
        if not self._protocol.eof_received():
            self.close()

    def is_reading(self) -> bool:
        """Whether what comes is read."""
        return self.reads

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        self._read(False)

    def resume_reading(self) -> None:
        """Read again."""
        self._read(True)

    def _read(self, reads: bool) -> None:
        if self.reads is not reads and not (self._is_at_end or self._is_closing):
            self.reads = reads
            self._watch()

    def _watch(self) -> None:
        if not self._is_lost:
            self._sockets.watch(self.socket.fileno(), self.reads, self._is_waiting)

    # -- writing -----------------------------------------------------------------------------

    def begin_turn(self) -> None:
        """Have ``is_warm`` taken back, and what is held sent, at the end of this turn."""
        self._sockets.end_turn_of(self)

    def end_turn(self) -> None:
        """Send what has gathered."""
        self.is_warm = False
        if self.held and not self._is_waiting:
            self.flush()

    def hold(self, data: Any) -> None:
        """Keep octets that are to be sent later."""
        if data:
            self.held.append(data)
            self._size += len(data)
            if self._is_waiting:
                self._pause_if_full()
            elif self._size >= _GATHERED:
                self.flush()

    def go_on(self) -> None:
        """Hear that there is room."""
        if self._is_waiting:
            self.flush()

    def flush(self) -> None:
        """Send what is held, now or when there is room."""
        try:
            self._send_held()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.lose(error)
            return
        if self._is_waiting is not bool(self.held):
            self._is_waiting = not self._is_waiting
            self._watch()
        self._pause_if_full()
        if self._is_paused and self._size <= _LOW and not self._is_lost:
            self._is_paused = False
            self._protocol.resume_writing()
        if not self.held:
            self._end_if_due()

    def _end_if_due(self) -> None:
        if self._is_closing:
            self.lose(None)
        elif self._wants_eof:
            self._shut_down()

    def _send_held(self) -> None:
        held = self.held
        enough = self._size - _SHARE
        while held and self._size > enough:
            sent = self.socket.sendmsg(islice(held, _MOST_PIECES))
            self.core.sent += sent
            self._size -= sent
            self._taken += sent
            while sent:
                sent -= len(held[0])
                if sent < 0:
                    held[0] = memoryview(held[0])[sent:]
                    break
                held.popleft()

    def _pause_if_full(self) -> None:
        if self._size > _HIGH and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        """Return how many octets the client has not taken."""
        return self._size

    def can_write_eof(self) -> bool:
        """Whether the end can be sent, and more be read."""
        return True

    def write_eof(self) -> None:
        """Send the end, after all that was written."""
        if not self._wants_eof:
            self._wants_eof = self.is_shut = True
            if self.held and not self._is_waiting:
                self.flush()
            elif not self.held:
                self._shut_down()

    def _shut_down(self) -> None:
        with contextlib.suppress(OSError):  # the client was first
            self.socket.shutdown(socket.SHUT_WR)

    # -- the end -----------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether it is closed, or will be when all is sent."""
        return self._is_closing

    def close(self) -> None:
        """Close it, after all that was written."""
        if self._is_closing:
            return
        self._is_closing = self.is_shut = True
        self.reads = False
        if not self.held:
            self.lose(None)
        elif self._is_waiting:
            self._watch()
        else:
            self.flush()

    def abort(self) -> None:
        """Close it at once; by a reset where something is lost that was to be sent."""
        if self.held:
            self.reset()
        else:
            self.lose(None)

    def reset(self) -> None:
        """Close it at once, so that the client cannot take it for the end of the content."""
        if not self._is_lost:
            self._resets = True
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.lose(None)

    def lose(self, error: Exception | None) -> None:
        """Give the connection up, and tell the protocol soon."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = self.is_shut = True
        self.reads = self._is_waiting = False
        self.held.clear()
        self._size = 0
        self._sockets.remove(self.socket.fileno())
        self._sockets.end_soon(self, error)

    def end_connection(self, error: Exception | None) -> None:
        """Tell the protocol, and close the socket.

        A child of the application may have it too, so that the client hears of nothing else.
        """
        protocol = self._protocol
        del self._protocol, self.take  # it has the transport
        try:
            protocol.connection_lost(error)
        finally:
            # No shutdown before a reset: the client would take it for the end of the content.
            if not self._resets:
                with contextlib.suppress(OSError):  # the client was first
                    self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()
