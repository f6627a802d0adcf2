"""The calls of an application that awaits, compiled; see ``_calls_py``."""

cimport cython
from libc.stdint cimport int64_t

from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject_Call
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject

from monoceros.http._core cimport Core, monotonic_ns
from monoceros.http._coroutine cimport (
    PYGEN_ERROR,
    PYGEN_NEXT,
    PYGEN_RETURN,
    PyCoro_CheckExact,
    PyIter_Send,
    PySendResult,
    PyTypeObject,
)
from monoceros.http._exchange cimport Exchange
from monoceros.http._exchange_log cimport exchange_log
from monoceros.http._record cimport Record

from types import GeneratorType

cdef enum:
    CO_ITERABLE_COROUTINE = 0x100  # as ``inspect`` has it


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
        exchange.started_ns = record.started_ns
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
                app = self.calls.app
                self.inner = _awaited(app(exchange.scope, exchange.receive, exchange.send))
            outcome = PyIter_Send(self.inner, value, result)
        except BaseException as error:
            self.is_running = False
            self.fail(exchange, error)
        else:
            self.is_running = False
            if outcome == PYGEN_NEXT:
                return outcome
            Py_DECREF(<object>result[0])
            result[0] = NULL  # as it has to be where ``fail`` raises
            if not exchange.complete:
                self.fail(exchange, None)
            else:
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
                self.fail(exchange, None)
            else:
                self.finish(exchange)
        except BaseException as error:
            self.is_running = False
            self.fail(exchange, error)
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

    cdef int fail(self, Exchange exchange, object error) except -1:
        try:
            self.calls.fail(exchange, error)
        finally:
            self.finish(exchange)
        return 0

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
