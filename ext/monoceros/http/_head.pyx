"""Request heads, compiled (RFC 9112 sections 2, 3, 5 and 6).

Behaves octet for octet as ``_head_py``, whose head comment says when a head is decided and what
the verdict is. One pass splits valid lines into spans, and no Python object is made before the
head is accepted whole; ``_diagnose`` looks again only at what that pass did not take.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcmp, memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from monoceros.http._names cimport (
    FIELD_CONNECTION,
    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_TYPE,
    FIELD_EXPECT,
    FIELD_HOST,
    FIELD_TRANSFER_ENCODING,
    NAME_GUESSES,
    Name,
    NameTable,
    field_id,
)
from monoceros.http._scan cimport (
    MONO_HOST,
    MONO_TOKEN,
    mono_is,
    mono_same,
    mono_same_caseless,
    mono_scan_class,
    mono_scan_target,
    mono_scan_value,
)

from monoceros.http.grammar import check_codings, check_expectation, is_host, split_target
from monoceros.http.lenient import is_ended, normalise
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.types import Head

cdef int EMPTY_LINE = Refusal.EMPTY_LINE
cdef int LINE_TOO_LONG = Refusal.LINE_TOO_LONG
cdef int REQUEST_LINE = Refusal.REQUEST_LINE
cdef int METHOD = Refusal.METHOD
cdef int UNCONVENTIONAL_METHOD = Refusal.UNCONVENTIONAL_METHOD
cdef int TARGET = Refusal.TARGET
cdef int VERSION = Refusal.VERSION
cdef int BARE_LF = Refusal.BARE_LF
cdef int FIELD_TOO_LONG = Refusal.FIELD_TOO_LONG
cdef int TOO_MANY_FIELDS = Refusal.TOO_MANY_FIELDS
cdef int HEAD_TOO_LARGE = Refusal.HEAD_TOO_LARGE
cdef int FOLDED_FIELD = Refusal.FOLDED_FIELD
cdef int FIELD_NAME = Refusal.FIELD_NAME
cdef int SPACE_BEFORE_COLON = Refusal.SPACE_BEFORE_COLON
cdef int FIELD_VALUE = Refusal.FIELD_VALUE
cdef int UNSUPPORTED_VERSION = Refusal.UNSUPPORTED_VERSION
cdef int MISSING_HOST = Refusal.MISSING_HOST
cdef int REPEATED_HOST = Refusal.REPEATED_HOST
cdef int INVALID_HOST = Refusal.INVALID_HOST
cdef int REPEATED_CONTENT_TYPE = Refusal.REPEATED_CONTENT_TYPE
cdef int CONTENT_LENGTH = Refusal.CONTENT_LENGTH
cdef int REPEATED_LENGTH = Refusal.REPEATED_LENGTH
cdef int CONTENT_TOO_LARGE = Refusal.CONTENT_TOO_LARGE

cdef enum:
    INCOMPLETE = 0
    COMPLETE = -1
    LARGEST_LENGTH = 18  # digits that fit a signed 64-bit integer

# What a limit beyond the range of machine integers comes to.
cdef object LARGEST_LIMIT = (1 << 31) - 1
cdef object LARGEST_BODY = (1 << 63) - 1


def parse_head(bytes data not None, limits, rules, /):
    """Return the head at the start of ``data``, or None while it is incomplete.

    Raises ``BadRequest`` with the status that RFC 9110 and RFC 9112 ask for.
    """
    cdef HeadParser parser = HeadParser(limits, rules, None)
    if not parser.parse(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)):
        return None
    cdef HeadSpans *head = &parser.head
    cdef FieldSpan *span
    cdef int i
    fields = []
    for i in range(head.count):
        span = &parser.fields[i]
        fields.append((
            head.data[span.name:span.name + span.name_size].decode("ascii"),
            head.data[span.value:span.value + span.value_size].decode("latin-1"),
        ))
    return tuple.__new__(Head, (
        parser.method(),
        parser.target(),
        "HTTP/1.1" if head.minor else "HTTP/1.0",
        tuple(fields),
        head.length,
        head.keep_alive,
        None if head.content_length < 0 else head.content_length,
        head.expect_continue,
        head.upgrade,
        parser.authority,
    ))


cdef class HeadParser:
    """Splits and judges one head at a time; the spans are valid until the next."""

    def __cinit__(self, limits, rules, NameTable names):
        self.names = names
        self.rules = rules
        self.limits_object = limits
        self.limits.line = min(limits.line, LARGEST_LIMIT)
        self.limits.fields = min(limits.fields, LARGEST_LIMIT)
        self.limits.field = min(limits.field, LARGEST_LIMIT)
        self.limits.head = min(limits.head, LARGEST_LIMIT)
        self.limits.body = min(limits.body, LARGEST_BODY)
        self.casefold = rules.casefold_http_method
        self.any_method = rules.permit_unconventional_http_method
        self.any_version = rules.permit_unconventional_http_version
        self.may_miss_host = rules.permit_missing_host
        self.lenient = rules.permit_obsolete_folding or rules.strip_header_spaces
        self.capacity = 0
        self.fields = NULL
        self._grow()

    def __dealloc__(self):
        free(self.fields)

    cdef int _grow(self) except -1:
        cdef int capacity = 32 if self.capacity == 0 else self.capacity * 2
        cdef FieldSpan *fields = <FieldSpan *>realloc(self.fields, capacity * sizeof(FieldSpan))
        if fields == NULL:
            raise MemoryError
        self.fields = fields
        self.capacity = capacity
        return 0

    cdef bint parse(self, const char *data, Py_ssize_t size) except -1:
        """Split and judge; False while the head is incomplete. Raises ``BadRequest``."""
        cdef int code = self._tokenise(data, size)
        cdef bytes rewritten
        cdef Py_ssize_t taken = 0
        if code == INCOMPLETE:
            return False
        if code != COMPLETE and self.lenient:
            original = data[:size]
            rewritten = normalise(original, self.rules)
            if rewritten is not None and is_ended(original, self.limits_object):
                self.lenient_data = rewritten
                taken = size - PyBytes_GET_SIZE(rewritten)
                code = self._tokenise(PyBytes_AS_STRING(rewritten), PyBytes_GET_SIZE(rewritten))
                if code == INCOMPLETE:
                    code = FIELD_NAME
        if code != COMPLETE:
            raise refusal(code)
        # What normalising took away still has to be skipped in the input.
        self.head.length += taken
        self._judge()
        return True

    # The loop over the lines stays in one function: it holds its pointers in registers.
    cdef int _tokenise(self, const char *data, Py_ssize_t size) except -2:
        """Split into lines and fields; COMPLETE, INCOMPLETE or a Refusal."""
        cdef HeadSpans *head = &self.head
        cdef const char *end = data + size
        cdef const char *begin = data
        cdef const char *start
        cdef const char *p
        cdef const char *stop
        cdef const char *head_end
        cdef const char *line_end
        cdef const char *value_end
        cdef FieldSpan *span
        cdef Name *known
        cdef NameTable names = self.names
        cdef int count = 0
        cdef int high

        if size >= 2 and data[0] == c"\r" and data[1] == c"\n":
            begin = data + 2
        if size and data[0] != c"\r" and not mono_is(data[0], MONO_TOKEN):
            # Not HTTP at all, a TLS client for instance: its lines may never end. A CR may be
            # half of an empty line, and is left to the line it ends.
            return METHOD
        head_end = begin + self.limits.head
        head.data = data
        head.has_underscore = head.has_scheme = False

        # The request line.
        start = begin
        line_end = min(start + self.limits.line + 2, head_end)
        p = mono_scan_class(start, end, MONO_TOKEN)
        if p == start or p == end or p[0] != c" ":
            return self._diagnose(start, end, line_end, head_end, -1, 0)
        head.method = <uint32_t>(start - data)
        head.method_size = <uint32_t>(p - start)
        p += 1
        stop = mono_scan_target(p, end)
        if stop == p or end - stop < 11 or memcmp(stop, b" HTTP/", 6) != 0:
            return self._diagnose(start, end, line_end, head_end, -1, 0)
        head.target = <uint32_t>(p - data)
        head.target_size = <uint32_t>(stop - p)
        p = stop + 6
        if not (
            c"0" <= p[0] <= c"9" and p[1] == c"." and c"0" <= p[2] <= c"9"
            and p[3] == c"\r" and p[4] == c"\n" and p + 4 < line_end
        ):
            return self._diagnose(start, end, line_end, head_end, -1, 0)
        head.major = p[0] - c"0"
        head.minor = p[2] - c"0"
        p += 5

        # The field lines.
        while True:
            start = p
            line_end = min(start + self.limits.field, head_end)
            if end - p < 2:
                return self._diagnose(start, end, line_end, head_end, count, 0)
            if p[0] == c"\r" and p[1] == c"\n":
                if p + 1 >= line_end:
                    return self._diagnose(start, end, line_end, head_end, count, 0)
                break
            known = NULL
            if names is not None:
                if count < NAME_GUESSES:
                    known = names.guesses[count]
                    if known != NULL and not (
                        end - p > known.size and mono_same(p, end, known.raw, known.size)
                    ):
                        known = NULL
            if known != NULL:
                stop = p + known.size - 1
            else:
                stop = mono_scan_class(p, end, MONO_TOKEN)
                if stop == p or stop == end or stop[0] != c":":
                    return self._diagnose(start, end, line_end, head_end, count, 0)
                if names is not None:
                    known = names.find(p, stop - p)
            high = 0
            value_end = mono_scan_value(stop + 1, end, &high)
            if (
                end - value_end < 2 or value_end[0] != c"\r" or value_end[1] != c"\n"
                or value_end + 1 >= line_end or <uint32_t>count == self.limits.fields
            ):
                return self._diagnose(start, end, line_end, head_end, count, 0)
            if count == self.capacity:
                self._grow()
            span = &self.fields[count]
            span.known = known
            span.name = <uint32_t>(p - data)
            span.name_size = <uint32_t>(stop - p)
            p = value_end + 2
            stop += 1
            while stop < value_end and (stop[0] == c" " or stop[0] == c"\t"):
                stop += 1
            while value_end > stop and ((value_end - 1)[0] == c" " or (value_end - 1)[0] == c"\t"):
                value_end -= 1
            span.value = <uint32_t>(stop - data)
            span.value_size = <uint32_t>(value_end - stop)
            span.high = high != 0
            count += 1
        head.count = count
        head.length = <uint32_t>(p + 2 - data)
        return COMPLETE

    cdef int _diagnose(
        self,
        const char *start,
        const char *end,
        const char *line_end,
        const char *head_end,
        int count,
        int fault,
    ) noexcept:
        """Find out why the line at ``start`` was not taken, and whether the head is decided.

        ``count`` is the number of field lines before it, -1 for the request line.
        """
        cdef const char *newline
        cdef const char *reached
        while True:
            newline = <const char *>memchr(start, c"\n", end - start)
            reached = end if newline == NULL else newline
            if reached >= min(line_end, head_end):
                if fault:
                    return fault
                if count < 0:
                    return LINE_TOO_LONG
                return HEAD_TOO_LARGE if head_end <= line_end else FIELD_TOO_LONG
            if newline == NULL:
                return INCOMPLETE
            if newline == start or (newline - 1)[0] != c"\r":
                return fault if fault else BARE_LF
            if newline - start == 1 and count >= 0:
                # The empty line: only a fault on the way brings us here.
                return fault if fault else REQUEST_LINE
            if count >= 0 and <uint32_t>count == self.limits.fields:
                return fault if fault else TOO_MANY_FIELDS
            if not fault:
                if count < 0:
                    fault = _judge_request_line(start, newline - 1)
                else:
                    fault = _judge_field_line(start, newline - 1)
            if newline - start == 1:
                return fault
            count += 1
            start = newline + 1
            line_end = start + self.limits.field

    cdef str method(self):
        """Return the method, after the rules."""
        cdef HeadSpans *head = &self.head
        method = head.data[head.method:head.method + head.method_size].decode("ascii")
        return method.upper() if self.casefold else method

    cdef str target(self):
        """Return the request target as it was sent."""
        cdef HeadSpans *head = &self.head
        return head.data[head.target:head.target + head.target_size].decode("ascii")

    cdef list _values(self, int id):
        """Return the values of all fields with one meaning."""
        cdef HeadSpans *head = &self.head
        cdef FieldSpan *span
        cdef int i
        values = []
        for i in range(head.count):
            span = &self.fields[i]
            if span.id == id:
                values.append(
                    head.data[span.value:span.value + span.value_size].decode("latin-1")
                )
        return values

    cdef int _judge(self) except -1:
        """Apply what the lines mean together: version, target, Host, framing, expectation."""
        cdef HeadSpans *head = &self.head
        cdef FieldSpan *span
        cdef int i
        cdef int hosts = 0, types = 0, lengths = 0, codings = 0, expects = 0, upgrades = 0
        cdef int host = -1, length = -1
        cdef bint close = False, keep = False, upgrade = False
        cdef bint is_connect
        if not self.any_method and not _is_conventional(
            head.data + head.method, head.method_size, self.casefold
        ):
            raise refusal(UNCONVENTIONAL_METHOD)
        if head.major != 1:
            if not self.any_version:
                raise refusal(UNSUPPORTED_VERSION)
            head.minor = head.major > 1
        elif head.minor > 1:
            head.minor = 1
        self.authority = None
        self.target_parts = None
        is_connect = head.method_size == 7 and self.method() == "CONNECT"
        if is_connect or head.data[head.target] != c"/":
            self.target_parts = split_target(self.method(), self.target())
            self.authority = self.target_parts[2]
        for i in range(head.count):
            span = &self.fields[i]
            if span.known != NULL:
                span.id = span.known.id
                if span.known.underscore:
                    head.has_underscore = True
                if span.known.scheme:
                    head.has_scheme = True
            else:
                span.id = field_id(head.data + span.name, span.name_size)
            if not span.id:
                continue
            if span.id == FIELD_HOST:
                hosts += 1
                host = i
            elif span.id == FIELD_CONNECTION:
                close = close or self._has_token(i, b"close", 5)
                keep = keep or self._has_token(i, b"keep-alive", 10)
                upgrade = upgrade or self._has_token(i, b"upgrade", 7)
            elif span.id == FIELD_CONTENT_TYPE:
                types += 1
            elif span.id == FIELD_CONTENT_LENGTH:
                lengths += 1
                length = i
            elif span.id == FIELD_TRANSFER_ENCODING:
                codings += 1
            elif span.id == FIELD_EXPECT:
                expects += 1
            else:
                upgrades += 1
        self._check_host(hosts, host)
        if types > 1:
            raise refusal(REPEATED_CONTENT_TYPE)
        self._frame(lengths, length, codings)
        head.expect_continue = False
        if expects and head.minor:
            check_expectation(self._values(FIELD_EXPECT))
            head.expect_continue = True
        head.keep_alive = not close and (head.minor == 1 or keep)
        head.upgrade = is_connect or (head.minor == 1 and upgrades > 0 and upgrade)
        return 0

    cdef int _check_host(self, int hosts, int index) except -1:
        """RFC 9112 section 3.2."""
        cdef FieldSpan *span
        cdef const char *p
        cdef const char *end
        if hosts == 0:
            if self.head.minor and not self.may_miss_host:
                raise refusal(MISSING_HOST)
            return 0
        if hosts > 1:
            raise refusal(REPEATED_HOST)
        span = &self.fields[index]
        if span.value_size == self.last_host_size and memcmp(
            self.head.data + span.value, self.last_host, span.value_size
        ) == 0:
            return 0
        end = self.head.data + span.value + span.value_size
        p = mono_scan_class(self.head.data + span.value, end, MONO_HOST)
        if p < end and p[0] == c":":
            p += 1
            while p < end and c"0" <= p[0] <= c"9":
                p += 1
        # Address literals and percent-encoding are rare enough for the general grammar.
        if p < end and not is_host(self._values(FIELD_HOST)[0]):
            raise refusal(INVALID_HOST)
        if span.value_size <= HOST_SIZE:
            self.last_host_size = span.value_size
            memcpy(self.last_host, self.head.data + span.value, span.value_size)
        return 0

    cdef int _frame(self, int lengths, int index, int codings) except -1:
        """Find the content's length (RFC 9112 section 6.3)."""
        cdef HeadSpans *head = &self.head
        cdef FieldSpan *span
        cdef const char *p
        cdef int64_t length = 0
        cdef uint32_t i
        if codings:
            check_codings(self._values(FIELD_TRANSFER_ENCODING), head.minor, lengths > 0)
            head.content_length = -1
            return 0
        head.content_length = 0
        if not lengths:
            return 0
        if lengths > 1:
            raise refusal(REPEATED_LENGTH)
        span = &self.fields[index]
        p = head.data + span.value
        if span.value_size == 0:
            raise refusal(CONTENT_LENGTH)
        for i in range(span.value_size):
            if not c"0" <= p[i] <= c"9":
                raise refusal(CONTENT_LENGTH)
            if i < LARGEST_LENGTH:
                length = length * 10 + (p[i] - c"0")
        if span.value_size > LARGEST_LENGTH or (self.limits.body and length > self.limits.body):
            raise refusal(CONTENT_TOO_LARGE)
        head.content_length = length
        return 0

    cdef bint _has_token(self, int index, const char *token, Py_ssize_t size) noexcept:
        """Whether a comma-separated list has a member (RFC 9110 section 5.6.1)."""
        cdef FieldSpan *span = &self.fields[index]
        cdef const char *p = self.head.data + span.value
        cdef const char *end = p + span.value_size
        cdef const char *stop
        cdef const char *last
        while p <= end:
            stop = <const char *>memchr(p, c",", end - p)
            if stop == NULL:
                stop = end
            last = stop
            while p < last and (p[0] == c" " or p[0] == c"\t"):
                p += 1
            while last > p and ((last - 1)[0] == c" " or (last - 1)[0] == c"\t"):
                last -= 1
            if last - p == size and mono_same_caseless(p, token, size):
                return True
            p = stop + 1
        return False


cdef bint _is_conventional(const char *method, uint32_t size, bint casefold) noexcept:
    cdef uint32_t i
    if not 3 <= size <= 20:
        return False
    for i in range(size):
        if method[i] == c"#" or (not casefold and c"a" <= method[i] <= c"z"):
            return False
    return True


cdef int _judge_request_line(const char *p, const char *end) noexcept:
    """Return what is wrong with a request line, 0 for nothing."""
    cdef const char *first
    cdef const char *second
    cdef const char *stop
    if p == end:
        return EMPTY_LINE
    first = <const char *>memchr(p, c" ", end - p)
    if first == NULL:
        return REQUEST_LINE
    second = <const char *>memchr(first + 1, c" ", end - first - 1)
    if second == NULL or memchr(second + 1, c" ", end - second - 1) != NULL:
        return REQUEST_LINE
    if first == p or mono_scan_class(p, first, MONO_TOKEN) != first:
        return METHOD
    if second == first + 1 or mono_scan_target(first + 1, second) != second:
        return TARGET
    stop = second + 1
    if (
        end - stop != 8 or memcmp(stop, b"HTTP/", 5) != 0 or not c"0" <= stop[5] <= c"9"
        or stop[6] != c"." or not c"0" <= stop[7] <= c"9"
    ):
        return VERSION
    return 0


cdef int _judge_field_line(const char *p, const char *end) noexcept:
    """Return what is wrong with a field line, 0 for nothing."""
    cdef const char *colon
    cdef const char *stop
    cdef const char *last
    cdef int high = 0
    if p[0] == c" " or p[0] == c"\t":
        return FOLDED_FIELD
    colon = <const char *>memchr(p, c":", end - p)
    if colon == NULL:
        return FIELD_NAME
    stop = mono_scan_class(p, colon, MONO_TOKEN)
    if stop != colon or stop == p:
        last = colon
        while last > p and ((last - 1)[0] == c" " or (last - 1)[0] == c"\t"):
            last -= 1
        return SPACE_BEFORE_COLON if stop == last and last > p else FIELD_NAME
    if mono_scan_value(colon + 1, end, &high) != end:
        return FIELD_VALUE
    return 0


cdef bint is_decided(
    HeadScan *scan, const char *data, Py_ssize_t size, HeadLimits *limits
) noexcept:
    """Tell whether ``data``, grown since the last call, may be worth parsing again."""
    cdef Py_ssize_t i = scan.offset
    cdef Py_ssize_t longest = min(limits.line, limits.field)
    cdef const char *newline
    cdef bint decided = False
    scan.offset = size
    while i < size:
        # The second line may be the request line still, behind an empty one.
        if scan.lines >= 2:
            longest = limits.field
        newline = <const char *>memchr(data + i, c"\n", size - i)
        if newline == NULL:
            break
        i = newline - data
        if (
            i == 0
            or data[i - 1] != c"\r"
            or (i >= 2 and data[i - 2] == c"\n")
            or i - scan.line_start >= longest
        ):
            decided = True
        scan.lines += 1
        i += 1
        scan.line_start = i
    return (
        decided
        or size - scan.line_start >= (limits.field if scan.lines >= 2 else longest)
        or size >= limits.head
        or scan.lines > limits.fields + 1
    )
