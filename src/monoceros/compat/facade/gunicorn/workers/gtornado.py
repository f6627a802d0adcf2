"""The worker class ``tornado``, imported when it is asked for: it needs tornado."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("TornadoWorker",):
        return getattr(import_module("monoceros.workers.gtornado"), name)
    raise AttributeError(f"Monoceros's module {__name__!r} has no attribute {name!r}")
