"""The sending half of a connection, in pure Python."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from monoceros.http.errors import ClientGone
from monoceros.http.outbox import Outbox
from monoceros.unpatched import socket as Socket

if TYPE_CHECKING:
    from monoceros.http._core_py import Core
    from monoceros.http.files import FileRange


class Channel:
    """Sends what the Core's buffer holds, and keeps what the client does not take."""

    __slots__ = ("_outbox", "_reset", "_socket", "core", "end_of_kept_head", "expires", "fd")

    def __init__(self, core: Core, fd: int, remote: Any) -> None:
        self.core = core
        self.fd = fd
        self._socket = _wrap(fd, remote) if fd >= 0 else None
        self._outbox: Outbox | None = None
        self._reset = False
        self.expires = True
        self.end_of_kept_head = b""

    def flush(self) -> None:
        """Send what the Core's buffer holds; raises ``ClientGone``."""
        out = self.core.out
        if out:
            data = bytes(out)
            out.clear()
            self._send(data)

    def has_output(self) -> bool:
        """Whether the outbox holds anything."""
        return bool(self._outbox)

    def flush_with(self, data: bytes) -> None:
        """Send the Core's buffer and then ``data``, without copying it."""
        out = self.core.out
        if self.fd < 0 or self._outbox:
            self.flush()
            self._keep(data)
            return
        head = bytes(out)
        out.clear()
        try:
            sent = os.writev(self.fd, [head, data])
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise ClientGone from error
        self.core.sent += sent
        if sent < len(head):
            self._keep(head[sent:])
        if sent < len(head) + len(data):
            self._keep(memoryview(data)[max(0, sent - len(head)) :])

    def flush_quietly(self) -> None:
        """Flush where the client's absence is noticed later."""
        try:
            self.flush()
        except ClientGone:
            self.core.out.clear()

    def _send(self, data: bytes) -> None:
        if self._outbox or self._socket is None:
            self._keep(data)
            return
        try:
            sent = self._socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise ClientGone from error
        self.core.sent += sent
        if sent < len(data):
            self._keep(memoryview(data)[sent:])

    def _keep(self, data: bytes | memoryview) -> None:
        self._open_outbox().add(data)

    def _open_outbox(self) -> Outbox:
        if self._outbox is None:
            policy = self.core.policy
            self._outbox = Outbox(self.core.budget, policy.output_memory, policy.tmp_upload_dir)
        return self._outbox

    def send_file(self, file: FileRange) -> None:
        """Send the Core's buffer, then a file; what does not fit waits."""
        self.flush()
        outbox = self._open_outbox()
        outbox.add_file(file)
        before = outbox.size
        try:
            outbox.send(self.fd)
        except OSError as error:
            raise ClientGone from error
        self.core.sent += before - outbox.size

    def wait_for_room(self) -> None:
        """Make the application wait while too much is unsent; raises ``ClientGone``."""
        policy = self.core.policy
        if policy.turn is not None:
            policy.turn()
        self._wait(policy.output_memory + policy.output_spool)

    def _wait(self, limit: int) -> None:
        """Wait until at most ``limit`` octets are unsent; raises ``ClientGone``."""
        outbox = self._outbox
        if outbox and self.fd >= 0:
            before = outbox.size
            policy = self.core.policy
            outbox.wait(self.fd, limit, policy.write_timeout, policy.wait)
            self.core.sent += before - outbox.size

    def drop_output(self) -> None:
        """Forget what a client that is gone will not take."""
        self.core.out.clear()
        if self._outbox is not None:
            self._outbox.close()

    def reset_on_close(self) -> None:
        """Let ``close`` end in a reset instead of a clean end of the stream."""
        self.flush_quietly()
        self._reset = True


def _wrap(fd: int, remote: Any) -> socket.socket:
    """Make a socket object of a descriptor without asking the kernel what it is."""
    if isinstance(remote, tuple):
        family = socket.AF_INET6 if len(remote) == 4 else socket.AF_INET
    else:
        family = socket.AF_UNIX
    return Socket(family, socket.SOCK_STREAM, 0, fd)
