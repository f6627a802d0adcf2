"""Noticing that a thread has been at work for too long, compiled: it waits without the GIL."""

from libc.stdint cimport int64_t

from monoceros.http._core cimport Core, Pulse, monotonic_ns

from monoceros.http import types as _types

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    ctypedef unsigned long nfds_t
    short POLLIN

cdef extern from *:
    """
    #define _GNU_SOURCE
    #include <poll.h>
    #include <time.h>
    /* Waits for input, at most so many nanoseconds: poll(2) knows milliseconds only. */
    static inline int mono_poll(struct pollfd *one, int64_t timeout_ns) {
    #ifdef __linux__
        struct timespec timeout;
        timeout.tv_sec = timeout_ns / 1000000000;
        timeout.tv_nsec = timeout_ns % 1000000000;
        return ppoll(one, 1, &timeout, NULL);
    #else
        return poll(one, 1, (int)((timeout_ns + 999999) / 1000000));
    #endif
    }
    """
    int mono_poll(pollfd *one, int64_t timeout_ns) nogil

cdef int QUIET = _types.QUIET
cdef int LATE_CALL = _types.LATE_CALL
cdef int LATE_BATCH = _types.LATE_BATCH
cdef int WOKEN = _types.WOKEN


cdef class Watch:
    """One thread's look at the Core of another; see ``monoceros.http.protocols.Watch``."""

    cdef pollfd wakeup
    cdef Pulse *pulse
    cdef list followed  # keeps what the pointer belongs to
    cdef double seen  # when the batch began that the last look found

    def __cinit__(self, int fd, /):
        self.wakeup.fd = fd
        self.wakeup.events = POLLIN
        self.followed = []

    def follow(self, Core core not None, /):
        """Look at this Core from now on."""
        if core not in self.followed:
            self.followed.append(core)
        self.pulse = &core.pulse

    def wait(self, double tick_s, int patience, int looks=1024, /):
        """Look once each tick until there is something to say."""
        cdef int64_t tick_ns = <int64_t>(tick_s * 1e9)
        cdef int found
        with nogil:
            found = self._wait(tick_ns, patience, looks)
        return found

    def judge(self, double tick_s, /):
        """Look once and now."""
        return self._judge(<int64_t>(tick_s * 1e9))

    def is_unchanged(self):
        """Whether no batch has begun since the last look of ``wait``, and none is under way."""
        return self._is_unchanged()

    cdef int _wait(self, int64_t tick_ns, int patience, int looks) noexcept nogil:
        cdef int quiet = 0
        cdef int found
        cdef int _look
        for _look in range(looks):
            # Also a signal that interrupts is a reason to look what it was.
            if mono_poll(&self.wakeup, tick_ns) != 0:
                return WOKEN
            found = self._judge(tick_ns)
            if found != QUIET:
                return found
            quiet = quiet + 1 if self._is_unchanged() else 0
            self.seen = 0 if self.pulse == NULL else self.pulse.ticked
            if quiet == patience:
                break
        return QUIET

    cdef int _judge(self, int64_t tick_ns) noexcept nogil:
        cdef Pulse *pulse = self.pulse
        cdef int64_t now
        if pulse == NULL or not pulse.running:
            return QUIET
        now = monotonic_ns()
        if now - pulse.started_ns > tick_ns:
            return LATE_CALL
        if now * 1e-9 - pulse.ticked > tick_ns * 1e-9:
            return LATE_BATCH
        return QUIET

    cdef bint _is_unchanged(self) noexcept nogil:
        cdef Pulse *pulse = self.pulse
        return pulse == NULL or (not pulse.running and pulse.ticked == self.seen)
