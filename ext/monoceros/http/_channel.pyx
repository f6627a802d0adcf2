"""The sending half of a connection, compiled."""

from monoceros.http._core cimport Core
from monoceros.http._socket cimport (
    EAGAIN,
    EINTR,
    EWOULDBLOCK,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    errno,
    iovec,
    msghdr,
    send,
    sendmsg,
    ssize_t,
)

from libc.string cimport memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from monoceros.http.errors import ClientGone
from monoceros.http.outbox import Outbox

cdef enum:
    # Octets whose copying takes so long that other threads may have the GIL meanwhile; for less,
    # getting it back from one that computes would take longer.
    LONG = 1 << 18


cdef class Channel:
    """Sends what the Core's buffer holds, and keeps what the client does not take."""

    cdef int flush(self) except -1:
        """Send what the Core's buffer holds; raises ``ClientGone``."""
        cdef Core core = self.core
        cdef size_t size = core.out_size
        cdef ssize_t sent = 0
        if size == 0:
            return 0
        core.out_size = 0
        if self.fd >= 0 and not self.has_output():
            sent = send(self.fd, core.out, size, MSG_NOSIGNAL | MSG_DONTWAIT)
            if sent == <ssize_t>size:
                core.sent += size
                return 0
            if sent < 0:
                self._check(errno)
                sent = 0
            core.sent += sent
        return self.keep(PyBytes_FromStringAndSize(core.out + sent, size - sent))

    cdef int flush_with(self, object data, const char *start, size_t size) except -1:
        """Send the Core's buffer and then octets of ``data``, which is bytes, without a copy."""
        cdef Core core = self.core
        cdef size_t before = core.out_size
        cdef ssize_t sent
        cdef int error
        cdef iovec parts[2]
        cdef msghdr message
        cdef Py_ssize_t offset = start - PyBytes_AS_STRING(data)
        if self.fd < 0 or self.has_output():
            self.flush()
            return self.keep(memoryview(data)[offset:offset + size])
        memset(&message, 0, sizeof(message))
        parts[0].iov_base = core.out
        parts[0].iov_len = before
        parts[1].iov_base = <void *>start
        parts[1].iov_len = size
        message.msg_iov = parts
        message.msg_iovlen = 2
        if size < LONG:
            sent = sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
            error = errno
        else:
            with nogil:
                sent = sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                error = errno
        if sent < 0:
            core.out_size = 0 if error != EAGAIN and error != EWOULDBLOCK else before
            self._check(error)
            sent = 0
        core.sent += sent
        core.out_size = 0
        if <size_t>sent < before:
            self.keep(PyBytes_FromStringAndSize(core.out + sent, before - sent))
            sent = before
        if <size_t>sent < before + size:
            offset += sent - before
            self.keep(memoryview(data)[offset:offset + (size - (sent - before))])
        return 0

    cdef int flush_quietly(self) except -1:
        """Flush where the client's absence is noticed later."""
        try:
            self.flush()
        except ClientGone:
            self.core.out_size = 0
        return 0

    def _check(self, int error):
        """Raise ``ClientGone`` unless the socket is only full."""
        if error != EAGAIN and error != EWOULDBLOCK and error != EINTR:
            raise ClientGone(error, "client is gone")

    cdef int keep(self, object data) except -1:
        """Put what the client did not take into the outbox."""
        self._open_outbox().add(data)
        return 0

    def _open_outbox(self):
        if self.outbox is None:
            policy = self.core.policy
            self.outbox = Outbox(self.core.budget, policy.output_memory, policy.tmp_upload_dir)
        return self.outbox

    cdef bint has_output(self):
        """Whether the outbox holds anything."""
        return self.outbox is not None and bool(self.outbox)

    cdef int send_file(self, object file) except -1:
        """Send the Core's buffer, then a file; what does not fit waits."""
        self.flush()
        outbox = self._open_outbox()
        outbox.add_file(file)
        before = outbox.size
        try:
            outbox.send(self.fd)
        except OSError as error:
            raise ClientGone from error
        self.core.sent += before - outbox.size
        return 0

    cdef int wait_for_room(self) except -1:
        """Make the application wait while too much is unsent; raises ``ClientGone``."""
        policy = self.core.policy
        if policy.turn is not None:
            policy.turn()
        if self.outbox is None:
            return 0
        return self.wait(policy.output_memory + policy.output_spool)

    cdef int wait(self, object limit) except -1:
        """Wait until at most ``limit`` octets are unsent; raises ``ClientGone``."""
        if self.fd >= 0 and self.has_output():
            before = self.outbox.size
            policy = self.core.policy
            self.outbox.wait(self.fd, limit, policy.write_timeout, policy.wait)
            self.core.sent += before - self.outbox.size
        return 0

    cdef int reset_on_close(self) except -1:
        """Let ``close`` end in a reset instead of a clean end of the stream."""
        self.flush_quietly()
        self.reset = True
        return 0

    cdef int drop_output(self) except -1:
        """Forget what a client that is gone will not take."""
        self.core.out_size = 0
        if self.outbox is not None:
            self.outbox.close()
        return 0

    cdef bint body_is_read(self):
        """Whether nothing of the present request's content is left on the wire."""
        return True

    cdef bint has_unused(self) noexcept:
        """Whether octets were received and not used."""
        return False

    cdef int finish_request(self) except -1:
        """Drop what the request held."""
        return 0
