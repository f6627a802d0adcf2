"""From settings to the Core that a WSGI worker serves with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.http import Core
from monoceros.http.access import AccessFormat
from monoceros.http.budget import Budget
from monoceros.http.environ import base_environ
from monoceros.http.types import Limits, Policy, Rules
from monoceros.identity import GUNICORN, server_field, server_software
from monoceros.wsgi.observers import Observers
from monoceros.wsgi.report import Reporter

if TYPE_CHECKING:
    from monoceros.config import Config
    from monoceros.http.types import WsgiApp
    from monoceros.workers.base import Worker

_LARGEST_LINE = 8190  # as Gunicorn: what limit_request_line means by 0
_LARGEST_COUNT = 32768


def make_core(
    worker: Worker,
    app: WsgiApp,
    policy: Policy | None = None,
    slot: memoryview | None = None,
    *,
    multithread: bool = False,
) -> Core:
    """Return a Core for one thread of a worker that runs the application.

    Those of one worker share the ``policy``, and each has a scoreboard record of its own, or none.
    """
    cfg, log = worker.cfg, worker.log
    environ = base_environ(
        server_software(cfg.compat),
        log.stream,
        multithread=multithread,
        multiprocess=cfg.workers > 1,
    )
    environ["SCRIPT_NAME"] = cfg.environ.get("SCRIPT_NAME", "")
    observers = Observers(worker)
    access = None
    if log.access_log_enabled and not observers.wants_calls:
        access = AccessFormat(cfg.access_log_format, cfg.access_log_skip)
    return Core(
        observers.wrap(app),
        environ,
        make_limits(cfg),
        make_rules(cfg),
        server_field(cfg.compat),
        policy or make_policy(cfg),
        Reporter(log, access, observers.finished),
        slot,
    )


def make_limits(cfg: Config) -> Limits:
    """Translate the settings; the whole head always has room for one line and one field."""
    line = min(cfg.limit_request_line or _LARGEST_LINE, _LARGEST_LINE)
    field = cfg.limit_request_field_size or _LARGEST_LINE
    return Limits(
        line=line,
        fields=cfg.limit_request_fields or _LARGEST_COUNT,
        field=field,
        head=max(cfg.limit_request_head, line + field + 8),
        body=cfg.limit_request_body,
        body_memory=cfg.body_memory_limit,
        body_spool=cfg.body_spool_limit,
    )


def make_rules(cfg: Config) -> Rules:
    """Translate the head policies."""
    return Rules(
        header_map=cfg.header_map,
        forwarder_headers=frozenset(name.upper() for name in cfg.forwarder_headers),
        secure_scheme_headers=cfg.secure_scheme_headers,
        permit_obsolete_folding=cfg.permit_obsolete_folding,
        permit_unconventional_http_method=cfg.permit_unconventional_http_method,
        permit_unconventional_http_version=cfg.permit_unconventional_http_version,
        permit_missing_host=cfg.permit_missing_host,
        casefold_http_method=cfg.casefold_http_method,
        strip_header_spaces=cfg.strip_header_spaces,
    )


def make_policy(cfg: Config, *, keeps_connections: bool | None = None) -> Policy:
    """Translate what the worker decides for its connections.

    ``keeps_connections`` by default under ``compat``, which is for its class to say.
    """
    if keeps_connections is None:
        keeps_connections = cfg.worker_class.keeps_connections
    is_kept = cfg.compat != GUNICORN or keeps_connections
    return Policy(
        keepalive=cfg.keepalive > 0 and (is_kept or cfg.is_given("keepalive")),
        keepalive_timeout=cfg.keepalive,
        spares_trusted=not cfg.is_given("keepalive"),
        request_buffering=cfg.request_buffering,
        sendfile=cfg.sendfile,
        tmp_upload_dir=cfg.tmp_upload_dir,
        body_timeout=float(cfg.body_timeout or 1 << 20),
        body_min_rate=float(cfg.body_min_rate),
        write_timeout=float(cfg.write_timeout or 1 << 20),
        request_timeout=float(cfg.request_timeout),
        budget=Budget(),
    )
