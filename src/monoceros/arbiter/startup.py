"""What the arbiter does before its loop: from a configuration to listening sockets."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from monoceros import identity
from monoceros.arbiter import sizing, watching
from monoceros.compat import finder
from monoceros.garbage import uncollected
from monoceros.net import listeners, owner
from monoceros.unpatched import poll
from monoceros.workers import hooks, latecomers

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter
    from monoceros.arbiter.signals import Signals
    from monoceros.config import Config
    from monoceros.workers.base import Worker

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class StopRequested(Exception):
    """A signal asked for the end while the server was still starting."""


def start(server: Arbiter) -> None:
    """Begin to listen, and call the hooks on the way.

    Raises MonocerosError, HookError, StopRequested, and what a preloaded application raises.
    """
    cfg = server.cfg
    worker_class = server.current.worker_class
    os.environ["SERVER_SOFTWARE"] = identity.server_software(cfg.compat)
    set_up(worker_class, cfg)
    server.log.info("Starting %s", identity.start_line(cfg.compat, worker_class.describe(cfg)))
    log_remarks(server)
    log_shadowed(server)
    owner.check(cfg)
    watching.check(cfg)
    server.upgrade.inherit()
    server.notifier.start()
    server.set_wanted(sizing.begin(server), None)
    if watching.preloads(cfg):
        worker_class.prepare_import(server.log)
        server.app.wsgi()
    server.adopt_names()
    hooks.call(cfg, "on_starting", server)
    server.signals.install()
    server.upgrade.open_listeners(partial(_pause, server.signals))
    log_listeners(server)
    server.log.info("Using worker: %s", cfg.worker_class_str)
    worker_class.check_config(cfg, server.log)
    hooks.call(cfg, "when_ready", server)
    server.watching.follow()


def set_up(worker_class: type[Worker], cfg: Config) -> None:
    """Import what workers need, all of it where they lose access to the library."""
    with uncollected():
        worker_class.setup()
    if owner.changes(cfg):
        latecomers.import_all(asgi=cfg.is_class_open)


def log_listeners(server: Arbiter) -> None:
    """Log where the server listens."""
    where = ",".join(listeners.format_address(sock) for sock in server.LISTENERS)
    server.log.info("Listening at: %s (%s)", where, server.pid)


def log_shadowed(server: Arbiter) -> None:
    """Log that a real Gunicorn is installed, where somebody asked for it and got ours."""
    found = finder.find_installed()
    if finder.NAME in sys.modules and found is not None and (real := found.find_real()):
        server.log.info(
            "Gunicorn is installed too (%s); in this server's processes its name is Monoceros's "
            "own facade of it",
            real.origin,
        )


def log_remarks(server: Arbiter) -> None:
    """Log what is to be said about the configuration in force."""
    for note in server.cfg.notes:
        server.log.info("%s", note)
    for warning in server.cfg.warnings:
        server.log.warning("%s", warning)
    if server.cfg.preload_app and not watching.preloads(server.cfg):
        server.log.warning("preload_app is not used with reload: its code could never change")


def _pause(signals: Signals, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        poller = poll()
        poller.register(signals.wakeup, select.POLLIN)
        poller.poll(left * 1000)
        signals.wakeup.drain()
        if signals.has(*_ENDING):
            raise StopRequested
