"""Gunicorn's name for what others import of it: Monoceros's own classes and functions.

``SERVER`` and ``SERVER_SOFTWARE`` are what the server calls itself in responses and in the
environment of requests. Whoever sets them here changes that; nobody else puts them into this
module, so that it can be told apart, see ``monoceros.identity``.
"""

from monoceros.identity import GUNICORN as _NAME
from monoceros.identity import GUNICORN_VERSION as __version__

IS_FACADE = True
SERVER: str
SERVER_SOFTWARE: str

version_info: tuple[int, ...] = tuple(int(part) for part in __version__.split("."))


def __getattr__(name: str) -> str:
    if name == "SERVER":
        return _NAME
    if name == "SERVER_SOFTWARE":
        return f"{_NAME}/{__version__}"
    raise AttributeError(f"Monoceros's module {__name__!r} has no attribute {name!r}")
