"""One connection's requests and calls as long as all is usual, compiled; see ``_dialogue_py``."""

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject_Call
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject

from monoceros.http._core cimport monotonic_ns
from monoceros.http._coroutine cimport (
    PYGEN_ERROR,
    PYGEN_NEXT,
    PYGEN_RETURN,
    PyCoro_CheckExact,
    PyIter_Send,
    PySendResult,
    PyTypeObject,
)
from monoceros.http._exchange_log cimport exchange_log
from monoceros.http._wire cimport Wire

from types import GeneratorType

from monoceros.http.errors import BadRequest
from monoceros.http.types import BODY, HEAD, IDLE, LINGERING, MOST_UNFINISHED, TURN

cdef int STATE_IDLE = IDLE
cdef int STATE_HEAD = HEAD
cdef int STATE_BODY = BODY
cdef int STATE_LINGERING = LINGERING

cdef int MOST_LEFT = MOST_UNFINISHED
cdef int64_t WHOLE_TURN = TURN

cdef enum:
    CO_ITERABLE_COROUTINE = 0x100  # as ``inspect`` has it
    PIECE = 1 << 10  # octets that would take as long as the rest of a call of ``send``


cdef class Calls:
    """The calls of the application in one worker; see the other twin."""

    def __init__(self, app, Core core not None, list records not None, task, dict options, /):
        self.app = app
        self.core = core
        self.records = records
        self.calls = set()
        self.task = task
        self.options = options
        self.log = exchange_log(core)

    def take_record(self):
        """Return a record that no request is on; one without a slot where all are taken."""
        return self._take_record()

    cdef Record _take_record(self):
        return self.records.pop() if PyList_GET_SIZE(self.records) else Record(None)

    def begin(self, Exchange exchange not None, /):
        """Call the application."""
        self._begin(exchange)

    cdef int _begin(self, Exchange exchange) except -1:
        cdef Call call
        self.core.requests += 1
        if self.observes_begin and not self.observe_begin(exchange):
            return 0
        self.calls.add(exchange)
        call = Call.__new__(Call)
        call.calls = self
        call.exchange = exchange
        exchange.task = PyObject_Call(self.task, (call,), self.options)
        if exchange.is_over:
            self.cancel_later(exchange)  # it was begun at once, and given up before this
        return 0

    def end(self, Exchange exchange not None, /):
        """Count a request whose response is complete, or given up."""
        self._end(exchange)

    cdef int _end(self, Exchange exchange) except -1:
        cdef int64_t elapsed_us
        cdef Record record = exchange.record
        cdef int64_t now = monotonic_ns()
        self.ended_ns = now
        self.core.responses += 1
        record.end_at(now, exchange.code if exchange.started else 0)
        self._give_back(record)
        if self.observes_end:
            elapsed_us = (now - record.started_ns) // 1000
            if self.log is None or not self.log.write(exchange, elapsed_us):
                self.observe_end(exchange, elapsed_us)
            elif self.log.is_first:
                self.write_log_soon()
        return 0

    def give_back(self, Record record not None, /):
        """Have a record for another request."""
        self._give_back(record)

    cdef int _give_back(self, Record record) except -1:
        if record.has_slot or not PyList_GET_SIZE(self.records):
            self.records.append(record)
        return 0

    def observe_begin(self, exchange, /):
        """Tell who wants to know; False where there is to be no call."""
        raise NotImplementedError

    def observe_end(self, exchange, elapsed_us, /):
        """Tell who wants to know."""
        raise NotImplementedError

    def write_log_soon(self):
        """Have the lines written that the access log has now."""
        raise NotImplementedError

    def cancel_later(self, exchange, /):
        """Cancel a call whose client has gone, unless it ends soon by itself."""
        raise NotImplementedError

    def fail(self, exchange, error, /):
        """End a request whose call raised, or returned without a complete response."""
        raise NotImplementedError


@cython.freelist(8)
cdef class Call:
    """One call of the application, as a coroutine for a task."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value, /):
        """Go on up to where the application waits for something; see ``coroutine.send``."""
        cdef PyObject *result = NULL
        cdef PySendResult outcome = self.step(value, &result)
        awaited = <object>result
        Py_DECREF(awaited)
        if outcome == PYGEN_NEXT:
            return awaited
        raise StopIteration(awaited)

    cdef PySendResult step(self, object value, PyObject **result) except? PYGEN_ERROR:
        cdef Exchange exchange = self.enter()
        cdef PySendResult outcome
        try:
            if self.inner is None:
                self.inner = _awaited(self.calls.app(exchange.scope, exchange.receive, exchange.send))
            outcome = PyIter_Send(self.inner, value, result)
        except BaseException as error:
            self.is_running = False
            self.calls.fail(exchange, error)
        else:
            self.is_running = False
            if outcome == PYGEN_NEXT:
                return outcome
            Py_DECREF(<object>result[0])
            result[0] = NULL  # as it has to be where ``fail`` raises
            if not exchange.complete:
                self.calls.fail(exchange, None)
        self.finish(exchange)
        Py_INCREF(None)
        result[0] = <PyObject *>None
        return PYGEN_RETURN

    def throw(self, kind, value=None, traceback=None, /):
        """Raise in the application; see ``coroutine.throw``."""
        cdef Exchange exchange = self.enter()
        try:
            if self.inner is None:
                raise kind if value is None else value
            awaited = self.inner.throw(kind if value is None else value)
            self.is_running = False
            return awaited
        except StopIteration:
            self.is_running = False
            if not exchange.complete:
                self.calls.fail(exchange, None)
        except BaseException as error:
            self.is_running = False
            self.calls.fail(exchange, error)
        self.finish(exchange)
        raise StopIteration

    cdef Exchange enter(self):
        """Return the request, as long as the call may go on."""
        if self.is_running:
            raise ValueError("coroutine already executing")
        if self.exchange is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self.is_running = True
        return self.exchange

    def close(self):
        """End what the application is at; see ``coroutine.close``."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()

    cdef int finish(self, Exchange exchange) except -1:
        self.inner = self.exchange = None  # its task is kept there
        self.calls.calls.discard(exchange)
        return exchange.owner._forget(exchange)

    # What a coroutine says of itself is here what that of the application does.

    @property
    def cr_frame(self):
        """Where the application is."""
        return getattr(self.inner, "cr_frame", None)

    @property
    def cr_code(self):
        """What the application runs."""
        return getattr(self.inner, "cr_code", None)

    @property
    def cr_running(self):
        """Whether the application runs."""
        return self.is_running

    @property
    def cr_await(self):
        """What the application waits for."""
        return getattr(self.inner, "cr_await", None)

    @property
    def __name__(self):
        return getattr(self.inner, "__name__", "Call")

    @property
    def __qualname__(self):
        return getattr(self.inner, "__qualname__", "Call")


cdef PySendResult _send(
    PyObject *self, PyObject *value, PyObject **result
) except? PYGEN_ERROR:
    return (<Call>self).step(<object>value, result)


# For ``PyIter_Send``, which tasks and ``await`` use: no exception at the end.
(<PyTypeObject *>Call).tp_as_async.am_send = _send


cdef object _awaited(object awaitable):
    """Return what ``await`` would take its values from."""
    if PyCoro_CheckExact(awaitable):
        return awaitable
    if type(awaitable) is GeneratorType and awaitable.gi_code.co_flags & CO_ITERABLE_COROUTINE:
        return awaitable
    try:
        begin = type(awaitable).__await__
    except AttributeError:
        raise TypeError(
            f"object {type(awaitable).__name__} can't be used in 'await' expression"
        ) from None
    return begin(awaitable)


cdef class Dialogue(Owner):
    """One connection; see the other twin."""

    def __init__(self, Calls calls not None, /):
        self.calls = calls
        self.turn = WHOLE_TURN
        self.state = STATE_HEAD
        self.taken = -1
        self.since = monotonic_ns() * 1e-9

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
            and self.unfinished <= MOST_LEFT
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
