"""What workers import when they come to need it, and not before: it would delay each start."""

from __future__ import annotations

import contextlib
import importlib

NAMES = (
    "ast",
    "datetime",
    "difflib",
    "inspect",
    "json",
    "random",
    "tempfile",
    "monoceros.config.pastefile",
    "monoceros.http.access_json",
    "monoceros.workers.overload",
    "monoceros.workers.signs",
    "monoceros.workers.spew",
    "monoceros.wsgi.broken",
)

# Where the application may be an ASGI one, and no class has been chosen that would import them.
ASGI_NAMES = (
    "http",
    "monoceros.asgi.loops",
    "monoceros.asgi.websocket",
    "monoceros.workers.asgi.serving",
    "monoceros.workers.gasgi",
)


def import_all(*, asgi: bool) -> None:
    """Import it all now, for workers that will not be able to.

    A user that workers change to need not have access to the interpreter's library.
    """
    for name in NAMES:
        importlib.import_module(name)
    for name in ASGI_NAMES if asgi else ():
        # WebSockets need a library, without which all else is served.
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
