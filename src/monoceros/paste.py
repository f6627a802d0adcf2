"""The server as PasteDeploy starts it: ``[server:main]`` with ``use = egg:monoceros``.

``egg:gunicorn`` is the same with Gunicorn's defaults; see ``compat.metadata``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros import cli
from monoceros.config import load
from monoceros.config.pastefile import PasteFile
from monoceros.config.sections import SETTINGS
from monoceros.errors import ConfigError, MonocerosError
from monoceros.identity import GUNICORN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monoceros.http.types import WsgiApp


def serve(app: WsgiApp, global_conf: Mapping[str, str], **local_conf: str) -> None:
    """Serve ``app`` until told to stop, then exit the process; the command line is not read.

    ``host`` and ``port`` make up ``bind``, ``config`` names a configuration file, whatever else
    the section has is a setting; GUNICORN_CMD_ARGS and that file go before it.
    """
    _serve(app, global_conf, local_conf, cli.PROG)


def serve_as_gunicorn(app: WsgiApp, global_conf: Mapping[str, str], **local_conf: str) -> None:
    """Serve as ``serve`` does, under the name ``gunicorn``."""
    _serve(app, global_conf, local_conf, GUNICORN)


def _serve(
    app: WsgiApp, global_conf: Mapping[str, str], local_conf: Mapping[str, str], prog: str
) -> None:
    try:
        framework = collect_settings(global_conf, local_conf)
        cfg = load((), os.environ, str(Path.cwd()), prog, framework)
        cli.host(cfg, app)
    except MonocerosError as error:
        raise SystemExit(f"\nError: {error}") from None


def collect_settings(
    global_conf: Mapping[str, str], local_conf: Mapping[str, str]
) -> dict[str, object]:
    """Translate a ``[server:]`` section to settings; raises ConfigError for an unknown one."""
    given = {name.lower(): value for name, value in local_conf.items()}
    host, port = given.pop("host", ""), given.pop("port", "")
    known = {setting.name for setting in SETTINGS}
    unknown = sorted(given.keys() - known)
    file = global_conf.get("__file__")
    if unknown:
        where = f" of {file}" if file else ""
        raise ConfigError(f"{unknown[0]}, in a server section{where}, is not a setting")
    settings: dict[str, object] = dict(given)
    if host or port:
        settings["bind"] = [_join(one.strip(), port) for one in host.split(",")]
    if file:
        settings.setdefault("default_proc_name", file)
        if PasteFile.parse(file, "").has_loggers():
            settings.setdefault("logconfig", file)
    return settings


def _join(host: str, port: str) -> str:
    if not port or host.startswith(("unix:", "fd://")):
        return host
    return f"[{host}]:{port}" if host.count(":") > 1 and host[0] != "[" else f"{host}:{port}"
