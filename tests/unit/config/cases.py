"""The table of all settings: defaults under both names, each way to set one, and a wrong value."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from monoceros.config import machine
from monoceros.config.hooks import ignore, log_request

HERE = object()  # stands for the directory the server is started from
SAME = object()  # Gunicorn's default is ours


@dataclass(frozen=True)
class Case:
    """One setting.

    ``file`` and ``bad`` are as a file has them, a right value and a wrong one; ``value`` is what
    the first becomes, ``reason`` what is said about the second. ``cli`` sets ``value`` too, and
    ``bad_cli`` is refused. ``env`` is a variable, its text, what that becomes, and a wrong text.
    """

    default: object
    file: str
    value: object
    bad: str
    cli: tuple[str, ...] = ()
    reason: str = ""
    gunicorn: object = SAME
    env: tuple[str, str, object, str] | None = None
    bad_cli: tuple[str, ...] = ()


def number(default: int, flag: str) -> Case:
    return Case(default, "'17'", 17, "'seventeen'", (flag, "17"), bad_cli=(flag, "seventeen"))


def period(default: float, flag: str) -> Case:
    return Case(default, "'1.5'", 1.5, "'soon'", (flag, "1.5"), bad_cli=(flag, "nan"))


def size(flag: str) -> Case:
    return Case(0, "'1.5M'", 3 << 19, "'much'", (flag, "1536k"), bad_cli=(flag, "1E"))


def switch(flag: str) -> Case:
    return Case(False, "'true'", True, "'maybe'", (flag,))


def text(default: object, *flags: str) -> Case:
    return Case(default, "'here'", "here", "7", (*flags, "here") if flags else (), "not a string")


def word(default: str, other: str, flag: str) -> Case:
    written = repr(other.upper())
    bad_cli = (flag, "no-such-word")
    return Case(default, written, other, "'no-such-word'", (flag, other), bad_cli=bad_cli)


def function(arguments: str, default: object = ignore) -> Case:
    # Calls nothing: what counts is that the file's own function arrives.
    count = arguments.count(",") + 1
    reason = f"cannot be called with {count} arguments: ({arguments})"
    return Case(default, f"lambda {arguments}: 'mine'", "mine", "lambda: None", (), reason)


def later(feature: str, default: object, on: object, *flags: str) -> Case:
    """A setting of a feature that is not there: its default is all that it takes."""
    shown = ",".join(default) if isinstance(default, list) else str(default)
    left_off = (*flags, shown) if flags and default not in (None, []) else ()
    return Case(
        default,
        repr(default),
        default,
        repr(on),
        left_off,
        f"{feature} is not in this version",
        bad_cli=(*flags, str(on)) if flags else (),
    )


def later_hook(feature: str, arguments: str) -> Case:
    reason = f"{feature} is not in this version"
    return Case(ignore, "None", ignore, f"lambda {arguments}: None", (), reason)


TLS = "TLS"
HTTP2 = "HTTP/2"
UWSGI = "the uwsgi protocol"
PROXY = "the PROXY protocol"
DIRTY = "the dirty arbiter"
CONTROL = "the control socket"
LOOPBACK = ["127.0.0.1", "::1"]
FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
SCHEMES = {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"}
LOGGER = "gunicorn.glogging.Logger"

CASES = {
    # Config File
    "config": Case("./gunicorn.conf.py", "", "", "", ()),
    "wsgi_app": text(None),
    "compat": replace(word("monoceros", "gunicorn", "--compat"), gunicorn="gunicorn"),
    # Server Socket
    "bind": Case(
        ["127.0.0.1:8000"],
        "':9'",
        [":9"],
        "'x://3'",
        ("-b", ":9"),
        "an unknown kind of address",
        env=("PORT", "5000", ["0.0.0.0:5000"], "web"),
        bad_cli=("-b", "x://3"),
    ),
    "backlog": number(2048, "--backlog"),
    "reuse_port": switch("--reuse-port"),
    # Worker Processes
    "workers": replace(
        number(machine.plan_workers().workers, "-w"),
        gunicorn=1,
        env=("WEB_CONCURRENCY", "7", 7, "many"),
    ),
    "worker_class": Case(
        "sync",
        "'gunicorn.workers.sync.SyncWorker'",
        "gunicorn.workers.sync.SyncWorker",
        "'asyncio'",
        ("-k", "gunicorn.workers.sync.SyncWorker"),
        "an unknown name",
        bad_cli=("-k", "asyncio"),
    ),
    "threads": number(1, "--threads"),
    "worker_connections": number(1000, "--worker-connections"),
    "connection_handoff": Case(True, "'false'", False, "'maybe'", ("--no-connection-handoff",)),
    "max_requests": number(0, "--max-requests"),
    "max_requests_jitter": number(0, "--max-requests-jitter"),
    "max_worker_lifetime": number(0, "--max-worker-lifetime"),
    "max_memory": size("--max-memory"),
    "max_memory_hard": size("--max-memory-hard"),
    "reload_surge": replace(number(0, "--reload-surge"), default="auto"),
    "timeout": number(30, "-t"),
    "request_timeout": number(0, "--request-timeout"),
    "boot_timeout": number(0, "--boot-timeout"),
    "graceful_timeout": number(30, "--graceful-timeout"),
    "shutdown_delay": number(0, "--shutdown-delay"),
    "keepalive": replace(number(75, "--keep-alive"), gunicorn=2),
    "http_parser": word("auto", "fast", "--http-parser"),
    # Security
    "limit_request_line": number(4094, "--limit-request-line"),
    "limit_request_fields": number(100, "--limit-request-fields"),
    "limit_request_field_size": number(8190, "--limit-request-field_size"),
    "limit_request_head": replace(number(65536, "--limit-request-head"), gunicorn=819204),
    "limit_request_body": number(0, "--limit-request-body"),
    # Overload
    "queue_timeout": period(0, "--queue-timeout"),
    "max_queue": number(0, "--max-queue"),
    # Slow Clients
    "header_timeout": number(30, "--header-timeout"),
    "body_timeout": number(30, "--body-timeout"),
    "body_min_rate": number(500, "--body-min-rate"),
    "write_timeout": number(60, "--write-timeout"),
    "request_buffering": Case(True, "'false'", False, "'maybe'", ("--no-request-buffering",)),
    "body_memory_limit": number(1 << 20, "--body-memory-limit"),
    "body_spool_limit": number(64 << 20, "--body-spool-limit"),
    # Proxies
    "forwarded_allow_ips": Case(
        LOOPBACK,
        "['10.0.0.0/8', '::1']",
        ["10.0.0.0/8", "::1"],
        "'10.0.0.1/8'",
        ("--forwarded-allow-ips", "10.0.0.0/8, ::1"),
        "10.0.0.1/8 has host bits set",
        env=("FORWARDED_ALLOW_IPS", "*", ["*"], "10.0.0.1/8"),
        bad_cli=("--forwarded-allow-ips", "10.0.0.1/8"),
    ),
    "secure_scheme_headers": Case(
        SCHEMES,
        "{'x-https': '1'}",
        {"X-HTTPS": "1"},
        "{'a': 1}",
        reason="names and values must be strings",
    ),
    "forwarder_headers": Case(
        ["SCRIPT_NAME", "PATH_INFO"],
        "['remote_user', 'a']",
        ["REMOTE_USER", "A"],
        "7",
        ("--forwarder-headers", "remote_user,a"),
        "neither a string nor a list of strings",
    ),
    "header_map": word("drop", "refuse", "--header-map"),
    # Leniency
    "permit_missing_host": replace(switch("--permit-missing-host"), gunicorn=True),
    "permit_obsolete_folding": switch("--permit-obsolete-folding"),
    "strip_header_spaces": switch("--strip-header-spaces"),
    "permit_unconventional_http_method": switch("--permit-unconventional-http-method"),
    "permit_unconventional_http_version": switch("--permit-unconventional-http-version"),
    "casefold_http_method": switch("--casefold-http-method"),
    # Logging
    "accesslog": text(None, "--access-logfile"),
    "access_log_format": text(FORMAT, "--access-logformat"),
    "errorlog": text("-", "--error-logfile"),
    "loglevel": word("info", "debug", "--log-level"),
    "log_format": word("text", "json", "--log-format"),
    "access_log_skip": Case(
        [],
        "'/health'",
        ["/health"],
        "7",
        ("--access-log-skip", "/health"),
        "neither a string nor a list of strings",
    ),
    "capture_output": switch("--capture-output"),
    "logger_class": Case(
        LOGGER,
        "'simple'",
        "simple",
        "'nonsense'",
        ("--logger-class", "simple"),
        "an unknown name",
        bad_cli=("--logger-class", "nonsense"),
    ),
    "logconfig": text(None, "--log-config"),
    "logconfig_dict": Case(
        {}, "{'a': 1}", {"a": 1}, "{1: 2}", reason="not a dict with names as its keys"
    ),
    "logconfig_json": text(None, "--log-config-json"),
    "syslog": switch("--log-syslog"),
    "syslog_addr": text("udp://localhost:514", "--log-syslog-to"),
    "syslog_prefix": text(None, "--log-syslog-prefix"),
    "syslog_facility": text("user", "--log-syslog-facility"),
    "disable_redirect_access_to_syslog": switch("--disable-redirect-access-to-syslog"),
    "enable_stdio_inheritance": switch("-R"),
    # Metrics
    "statsd_host": Case(
        None,
        "'Unix:1'",
        ("unix", 1),
        "'host:port'",
        ("--statsd-host", "unix:1"),
        "a port is a number from 0 to 65535",
        bad_cli=("--statsd-host", "host:port"),
    ),
    "statsd_prefix": text("", "--statsd-prefix"),
    "dogstatsd_tags": text("", "--dogstatsd-tags"),
    "enable_backlog_metric": switch("--enable-backlog-metric"),
    # Server Mechanics
    "preload_app": switch("--preload"),
    "sendfile": Case(
        True,
        "'no'",
        False,
        "'maybe'",
        ("--no-sendfile",),
        env=("SENDFILE", "0", False, "maybe"),
    ),
    "chdir": Case(
        HERE,
        "'/'",
        "/",
        "'nowhere'",
        ("--chdir", "/"),
        "no such directory",
        bad_cli=("--chdir", "nowhere"),
    ),
    "pythonpath": text(None, "--pythonpath"),
    "daemon": switch("-D"),
    "raw_env": Case(
        [],
        "'A=1=2'",
        ["A=1=2"],
        "'A'",
        ("-e", "A=1=2"),
        "'A' is not of the form NAME=VALUE",
        bad_cli=("-e", "A"),
    ),
    "pidfile": text(None, "-p"),
    "user": Case(
        os.geteuid(),
        "'root'",
        0,
        "'no such one'",
        ("-u", "0"),
        "there is no such user",
        bad_cli=("-u", "no such one"),
    ),
    "group": Case(
        os.getegid(),
        "0",
        0,
        "'no such one'",
        ("-g", "0"),
        "there is no such group",
        bad_cli=("-g", "no such one"),
    ),
    "initgroups": switch("--initgroups"),
    "umask": Case(0, "'022'", 0o22, "0o1000", ("-m", "0o22"), bad_cli=("-m", "0x200")),
    "worker_tmp_dir": text(None, "--worker-tmp-dir"),
    "tmp_upload_dir": Case(None, "'/'", "/", "'nowhere'", reason="no such directory"),
    "paste": text(None, "--paste"),
    "raw_paste_global_conf": Case(
        [],
        "'a=b'",
        ["a=b"],
        "7",
        ("--paste-global", "a=b"),
        "neither a string nor a list of strings",
    ),
    # Process Naming
    "proc_name": replace(text("monoceros", "-n"), gunicorn="gunicorn"),
    "default_proc_name": replace(text("monoceros"), gunicorn="gunicorn"),
    # Debugging
    "reload": switch("--reload"),
    "reload_engine": word("auto", "poll", "--reload-engine"),
    "reload_extra_files": Case(
        [],
        "'*.html'",
        ["*.html"],
        "'gone.html'",
        ("--reload-extra-file", "*.html"),
        "'gone.html' does not exist",
        bad_cli=("--reload-extra-file", "gone.html"),
    ),
    "spew": switch("--spew"),
    "check_config": switch("--check-config"),
    "print_config": switch("--print-config"),
    "print_format": word("text", "json", "--format"),
    # Server Hooks
    "nworkers_changed": function("server, new_value, old_value"),
    "on_starting": function("server"),
    "when_ready": function("server"),
    "pre_fork": function("server, worker"),
    "post_fork": function("server, worker"),
    "post_worker_init": function("worker"),
    "pre_request": function("worker, req", log_request),
    "post_request": replace(
        function("worker, req, environ, resp"),
        reason="cannot be called with 2 arguments: (worker, req)",
    ),
    "worker_int": function("worker"),
    "worker_abort": function("worker"),
    "worker_exit": function("server, worker"),
    "child_exit": function("server, worker"),
    "on_reload": function("server"),
    "pre_exec": function("server"),
    "on_exit": function("server"),
    # Protocols
    "protocol": later(UWSGI, "http", "uwsgi", "--protocol"),
    "uwsgi_allow_ips": later(UWSGI, LOOPBACK, "*", "--uwsgi-allow-from"),
    "proxy_protocol": later(PROXY, "off", "v1", "--proxy-protocol"),
    "proxy_allow_ips": later(PROXY, LOOPBACK, "*", "--proxy-allow-from"),
    # SSL
    "keyfile": later(TLS, None, "a.key", "--keyfile"),
    "certfile": later(TLS, None, "a.pem", "--certfile"),
    "ssl_version": later(TLS, None, 5, "--ssl-version"),
    "cert_reqs": later(TLS, 0, 2, "--cert-reqs"),
    "ca_certs": later(TLS, None, "a.pem", "--ca-certs"),
    "suppress_ragged_eofs": replace(
        later(TLS, True, False), cli=("--suppress-ragged-eofs",), bad_cli=()
    ),
    "do_handshake_on_connect": replace(
        later(TLS, False, True), bad_cli=("--do-handshake-on-connect",)
    ),
    "ciphers": later(TLS, None, "HIGH", "--ciphers"),
    "ssl_context": later_hook(TLS, "config, default_ssl_context_factory"),
    # HTTP/2
    "http_protocols": later(HTTP2, "h1", "h1,h2", "--http-protocols"),
    "http2_cleartext": later(HTTP2, "off", "both", "--http2-cleartext"),
    "http2_max_concurrent_streams": later(HTTP2, 100, 9, "--http2-max-concurrent-streams"),
    "http2_initial_window_size": later(HTTP2, 65535, 9, "--http2-initial-window-size"),
    "http2_max_frame_size": later(HTTP2, 16384, 20000, "--http2-max-frame-size"),
    "http2_max_header_list_size": later(HTTP2, 65536, 9, "--http2-max-header-list-size"),
    # ASGI
    "asgi_loop": word("auto", "asyncio", "--asgi-loop"),
    "asgi_lifespan": word("auto", "on", "--asgi-lifespan"),
    "asgi_disconnect_grace_period": number(3, "--asgi-disconnect-grace-period"),
    "stream_grace": period(0.1, "--stream-grace"),
    "root_path": text("", "--root-path"),
    "websocket_max_message_size": number(16777216, "--websocket-max-message-size"),
    "websocket_ping_interval": period(20, "--websocket-ping-interval"),
    "websocket_ping_timeout": period(20, "--websocket-ping-timeout"),
    "websocket_per_message_deflate": Case(
        True, "'false'", False, "'maybe'", ("--no-websocket-per-message-deflate",)
    ),
    # Dirty Arbiters
    "dirty_apps": later(DIRTY, [], "a:B", "--dirty-app"),
    "dirty_workers": later(DIRTY, 0, 2, "--dirty-workers"),
    "dirty_timeout": later(DIRTY, 300, 9, "--dirty-timeout"),
    "dirty_threads": later(DIRTY, 1, 9, "--dirty-threads"),
    "dirty_graceful_timeout": later(DIRTY, 30, 9, "--dirty-graceful-timeout"),
    "on_dirty_starting": later_hook(DIRTY, "arbiter"),
    "dirty_post_fork": later_hook(DIRTY, "arbiter, worker"),
    "dirty_worker_init": later_hook(DIRTY, "worker"),
    "dirty_worker_exit": later_hook(DIRTY, "arbiter, worker"),
    # Control
    "control_socket": later(CONTROL, None, "a.sock", "--control-socket"),
    "control_socket_mode": later(CONTROL, 0o600, 0o660, "--control-socket-mode"),
    "control_socket_disable": switch("--no-control-socket"),
}
