"""What ``send`` and ``receive`` return where there is nothing to wait for."""

cdef class Ready:
    cdef object value
