"""Responses as hooks and loggers see them, and what the server calls itself in them.

``SERVER`` and ``SERVER_SOFTWARE`` are here only where somebody sets them here, see ``gunicorn``.
"""

import gunicorn
from monoceros.http.files import FileWrapper
from monoceros.wsgi.exchange import ResponseView as Response

__all__ = ["FileWrapper", "Response"]

IS_FACADE = True
SERVER: str
SERVER_SOFTWARE: str


def __getattr__(name: str) -> str:
    if name == "SERVER":
        return gunicorn.SERVER
    if name == "SERVER_SOFTWARE":
        return gunicorn.SERVER_SOFTWARE
    raise AttributeError(f"Monoceros's module {__name__!r} has no attribute {name!r}")
