"""How large and how slow a request may be."""

from monoceros.config.kinds import C_LONG_MAX, SWITCH, seconds, whole
from monoceros.config.setting import Section, Setting


class Security(Section):
    """Limits of the request head, which bound what a client can make the server do."""

    __slots__ = ()
    title = "Security"

    limit_request_line = Setting(
        whole("bytes"),
        4094,
        "The longest request line, in bytes without its line end; 414 is the answer to a longer "
        "one. 0 leaves it to `limit_request_head`.",
        cli=("--limit-request-line",),
        meta="BYTES",
    )
    limit_request_fields = Setting(
        whole("field lines"),
        100,
        "The largest number of field lines in a request; 431 is the answer to more. 0 leaves it "
        "to `limit_request_head`.",
        cli=("--limit-request-fields",),
        meta="INT",
    )
    limit_request_field_size = Setting(
        whole("bytes"),
        8190,
        "The longest field line, in bytes with its line end; 431 is the answer to a longer one. "
        "0 leaves it to `limit_request_head`.",
        # Spelled with an underscore, because it always was.
        cli=("--limit-request-field_size",),
        meta="BYTES",
    )
    limit_request_head = Setting(
        whole("bytes", minimum=1),
        65536,
        "The longest request head, in bytes from the request line to the empty line; 431 is the "
        "answer to a longer one.",
        cli=("--limit-request-head",),
        meta="BYTES",
        # What Gunicorn's limits for fields come to together.
        gunicorn=100 * (8190 + 2) + 4,
        ours=True,
    )
    limit_request_body = Setting(
        whole("bytes", maximum=C_LONG_MAX),
        0,
        "The longest request body, in bytes; 413 is the answer to a longer one, before it is "
        "read where its length is announced. 0 means no limit.",
        cli=("--limit-request-body",),
        meta="BYTES",
        ours=True,
    )


class Overload(Section):
    """What happens to requests that no thread is free for."""

    __slots__ = ()
    title = "Overload"

    queue_timeout = Setting(
        seconds(),
        0,
        "For how many seconds a request may wait for a thread; then 503 is the answer, with "
        "`Retry-After`. What a trusted proxy says in `X-Request-Start` counts: `t=` and the time "
        "in seconds, or a time in milliseconds or microseconds. While requests wait for more than "
        "half of it, the newest is served first. 0 means no limit.",
        cli=("--queue-timeout",),
        meta="SECONDS",
        ours=True,
    )
    max_queue = Setting(
        whole("requests"),
        0,
        "How many requests may wait in one worker while all its threads are at work; 503 is the "
        "answer to more. Requests that other workers take over within 20 ms do not count. 0 means "
        "no limit.",
        cli=("--max-queue",),
        meta="INT",
        ours=True,
    )


class SlowClients(Section):
    """How long clients may take, and where their data waits meanwhile."""

    __slots__ = ()
    title = "Slow Clients"

    header_timeout = Setting(
        whole("seconds"),
        30,
        "How many seconds a client may take to send a whole request head; 408 is the answer to "
        "a slower one. 0 means no limit. A connection on which nothing has come is closed without "
        "an answer, unless it is a proxy's that `keepalive` makes an exception for.",
        cli=("--header-timeout",),
        meta="SECONDS",
        ours=True,
    )
    body_timeout = Setting(
        whole("seconds"),
        30,
        "For how many seconds a request body may stall; 408 is the answer to a longer pause. "
        "0 means no limit.",
        cli=("--body-timeout",),
        meta="SECONDS",
        ours=True,
    )
    body_min_rate = Setting(
        whole("bytes per second"),
        500,
        "How many bytes per second a request body has to bring on average; 408 is the answer to "
        "one that is late by more than ``body_timeout``. Where the application reads the body as "
        "it comes, only the time counts in which it waits for more. 0 means no limit.",
        cli=("--body-min-rate",),
        meta="BYTES",
        ours=True,
    )
    write_timeout = Setting(
        whole("seconds"),
        60,
        "For how many seconds a client may take nothing of its answer, or of what is sent to it by "
        "a WebSocket, before the connection is cut. 0 means no limit.",
        cli=("--write-timeout",),
        meta="SECONDS",
        ours=True,
    )
    request_buffering = Setting(
        SWITCH,
        True,
        "Whether the application is called only when the whole request body has come. Without "
        "it, the application is called at the head and waits for its client itself.",
        cli=("--no-request-buffering",),
        ours=True,
    )
    body_memory_limit = Setting(
        whole("bytes", maximum=C_LONG_MAX),
        1 << 20,
        "How many bytes of a request body are kept in memory; more goes to an unnamed temporary "
        "file.",
        cli=("--body-memory-limit",),
        meta="BYTES",
        ours=True,
    )
    body_spool_limit = Setting(
        whole("bytes", maximum=C_LONG_MAX),
        64 << 20,
        "How many bytes of a request body are kept in a temporary file. For a longer body the "
        "application is called then and reads the rest from the client.",
        cli=("--body-spool-limit",),
        meta="BYTES",
        ours=True,
    )
