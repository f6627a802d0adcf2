"""From settings to the Core that an ASGI worker serves with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.http import Core
from monoceros.http.access import AccessFormat
from monoceros.http.environ import base_environ
from monoceros.identity import server_field, server_software
from monoceros.wsgi.core import make_limits, make_policy, make_rules
from monoceros.wsgi.report import Reporter

if TYPE_CHECKING:
    from monoceros.workers.base import Worker
    from monoceros.wsgi.observers import Observers


def make_core(worker: Worker, observers: Observers) -> Core:
    """Return the Core that a worker's connections share."""
    cfg, log = worker.cfg, worker.log
    access = None
    if log.access_log_enabled and not observers.wants_calls:
        access = AccessFormat(cfg.access_log_format, cfg.access_log_skip)
    software = server_software(cfg.compat)
    return Core(
        _no_wsgi,
        base_environ(software, log.stream, multithread=False, multiprocess=cfg.workers > 1),
        make_limits(cfg),
        make_rules(cfg),
        server_field(cfg.compat),
        make_policy(cfg, keeps_connections=True),
        Reporter(log, access, observers.finished),
        worker.slot,
    )


def _no_wsgi(environ: object, start_response: object) -> list[bytes]:
    raise RuntimeError("an ASGI worker calls no WSGI application")
