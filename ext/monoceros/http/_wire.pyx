"""A client's socket in an event loop, as far as nothing has to wait; see ``_wire_py``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from monoceros.http._core cimport IN_SIZE, Core
from monoceros.http._socket cimport (
    EAGAIN,
    EINTR,
    EWOULDBLOCK,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    errno,
    recv,
    send,
    ssize_t,
)

from collections import deque
from os import strerror


def look(dict wires not None, list events not None, int output, report, /):
    """Have wires read and send that can; ``report`` hears of what they raise."""
    cdef Wire wire
    cdef int mask
    for fd, mask in events:
        found = wires.get(fd)
        if found is None:
            continue  # it was given up for what has come on another one
        wire = found
        try:
            if mask & ~output:
                wire.take_in()
            if mask & output:
                wire.go_on()
        except Exception as error:  # border: one connection's failure is not another's
            report(wire, error)


cdef class Wire:
    """A socket; see the other twin."""

    def __init__(self, Core core not None, sock not None, /):
        self.core = core
        self.socket = sock
        self.fd = sock.fileno()
        self.held = deque()
        self.reads = True

    cdef int take_in(self) except -1:
        cdef Core core = self.core
        cdef ssize_t size
        if not self.reads:
            self.hang_up()
            return 0
        size = recv(self.fd, core.input, IN_SIZE, MSG_DONTWAIT)
        if size > 0:
            core.received += size
            self.take(PyBytes_FromStringAndSize(core.input, size))
        elif size == 0:
            self.end()
        else:
            self._judge(errno)
        return 0

    def write(self, data, /):
        """Send octets, or keep what the client does not take at once."""
        self._write(data if type(data) is bytes else bytes(data))

    def write_last(self, bytes data not None, /):
        """Send octets that are not followed by others soon."""
        self._write_last(data)

    cdef int _write(self, bytes data) except -1:
        if self.is_shut:
            return 0
        if self.is_warm or self.held:
            self.hold(data)
            return 0
        self.is_warm = True
        self.begin_turn()
        return self._send(data)

    cdef int _write_last(self, bytes data) except -1:
        if self.is_shut:
            return 0
        if self.held:
            self.hold(data)
            self.flush()
            return 0
        return self._send(data)

    cdef int _send(self, bytes data) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef ssize_t sent
        sent = send(self.fd, PyBytes_AS_STRING(data), size, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent < 0:
            if not self._judge(errno):
                return 0
            sent = 0
        self.core.sent += sent
        if sent < size:
            self.hold(memoryview(data)[sent:])
            self.flush()
        return 0

    def _judge(self, int error):
        """Give the connection up unless its socket is only empty or full."""
        if error == EAGAIN or error == EWOULDBLOCK or error == EINTR:
            return True
        self.lose(OSError(error, strerror(error)))
        return False

    # -- what subclasses do --------------------------------------------------------------------

    def begin_turn(self):
        """Have ``is_warm`` taken back, and ``flush`` called, at the end of this turn."""
        raise NotImplementedError

    def hold(self, data, /):
        """Keep octets that are to be sent later."""
        raise NotImplementedError

    def flush(self):
        """Send what is held, now or when there is room."""
        raise NotImplementedError

    def go_on(self):
        """Hear that there is room."""
        raise NotImplementedError

    def hang_up(self):
        """Hear, while nothing is to be read, that nobody is there any more."""
        raise NotImplementedError

    def end(self):
        """Hear that the client sends nothing more."""
        raise NotImplementedError

    def lose(self, error, /):
        """Give the connection up."""
        raise NotImplementedError
