"""The worker class ``eventlet``, imported when it is asked for: it needs eventlet."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("EventletWorker",):
        return getattr(import_module("monoceros.workers.geventlet"), name)
    raise AttributeError(f"Monoceros's module {__name__!r} has no attribute {name!r}")
