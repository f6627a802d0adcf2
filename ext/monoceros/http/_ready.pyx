"""What ``send`` and ``receive`` return where there is nothing to wait for, compiled."""

cimport cython
from cpython.ref cimport Py_INCREF, PyObject

from monoceros.http._coroutine cimport PYGEN_ERROR, PYGEN_RETURN, PySendResult, PyTypeObject

cdef extern from "Python.h":
    void PyErr_SetObject(object kind, object error) noexcept


@cython.freelist(8)
cdef class Ready:
    """An awaitable whose value is there; ``asyncio.create_task`` takes it for a coroutine."""

    def __cinit__(self, value, /):
        self.value = value

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration(self.value)

    def send(self, value, /):
        """Return the value, as a coroutine does."""
        raise StopIteration(self.value)

    def throw(self, kind, value=None, traceback=None, /):
        """Raise what was thrown in."""
        raise kind if value is None else value

    def close(self):
        """Do nothing: nothing was begun."""


cdef PySendResult _ready_send(
    PyObject *self, PyObject *_value, PyObject **result
) except? PYGEN_ERROR:
    cdef object value = (<Ready>self).value
    Py_INCREF(value)
    result[0] = <PyObject *>value
    return PYGEN_RETURN


cdef PyObject *_ready_next(PyObject *self) noexcept:
    cdef object value = (<Ready>self).value
    if value is not None:
        PyErr_SetObject(StopIteration, StopIteration(value))
    return NULL


# Raising in ``__next__`` would make a traceback each time.
(<PyTypeObject *>Ready).tp_iternext = _ready_next
(<PyTypeObject *>Ready).tp_as_async.am_send = _ready_send


@cython.freelist(8)
cdef class Whole:
    """All content of a request, as an event; given back where nobody takes it.

    A task of it may be cancelled before it runs, as by ``asyncio.wait_for`` without patience.
    """

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        self.giver = None
        raise StopIteration(self.value)

    def send(self, value, /):
        """Return the value, as a coroutine does."""
        self.giver = None
        raise StopIteration(self.value)

    def throw(self, kind, value=None, traceback=None, /):
        """Give the content back, and raise what was thrown in."""
        self.close()
        raise kind if value is None else value

    def close(self):
        """Give the content back."""
        giver = self.giver
        self.giver = None
        if giver is not None:
            giver.take_back(self.value)


cdef PySendResult _whole_send(
    PyObject *self, PyObject *_value, PyObject **result
) except? PYGEN_ERROR:
    cdef Whole whole = <Whole>self
    whole.giver = None
    Py_INCREF(whole.value)
    result[0] = <PyObject *>whole.value
    return PYGEN_RETURN


cdef PyObject *_whole_next(PyObject *self) noexcept:
    cdef Whole whole = <Whole>self
    whole.giver = None
    PyErr_SetObject(StopIteration, StopIteration(whole.value))
    return NULL


(<PyTypeObject *>Whole).tp_iternext = _whole_next
(<PyTypeObject *>Whole).tp_as_async.am_send = _whole_send
