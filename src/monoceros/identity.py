"""What the server calls itself: by its own name, or by Gunicorn's where that is asked for.

``compat`` is the setting of that name: ``"gunicorn"`` or ``"monoceros"``.
"""

from __future__ import annotations

import sys

from monoceros._version import __version__

GUNICORN = "gunicorn"
GUNICORN_VERSION = "27.0.1"  # the release whose surface is kept


def program(compat: str) -> str:
    """Return the name in process titles and messages."""
    return GUNICORN if compat == GUNICORN else "monoceros"


def server_software(compat: str) -> str:
    """Return ``SERVER_SOFTWARE``, in the environment of processes and of requests."""
    if (told := _told("SERVER_SOFTWARE")) is not None:
        return told
    version = GUNICORN_VERSION if compat == GUNICORN else __version__
    return f"{program(compat)}/{version}"


def server_field(compat: str) -> str:
    """Return the value of the ``Server`` field in responses."""
    told = _told("SERVER")
    return program(compat) if told is None else told


def start_line(compat: str, about: str) -> str:
    """Return what follows ``Starting`` in the log's first line; ``about`` may be empty."""
    if compat != GUNICORN:
        return f"monoceros {__version__}" + (f" ({about})" if about else "")
    ours = f"monoceros {__version__}"
    return f"gunicorn {GUNICORN_VERSION} ({', '.join(filter(None, (ours, about)))})"


def _told(name: str) -> str | None:
    """Return what somebody has set an attribute of ``gunicorn`` to, None where nobody has.

    That hides the server's name, or changes it, in many configuration files. The facade has the
    attributes only then, see ``compat.facade.gunicorn``; the real package always does.
    """
    for module in ("gunicorn.http.wsgi", "gunicorn"):
        attributes: dict[str, object] = getattr(sys.modules.get(module), "__dict__", {})
        if attributes.get("IS_FACADE") and name in attributes:
            # It stands in a field of the response's head.
            return "".join(char for char in str(attributes[name]) if " " <= char <= "~")
    return None
