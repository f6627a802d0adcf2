"""One connection's requests as long as all is usual, compiled; see ``_dialogue_py``."""

from libc.stdint cimport int64_t

from cpython.bytes cimport PyBytes_GET_SIZE

from monoceros.http._calls cimport Calls
from monoceros.http._core cimport monotonic_ns
from monoceros.http._exchange cimport Exchange, Owner
from monoceros.http._reader cimport HeadReader
from monoceros.http._record cimport Record
from monoceros.http._wire cimport Wire

from monoceros.http.errors import BadRequest
from monoceros.http.types import BODY, HEAD, IDLE, LINGERING, MOST_UNFINISHED, TURN

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() noexcept

cdef int STATE_IDLE = IDLE
cdef int STATE_HEAD = HEAD
cdef int STATE_BODY = BODY
cdef int STATE_LINGERING = LINGERING

cdef int MOST_LEFT = MOST_UNFINISHED
cdef int64_t WHOLE_TURN = TURN

cdef enum:
    PIECE = 1 << 10  # octets that would take as long as the rest of a call of ``send``


cdef class Dialogue(Owner):
    """One connection; see the other twin."""

    def __init__(self, Calls calls not None, /):
        self.calls = calls
        self.turn = WHOLE_TURN
        self.state = STATE_HEAD
        self.taken = -1
        self.since = monotonic_ns() * 1e-9
        self.thread = PyThread_get_thread_ident()

    def open(self, transport, bytes peer not None, bint trusted, bint expires, dict template, /):
        """Begin; requests have the ``template`` for their scope."""
        self.transport = transport
        if isinstance(transport, Wire):
            self.wire = transport
        self.peer = peer
        self.trusted = trusted
        self.expires = expires
        self.reader = HeadReader(self.calls.core, template, trusted)

    # -- requests ----------------------------------------------------------------------------

    def data_received(self, bytes data not None, /):
        """Take in what has come."""
        if (
            self.exchange is None
            and self.successor is None
            and not self.is_due
            and not self.is_paused
            and self.state != STATE_LINGERING
        ):
            self._advance(data)
        else:
            self.take_aside(data)

    def advance(self, bytes data not None, /):
        """Begin the next request, if its head is there."""
        self._advance(data)

    cdef int _advance(self, bytes data) except -1:
        cdef Exchange exchange
        cdef Record record
        try:
            exchange = self.reader._feed(data)
        except BadRequest as error:
            self.refuse(error)
            return 0
        if exchange is None:
            if self.state != STATE_HEAD and self.reader.has_pending():
                self._enter(STATE_HEAD)
            return 0
        if exchange.upgrade and self.switch(exchange):
            return 0
        exchange.owner = self
        exchange.record = record = self.calls._take_record()
        record.begin(self.peer, exchange.line)
        self.exchange = exchange
        self.state = STATE_BODY
        if exchange.content_length:
            whole = self.reader._take_content(exchange.content_length)
            if whole is not None:
                exchange.whole = whole
            elif not self.begin_content(exchange):
                return 0
        return self.calls._begin(exchange)

    # -- responses ---------------------------------------------------------------------------

    def write(self, bytes data not None, /):
        """Send octets, or keep what the client does not take at once."""
        if data:
            self._write(data, False)

    def write_in_turn(self, bytes data not None, bint is_last, /):
        """Send octets of a response, and let others have a turn after so many."""
        self._write_in_turn(data, is_last)

    cdef int _write(self, bytes data, bint is_last) except -1:
        if self.wire is None:
            self.transport.write(data)
        elif is_last:
            self.wire._write_last(data)
        else:
            self.wire._write(data)
        return 0

    cdef int _write_in_turn(self, bytes data, bint is_last) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if size or is_last:
            self._write(data, is_last)
        self.turn -= size + PIECE
        if self.turn < 0:
            self.is_turn_over = self.is_paused = True
        return 0

    def end(self, Exchange exchange not None, /):
        """Go on after a complete response."""
        self._end(exchange)

    cdef int _end(self, Exchange exchange) except -1:
        self.exchange = None
        self.unfinished += 1
        self.calls._end(exchange)
        if exchange.news is not None:
            exchange.news.set()
        content = exchange.content
        if (
            exchange.keep_alive
            and (content is None or content.is_complete)
            and not (self.is_paused or self.is_full or self.has_ended)
            and not self.reader.has_pending()
        ):
            self.state = STATE_IDLE
            self.since = self.calls.ended_ns * 1e-9
        else:
            self.end_otherwise(exchange)
        return 0

    def forget(self, Exchange exchange not None, /):
        """Hear that a call is over, with all that it did in the background."""
        self._forget(exchange)

    cdef int _forget(self, Exchange exchange) except -1:
        self.unfinished -= 1
        if self.unfinished == MOST_LEFT and self.exchange is None:
            self.go_on()
        return 0

    def enter(self, int state, /):
        """Go to another state."""
        self._enter(state)

    cdef void _enter(self, int state) noexcept:
        self.state = state
        self.since = monotonic_ns() * 1e-9

    # -- what subclasses do --------------------------------------------------------------------

    def take_aside(self, data, /):
        """Take octets that are no next request, or not yet."""
        raise NotImplementedError

    def refuse(self, error, /):
        """Answer a request that is none."""
        raise NotImplementedError

    def switch(self, exchange, /):
        """Go over to another protocol where that is asked for; False where HTTP goes on."""
        raise NotImplementedError

    def begin_content(self, exchange, /):
        """Make ready for content; False where the request was refused for it."""
        raise NotImplementedError

    def end_otherwise(self, exchange, /):
        """Go on after a complete response where not just the next request is waited for."""
        raise NotImplementedError

    def go_on(self):
        """Begin with what has come already."""
        raise NotImplementedError
