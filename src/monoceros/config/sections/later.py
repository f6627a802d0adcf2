"""Settings of what is not there yet: each can be left off, and nothing else."""

from typing import Any

from monoceros.config.hooks import hook, ignore
from monoceros.config.kinds import (
    NETWORKS,
    OPTIONAL_TEXT,
    SWITCH,
    TEXT,
    TEXT_LIST,
    UMASK,
    choice,
    off,
    whole,
)
from monoceros.config.setting import Kind, Section, Setting


def _later(
    kind: Kind[Any], default: object, feature: str, doc: str, cli: str = "", meta: str = "VALUE"
) -> Setting[Any]:
    return Setting(
        off(kind, default, feature),
        default,
        doc,
        cli=(cli,) if cli else (),
        meta=meta,
        missing=feature,
    )


def _switchable(*words: str, on: str) -> Kind[str]:
    """One of ``words`` or off, as text, or as True (which means ``on``) and False."""
    named = choice(
        "off", *words, also={"0": "off", "false": "off", "none": "off", "1": on, "true": on}
    )

    def parse(value: object) -> str:
        return named.parse(str(value) if isinstance(value, bool | int) else value)

    return Kind(parse, named.allowed, bare=on)


_TLS = "TLS"
_HTTP2 = "HTTP/2"
_UWSGI = "the uwsgi protocol"
_PROXY = "the PROXY protocol"
_DIRTY = "the dirty arbiter"
_LOOPBACK = "127.0.0.1,::1"


class Protocols(Section):
    """Protocols other than plain HTTP/1.1; not in this version."""

    __slots__ = ()
    title = "Protocols"

    protocol = _later(choice("http", "uwsgi"), "http", _UWSGI, "The protocol.", "--protocol")
    uwsgi_allow_ips = _later(
        NETWORKS, _LOOPBACK, _UWSGI, "Who may speak the uwsgi protocol.", "--uwsgi-allow-from"
    )
    proxy_protocol = _later(
        _switchable("v1", "v2", "auto", on="auto"),
        "off",
        _PROXY,
        "Which version of the PROXY protocol is expected.",
        "--proxy-protocol",
    )
    proxy_allow_ips = _later(
        NETWORKS, _LOOPBACK, _PROXY, "Who may send a PROXY header.", "--proxy-allow-from"
    )


class Tls(Section):
    """Encryption; not in this version."""

    __slots__ = ()
    title = "SSL"

    keyfile = _later(OPTIONAL_TEXT, None, _TLS, "The file of the key.", "--keyfile", "FILE")
    certfile = _later(
        OPTIONAL_TEXT, None, _TLS, "The file of the certificate.", "--certfile", "FILE"
    )
    ssl_version = _later(
        # ssl.PROTOCOL_TLS, which is Gunicorn's own default, asks for nothing.
        Kind(lambda value: None if value == 2 else value, "anything"),
        None,
        _TLS,
        "Ignored by Gunicorn since 21.0.",
        "--ssl-version",
    )
    cert_reqs = _later(
        whole("levels", maximum=2), 0, _TLS, "Whether clients need certificates.", "--cert-reqs"
    )
    ca_certs = _later(
        OPTIONAL_TEXT, None, _TLS, "The file of the authorities.", "--ca-certs", "FILE"
    )
    suppress_ragged_eofs = _later(
        Kind(SWITCH.parse, SWITCH.allowed, flag=True, bare="true"),
        True,
        _TLS,
        "Whether an end without goodbye is no error.",
        "--suppress-ragged-eofs",
    )
    do_handshake_on_connect = _later(
        SWITCH,
        False,
        _TLS,
        "Whether connections begin with a handshake.",
        "--do-handshake-on-connect",
    )
    ciphers = _later(OPTIONAL_TEXT, None, _TLS, "OpenSSL's list of ciphers.", "--ciphers")
    ssl_context = _later(
        hook("config", "default_ssl_context_factory"),
        ignore,
        _TLS,
        "Called for the SSLContext of the listening sockets.",
    )


class Http2(Section):
    """HTTP/2; not in this version."""

    __slots__ = ()
    title = "HTTP/2"

    http_protocols = _later(
        TEXT, "h1", _HTTP2, "The protocols, separated by commas.", "--http-protocols"
    )
    http2_cleartext = _later(
        _switchable("prior-knowledge", "upgrade", "both", on="prior-knowledge"),
        "off",
        _HTTP2,
        "How HTTP/2 begins without TLS.",
        "--http2-cleartext",
    )
    http2_max_concurrent_streams = _later(
        whole("streams", 1),
        100,
        _HTTP2,
        "Streams of a connection at the same time.",
        "--http2-max-concurrent-streams",
    )
    http2_initial_window_size = _later(
        whole("bytes"),
        65535,
        _HTTP2,
        "The window of a stream, in bytes.",
        "--http2-initial-window-size",
    )
    http2_max_frame_size = _later(
        whole("bytes"), 16384, _HTTP2, "The largest frame, in bytes.", "--http2-max-frame-size"
    )
    http2_max_header_list_size = _later(
        whole("bytes"),
        65536,
        _HTTP2,
        "The largest field section, in bytes.",
        "--http2-max-header-list-size",
    )


class DirtyArbiters(Section):
    """Gunicorn's pool of processes beside the workers; not in this version."""

    __slots__ = ()
    title = "Dirty Arbiters"

    dirty_apps = _later(
        TEXT_LIST, [], _DIRTY, "The applications in it.", "--dirty-app", "MODULE:CLASS"
    )
    dirty_workers = _later(
        whole("processes"), 0, _DIRTY, "How many processes it has.", "--dirty-workers", "INT"
    )
    dirty_timeout = _later(
        whole("seconds"),
        300,
        _DIRTY,
        "How many seconds a call may take.",
        "--dirty-timeout",
        "SECONDS",
    )
    dirty_threads = _later(
        whole("threads"), 1, _DIRTY, "The threads of each process.", "--dirty-threads", "INT"
    )
    dirty_graceful_timeout = _later(
        whole("seconds"),
        30,
        _DIRTY,
        "How many seconds a stop may take.",
        "--dirty-graceful-timeout",
        "SECONDS",
    )
    on_dirty_starting = _later(hook("arbiter"), ignore, _DIRTY, "Called before it starts.")
    dirty_post_fork = _later(
        hook("arbiter", "worker"), ignore, _DIRTY, "Called in a process of it after its fork."
    )
    dirty_worker_init = _later(
        hook("worker"), ignore, _DIRTY, "Called when a process has its applications."
    )
    dirty_worker_exit = _later(
        hook("arbiter", "worker"), ignore, _DIRTY, "Called when a process of it has gone."
    )


class Control(Section):
    """A socket to give the arbiter orders by; not in this version, and so always off."""

    __slots__ = ()
    title = "Control"

    control_socket = Setting(
        Kind(OPTIONAL_TEXT.parse, "None, or a path where control_socket_disable is set"),
        None,
        "The path of the socket.",
        cli=("--control-socket",),
        meta="PATH",
        missing="the control socket",
    )
    control_socket_mode = Setting(
        UMASK.narrow(UMASK.parse, "0o600, or another where control_socket_disable is set"),
        0o600,
        "The file mode of the socket.",
        cli=("--control-socket-mode",),
        meta="MODE",
        missing="the control socket",
    )
    control_socket_disable = Setting(
        SWITCH,
        False,
        "Go without the control socket, as this version does anyway; the two other settings are "
        "not looked at then.",
        cli=("--no-control-socket",),
    )
