"""A scoreboard record that requests are put on one after the other, compiled."""

cimport cython

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from monoceros.http._core cimport Slot, begin_slot, end_slot, monotonic_ns


@cython.freelist(8)
cdef class Record:
    """What is written to one slot, or to none; only its owner may do so."""

    def __cinit__(self, slot, /):
        cdef Py_buffer view
        if slot is not None:
            # The mapping lives as long as the process; only the address is kept.
            PyObject_GetBuffer(slot, &view, PyBUF_WRITABLE)
            if <size_t>view.len < sizeof(Slot):
                PyBuffer_Release(&view)
                raise ValueError("slot is smaller than a scoreboard record")
            self.slot = <Slot *>view.buf
            self.has_slot = True
            self.view = slot
            PyBuffer_Release(&view)

    cpdef int begin(self, bytes peer, bytes request) except -1:
        """Put a request in flight there; without a slot only its time is taken."""
        if peer is None or request is None:
            raise TypeError("peer and request are bytes")
        self.started_ns = monotonic_ns()
        self.requests += 1
        if self.slot != NULL:
            begin_slot(
                self.slot,
                self.started_ns,
                self.requests,
                peer,
                PyBytes_AS_STRING(request),
                PyBytes_GET_SIZE(request),
            )
        return 0

    cpdef int end(self, int code) except -1:
        """Take it off, and count it by the status that it was answered with; 0 for none."""
        self.end_at(monotonic_ns(), code)
        return 0

    cdef void end_at(self, int64_t now, int code) noexcept:
        if self.slot != NULL:
            end_slot(self.slot, now, now - self.started_ns, code)

    def abandon(self):
        """Write no more: the slot belongs to the process that this one was forked from."""
        self.slot = NULL
        self.has_slot = False
