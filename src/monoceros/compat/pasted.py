"""Applications by PasteDeploy, for programs that ask for them by Gunicorn's functions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from monoceros.config.pastefile import PasteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def get_wsgi_app(
    config_uri: str, name: str | None = None, defaults: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """Have PasteDeploy make an application; ``defaults`` are for its file."""
    deploy = importlib.import_module("paste.deploy")
    app: Callable[..., Any] = deploy.loadapp(
        config_uri, name=name, relative_to=".", global_conf=dict(defaults or {})
    )
    return app


def has_logging_config(config_file: str) -> bool:
    """Whether a file configures logging as well."""
    return PasteFile.parse(config_file, ".").has_loggers()
