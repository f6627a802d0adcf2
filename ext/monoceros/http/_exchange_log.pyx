"""Access log lines of exchanges, without the environ that others who observe requests are given."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from monoceros.http._access cimport AccessLines, Facts
from monoceros.http._names cimport ATOM_ANY

from monoceros.http.environ import add_field, environ_key

cdef dict STATUS = {}
cdef frozenset FACTS = frozenset(
    ("REMOTE_ADDR", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL")
)


cdef ExchangeLog exchange_log(Core core):
    """Return a log where nobody else wants to know of requests, and its format is usual."""
    cdef AccessLines access = core.access
    cdef ExchangeLog log
    if access is None or core.finished is not None or not access.count:
        return None
    keys = {key for key in access.keys if key is not None}
    if not all([key in FACTS or _is_of_field(key) for key in keys]):
        return None
    keys.add("HTTP_AUTHORIZATION")
    if core.has_skips:
        keys.add("PATH_INFO")
    log = ExchangeLog.__new__(ExchangeLog)
    log.core = core
    log.facts = list(FACTS & keys)
    log.names = {
        key[5:].replace("_", "-").lower().encode("latin-1"): key for key in keys - FACTS
    }
    return log


cdef bint _is_of_field(str key) except -1:
    """Whether a key is that of a field, and of no other thing that looks like one."""
    return key.startswith("HTTP_") and environ_key(key[5:].replace("_", "-")) == key


cdef class ExchangeLog:
    """Writes the lines of one Core."""

    cdef bint write(self, Exchange exchange, int64_t elapsed_us) except -1:
        """Write the line of a response; False where that is left to the general way."""
        cdef AccessLines access = self.core.access
        cdef Facts facts
        if access is None or not exchange.started:
            return False
        try:
            environ = self._environ(exchange)
        except Exception:  # border: the scope is the application's by now
            return False
        status = STATUS.get(exchange.code)
        if status is None:
            status = STATUS[exchange.code] = str(exchange.code)
        if self.core.has_skips and access.format.skips(environ, status):
            return True
        facts.line = PyBytes_AS_STRING(exchange.line)
        facts.line_size = PyBytes_GET_SIZE(exchange.line)
        facts.minor = exchange.minor
        facts.atoms = ATOM_ANY
        facts.sent = exchange.sent
        facts.elapsed_us = elapsed_us
        self.is_first = access.size == 0
        return access.add(environ, status, &facts)

    cdef dict _environ(self, Exchange exchange):
        """Return of the environ what the format asks for."""
        cdef dict environ = {key: _fact(key, exchange.scope, exchange) for key in self.facts}
        for name, value in exchange.scope["headers"]:
            key = self.names.get(name)
            if key is None:
                if b"_" not in name:
                    continue
                key = environ_key(name.decode("latin-1"))
            add_field(environ, key, value.decode("latin-1"))
        return environ


cdef object _fact(str key, dict scope, Exchange exchange):
    if key == "REMOTE_ADDR":
        client = scope["client"]
        return client[0] if isinstance(client, tuple) else ""
    if key == "REQUEST_METHOD":
        return exchange.line.partition(b" ")[0].decode("latin-1")
    if key == "PATH_INFO":
        return scope["path"].encode("utf-8", "surrogateescape").decode("latin-1")
    if key == "QUERY_STRING":
        return scope["query_string"].decode("latin-1")
    return "HTTP/1.1" if exchange.minor else "HTTP/1.0"
