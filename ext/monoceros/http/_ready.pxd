"""What ``send`` and ``receive`` return where there is nothing to wait for."""

cdef class Ready:
    cdef object value

cdef class Whole:
    cdef object value
    cdef object giver  # takes it back
