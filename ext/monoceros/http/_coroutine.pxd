"""What lets an extension type answer ``await`` without an exception for each result."""

from cpython.ref cimport PyObject

cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT

    ctypedef PySendResult (*sendfunc)(PyObject *, PyObject *, PyObject **) except? PYGEN_ERROR
    ctypedef PyObject *(*iternextfunc)(PyObject *) noexcept

    ctypedef struct PyAsyncMethods:
        sendfunc am_send

    ctypedef struct PyTypeObject:
        PyAsyncMethods *tp_as_async
        iternextfunc tp_iternext

    PySendResult PyIter_Send(object iterator, object value, PyObject **result) except? PYGEN_ERROR
    bint PyCoro_CheckExact(object coroutine) noexcept
