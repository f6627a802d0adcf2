"""The worker class ``gevent``, imported when it is asked for: it needs gevent."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("GeventWorker", "GeventPyWSGIWorker", "PyWSGIWorker"):
        return getattr(import_module("monoceros.workers.ggevent"), name)
    raise AttributeError(f"Monoceros's module {__name__!r} has no attribute {name!r}")
