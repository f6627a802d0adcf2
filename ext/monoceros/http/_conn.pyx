"""One HTTP/1.1 connection, compiled; ``_conn_py`` has the theory of operation."""

from libc.string cimport memset

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy

from monoceros.http._channel cimport Channel
from monoceros.http._core cimport IN_SIZE, Core, check_idle, monotonic_ns, put
from monoceros.http._environ cimport build_environ
from monoceros.http._head cimport HeadSpans, is_decided
from monoceros.http._request cimport OURS, Request
from monoceros.http._socket cimport (
    EAGAIN,
    EINTR,
    EWOULDBLOCK,
    MSG_DONTWAIT,
    MSG_PEEK,
    SHUT_RDWR,
    SHUT_WR,
    SO_LINGER,
    SOL_SOCKET,
    close,
    MONO_GONE,
    errno,
    linger,
    mono_look,
    recv,
    setsockopt,
    shutdown,
    ssize_t,
)

from io import BytesIO

from monoceros.http.answers import CONTINUE, error_response
from monoceros.http.body import Body
from monoceros.http.environ import peer_environ
from monoceros.http.errors import BadRequest, ClientGone
from monoceros.http.expiry import check_limit
from monoceros.http.rawsocket import ClientSocket, adopt, finish
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.stream import open_stream
from monoceros.http import types as _types

cdef int AGAIN = _types.AGAIN
cdef int CLOSE = _types.CLOSE
cdef int WANT_WRITE = _types.WANT_WRITE
cdef int HANDOFF = _types.HANDOFF
cdef int LINGER = _types.LINGER
cdef int MORE = _types.MORE
cdef int IDLE = _types.IDLE
cdef int HEAD = _types.HEAD
cdef int BODY = _types.BODY
cdef int WRITE = _types.WRITE
cdef int LINGERING = _types.LINGERING

cdef enum:
    BATCH_REQUESTS = 64  # pipelined requests that are answered before others get their turn
    BATCH_OCTETS = 1 << 16
    DISCARDS = 16  # receives of unwanted input before others get their turn
    SLOW_CALL_NS = 1000000  # after a call this long, finished answers do not wait for the next


cdef class Conn(Channel):
    """The state of one connection; see ``monoceros.http.types.Conn`` for the contract."""

    def __cinit__(
        self, Core core not None, int fd, remote, local, scheme, bint trusted=False, /
    ):
        self.core = core
        self.fd = fd
        self.state = HEAD
        self.since = core.now
        self.received = 0
        self.expires = not (trusted and core.spares_trusted)
        self.end_of_kept_head = None if trusted else core.end_of_kept_head
        self.remote = remote
        self.local = local
        self.scheme = scheme
        self.trusted = trusted
        self.peer = (<str>remote[0]).encode("latin-1") if isinstance(remote, tuple) else b"unix"
        self.after = AGAIN

    @property
    def pending(self):
        """Octets that were received and not used."""
        if self.position != NULL:
            return self.end - self.position
        return 0 if self.buffer is None else len(self.buffer)

    cdef Core _rebind(self, Core core):
        """Work with the Core of the thread that calls, from now on."""
        if core is not None:
            self.core = core
        check_idle(self.core)
        return self.core

    # -- input -------------------------------------------------------------------------------

    def ready(self, Core core=None, /):
        """Receive, parse, call the application and send, for all requests that have come."""
        cdef Request request
        cdef int code
        cdef int batch = 0
        cdef bint is_fresh = True
        core = self._rebind(core)
        try:
            if self.has_request:
                is_fresh = self.has_request = False
                self._open_buffer()
                code = HANDOFF
            else:
                code = self._receive()
            while code == HANDOFF:
                if core.out_size and monotonic_ns() - core.pulse.started_ns > SLOW_CALL_NS:
                    self.flush_quietly()
                request = self.request
                self.request = None
                code = self._run(request, is_fresh)
                is_fresh = True
                batch += 1
                if code != AGAIN or self.position == self.end:
                    break
                if (
                    batch == BATCH_REQUESTS or core.out_size > BATCH_OCTETS or self.has_output()
                ):
                    code = MORE
                    break
                code = self._advance()
        finally:
            self._save()
        return self._settle(code)

    cdef int _run(self, Request request, bint is_fresh) except -1:
        cdef HeadSpans *head = &self.core.parser.head
        self.answering = request
        # Method and target stand side by side in the input, unless it has been overwritten
        # while the request waited for its content, or for its turn.
        if is_fresh and self.body is None and not self.core.parser.casefold:
            self.core.begin(
                self.peer, head.data + head.method, head.method_size + 1 + head.target_size
            )
            return request.call(self.core)
        return request.run(self.core)

    def read(self, Core core=None, /):
        """Receive and parse only; HANDOFF when a request is complete."""
        self._rebind(core)
        if self.has_request:
            return HANDOFF
        try:
            code = self._receive()
        finally:
            self._save()
        self.has_request = code == HANDOFF
        return code

    def collect(self, Core core=None, /):
        """Do what ``ready`` does, but for the application; HANDOFF when a request is complete."""
        cdef int code = self.read(core)
        return code if code == HANDOFF else self._settle(code)

    def peek(self, Core core=None, /):
        """Return what has come and was not used, and leave it where it is; None at the end."""
        cdef ssize_t size
        cdef bytes kept
        self._rebind(core)
        kept = b"" if self.buffer is None else bytes(self.buffer)
        size = recv(self.fd, self.core.input, IN_SIZE, MSG_DONTWAIT | MSG_PEEK)
        if size > 0:
            return kept + PyBytes_FromStringAndSize(self.core.input, size)
        if size < 0 and (errno == EAGAIN or errno == EWOULDBLOCK or errno == EINTR):
            return kept
        return None

    def unread(self, bytes data not None, /):
        """Put octets in front that another process received and did not use."""
        if data:
            self.buffer = bytearray(data)

    def feed(self, bytes data not None, /):
        """Parse what the caller received; an empty ``data`` is the end of the input."""
        check_idle(self.core)
        if not data:
            return self._end_input()
        try:
            return self._take_in(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        finally:
            self._save()

    def take(self):
        """Return the next complete request."""
        request = self.request
        self.request = None
        self.has_request = False
        self.answering = request
        return request

    cdef int _receive(self) except -1:
        cdef ssize_t size
        if self.buffer is not None and not self.scanning:
            # What a batch of requests, or a body, left behind comes first.
            self._open_buffer()
            return self._advance()
        if self.fd < 0:
            return AGAIN
        if self.body is not None:
            return self._receive_body()
        size = recv(self.fd, self.core.input, IN_SIZE, MSG_DONTWAIT)
        if size > 0:
            return self._take_in(self.core.input, size)
        if size == 0:
            return self._end_input()
        if errno == EAGAIN or errno == EWOULDBLOCK or errno == EINTR:
            return AGAIN
        return CLOSE

    def _end_input(self):
        if self.body is not None:
            return self._refuse(refusal(Refusal.CONTENT_CUT_SHORT))
        return CLOSE

    cdef int _take_in(self, const char *data, Py_ssize_t size) except -1:
        """Take over received octets, which stay where they are until ``_save``."""
        self.core.received += size
        if self.body is not None:
            return self._take_body(data, size)
        if self.buffer is None:
            self.position = data
            self.end = data + size
        else:
            self.buffer += data[:size]
            self._open_buffer()
        return self._advance()

    cdef int _receive_body(self) except -1:
        """Take what has come of a body straight to where it is kept."""
        try:
            count = self.body.receive(self.fd, self.core.scratch())
            if count is None:
                return AGAIN
            self.core.received += count
            return self._check_body() if count else self._end_input()
        except BadRequest as error:
            return self._refuse(error)
        except OSError:
            return CLOSE

    cdef int _take_body(self, const char *data, Py_ssize_t size) except -1:
        try:
            self.body.feed(PyBytes_FromStringAndSize(data, size))
            return self._check_body()
        except BadRequest as error:
            return self._refuse(error)

    cdef int _open_buffer(self) except -1:
        """Make the octets that were kept the present input."""
        if self.buffer is not None:
            self.position = PyByteArray_AS_STRING(self.buffer)
            self.end = self.position + PyByteArray_GET_SIZE(self.buffer)
        return 0

    cdef int _save(self) except -1:
        """Keep what was not used of the present input."""
        cdef Py_ssize_t size = self.end - self.position
        if self.position == NULL:
            return 0  # nothing has come, and what was kept before stays
        if size == 0:
            self.buffer = None
        elif self.buffer is None or self.position != PyByteArray_AS_STRING(self.buffer):
            self.buffer = bytearray(self.position[:size])
        self.position = self.end = NULL
        return 0

    cdef int _advance(self) except -1:
        try:
            return self._next_head()
        except BadRequest as error:
            return self._refuse(error)

    cdef int _next_head(self) except -1:
        cdef Core core = self.core
        cdef Py_ssize_t size = self.end - self.position
        cdef HeadSpans *head = &core.parser.head
        cdef Request request
        if self.scanning:
            if not is_decided(&self.scan, self.position, size, &core.parser.limits):
                return AGAIN
        if not core.parser.parse(self.position, size):
            if not self.scanning:
                self.scanning = True
                memset(&self.scan, 0, sizeof(self.scan))
                is_decided(&self.scan, self.position, size, &core.parser.limits)
            self._enter(HEAD)
            return AGAIN
        self.scanning = False
        request = Request.__new__(Request)
        request.environ = build_environ(
            core,
            self._connection_environ(),
            self.trusted,
            not isinstance(self.local, tuple),
        )
        request.channel = self
        # What follows CONNECT, or a request for another protocol, may be no HTTP.
        request.keep_alive = head.keep_alive and not head.upgrade
        request.wants_close = not head.keep_alive
        request.minor = head.minor
        request.atoms = head.atoms
        request.last_key = head.last_key
        request.head_request = (
            head.method_size == 4 and request.environ["REQUEST_METHOD"] == "HEAD"
        )
        request.connect = (
            head.method_size == 7 and request.environ["REQUEST_METHOD"] == "CONNECT"
        )
        self.request = request
        self.position += head.length
        if head.content_length == 0:
            return HANDOFF
        return self._begin_body()

    cdef int _begin_body(self) except -1:
        cdef Core core = self.core
        cdef HeadSpans *head = &core.parser.head
        cdef Py_ssize_t size = self.end - self.position
        cdef bytes data
        if 0 < head.content_length <= size and head.content_length <= core.body_memory:
            data = PyBytes_FromStringAndSize(self.position, head.content_length)
            self.request.environ["wsgi.input"] = BytesIO(data)
            self.position += head.content_length
            return HANDOFF
        self.body = Body(
            None if head.content_length < 0 else head.content_length,
            core.limits,
            core.budget,
            core.policy.tmp_upload_dir,
        )
        self.expect = head.expect_continue and size == 0
        self.streamed = self.fd >= 0 and (head.upgrade or not core.buffering)
        self.received = 0
        if size:
            data = PyBytes_FromStringAndSize(self.position, size)
            self.position = self.end
            self.body.feed(data)
        return self._check_body()

    cdef int _check_body(self) except -1:
        """Hand the request over once its content is complete, or as much as may be kept."""
        cdef Request request = self.request
        cdef bytes rest
        body = self.body
        self.received = body.size
        if body.complete:
            self.streamed = False
            rest = body.rest
            if rest:
                self.buffer = bytearray(rest)
                self._open_buffer()
            request.environ["wsgi.input"] = body.stored()
            # A coding that was taken off leaves content of known length, and frameworks
            # read none without it.
            request.environ.setdefault("CONTENT_LENGTH", str(body.size))
            return HANDOFF
        if self.streamed or (body.full and self.fd >= 0):
            self.streamed = True
            stream = open_stream(body, self.fd, self.core.policy, self._invite)
            request.environ["wsgi.input"] = stream
            return HANDOFF
        if self.expect:
            self.expect = False
            put(self.core, PyBytes_AS_STRING(CONTINUE), PyBytes_GET_SIZE(CONTINUE))
        self._enter(BODY)
        return AGAIN

    def _invite(self):
        """Send what the client may be waiting for before it sends (more of) a streamed body."""
        if self.answering is not None:
            self.answering.check_claim()
        if self.expect:
            self.expect = False
            put(self.core, PyBytes_AS_STRING(CONTINUE), PyBytes_GET_SIZE(CONTINUE))
        self.flush()

    cdef dict _connection_environ(self):
        cdef dict template = self.template
        if template is None:
            template = PyDict_Copy(self.core.template(
                self.local, self.scheme, self.core.parser.head.count
            ))
            for key, value in peer_environ(self.remote).items():
                template[key] = value
            template["gunicorn.socket"] = ClientSocket(self._take_socket)
            template["wsgi.early_hints"] = self._send_early_hints
            template["monoceros.client_disconnected"] = self._is_disconnected
            template["monoceros.set_timeout"] = self._set_timeout
            self.template = template
        return template

    # -- the client's presence ---------------------------------------------------------------

    def is_gone(self):
        """Whether nobody is left to answer; a half-close is a farewell only from a proxy."""
        cdef int found = mono_look(self.fd) if self.fd >= 0 else 0
        return found & MONO_GONE != 0 or (self.trusted and found != 0)

    def _is_disconnected(self):
        """Whether the client has closed its side, or the connection is not ours any more."""
        cdef int fd = self.fd
        if self.taken is not None:
            fd = self.taken.fileno()
            return fd < 0 or mono_look(fd) != 0
        if fd < 0:
            return self.answering is None
        if self.answering is not None and self.answering.is_too_late():
            return True
        # Closed in the meantime by another thread, it may have become somebody else's.
        return mono_look(fd) != 0 or self.fd != fd

    # -- requests that take too long -----------------------------------------------------------

    @property
    def deadline(self):
        """When the time of the request in flight is up; None where none is, or it has no limit."""
        cdef Request request = self.answering
        return None if request is None or request.claim > OURS else self.core.deadline()

    def _set_timeout(self, seconds):
        """Let the request in flight take so many seconds from its start; 0 means no limit."""
        self.core.limit_call(check_limit(seconds))

    def expire(self, Core core not None, /):
        """Answer 504 for the request in flight, or cut the connection; from another thread."""
        cdef Request request = self.answering
        if request is None or not self.core.pulse.running:
            return None
        told = request.expire(core)
        if told is not None and self.body is not None:
            self.body.closed = True
        return told

    # -- errors ------------------------------------------------------------------------------

    def reject(self, int status, Core core=None, /):
        """Answer with an error and close; used for timeouts and overload."""
        self._rebind(core)
        return self._settle(self._answer_error(status))

    cdef int _refuse(self, object error) except -1:
        self.core.errors += 1
        self.core.log.refused(self.peer.decode("latin-1"), error)
        return self._answer_error(error.status)

    cdef int _answer_error(self, int status) except -1:
        cdef bytes response
        if self.request is not None:
            is_head = self.request.head_request
        else:
            if self.position == NULL:
                self._open_buffer()
            is_head = self.position[:min(7, self.end - self.position)].startswith(
                (b"HEAD ", b"\r\nHEAD ")
            )
        response = error_response(status, self.core.server_fields, not is_head)
        put(self.core, PyBytes_AS_STRING(response), PyBytes_GET_SIZE(response))
        self.core.count_refusal(status)
        self.request = None
        self.has_request = False
        self.position = self.end = NULL
        self.buffer = None
        self.scanning = False
        self._drop_body()
        return LINGER

    # -- output ------------------------------------------------------------------------------

    def writable(self, Core core=None, /):
        """Send what is waiting."""
        self._rebind(core)
        outbox = self.outbox
        before = 0 if outbox is None else outbox.size
        try:
            done = outbox is None or self.fd < 0 or outbox.send(self.fd)
        except OSError:
            self.drop_output()
            return CLOSE
        if outbox is not None:
            self.core.sent += before - outbox.size
            if outbox.size < before:
                self.since = self.core.now
        return self._leave(self.after) if done else WANT_WRITE

    def data_to_send(self):
        """Return and forget what is waiting, where the caller owns the transport."""
        self.flush()
        return self.outbox.take() if self.has_output() else b""

    cdef int _settle(self, int code) except -1:
        """Send what has gathered, and put off ``code`` until the client has taken it."""
        try:
            self.flush()
        except ClientGone:
            return CLOSE
        if self.fd >= 0 and self.has_output():
            self.after = code
            self._enter(WRITE)
            return WANT_WRITE
        return self._leave(code)

    cdef int _leave(self, int code) except -1:
        if code == AGAIN:
            if self.body is not None:
                self._enter(BODY)
            else:
                self._enter(IDLE if self.buffer is None else HEAD)
        elif code == LINGER:
            self._enter(LINGERING)
            if self.fd >= 0:
                shutdown(self.fd, SHUT_WR)
        return code

    cdef void _enter(self, int state) noexcept:
        if state != self.state or state == IDLE:
            self.state = state
            self.since = self.core.now

    # -- the end of a request, and of the connection -----------------------------------------

    cdef bint body_is_read(self):
        return not self.streamed or self.body is None or self.body.complete

    cdef bint has_unused(self) noexcept:
        if self.position == NULL:
            return self.buffer is not None
        return self.position != self.end

    cdef int finish_request(self) except -1:
        cdef bytes rest
        self.answering = None
        # What has come of a next head is not the present one's, whose time began earlier.
        self._enter(IDLE)
        if self.body is not None:
            if self.streamed and self.body.complete:
                rest = self.body.rest
                if rest:
                    self.buffer = bytearray(rest)
                    self._open_buffer()
            self._drop_body()
        self.streamed = False
        if self.taken is not None:
            finish(self.taken)
        return 0

    cdef int _drop_body(self) except -1:
        if self.body is not None:
            self.body.close()
            self.body = None
        return 0

    def _send_early_hints(self, headers):
        if self.answering is not None:
            self.answering.send_early_hints(headers)

    def _take_socket(self):
        if self.answering is None:
            raise OSError("the request that this socket came with has ended")
        self.answering.check_claim()
        self.flush()
        self.wait(0)
        self.answering.give_up()
        self.core.policy.release(self.fd)
        self.taken = adopt(*self.detach())
        return self.taken

    def detach(self):
        """Give up the descriptor; returns it with the octets that were received and not used."""
        cdef int fd = self.fd
        if self.position == NULL:
            self._open_buffer()
        unread = self.position[:self.end - self.position] if self.position != NULL else b""
        self.position = self.end = NULL
        self.buffer = None
        self.fd = -1
        return fd, unread

    def discard(self, Core core=None, /):
        """Throw away input of a lingering connection; CLOSE at its end."""
        cdef ssize_t size
        self._rebind(core)
        if self.fd < 0:
            return CLOSE
        for _ in range(DISCARDS):
            size = recv(self.fd, self.core.input, IN_SIZE, MSG_DONTWAIT)
            if size == 0:
                return CLOSE
            if size < 0:
                if errno == EAGAIN or errno == EWOULDBLOCK or errno == EINTR:
                    return LINGER
                return CLOSE
        return LINGER

    def close(self):
        """Shut the connection down, close the descriptor, and drop what the request held."""
        cdef int fd = self.fd
        cdef linger option
        self._drop_body()
        if self.outbox is not None:
            self.outbox.close()
        self.request = None
        self.has_request = False
        self.template = None
        self.position = self.end = NULL
        self.buffer = None
        self.fd = -1
        if fd >= 0:
            if self.reset:
                # No shutdown before: the client would take it for the end of the content.
                option.l_onoff = 1
                option.l_linger = 0
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, sizeof(option))
            else:
                shutdown(fd, SHUT_RDWR)
            close(fd)
