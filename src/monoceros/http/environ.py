"""The parts of a WSGI environ (PEP 3333) that are off the hot path, for both twins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monoceros.http.files import FileWrapper
from monoceros.http.refusals import Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monoceros.http.types import Environ, Rules

_DEFAULT_PORT = {"http": "80", "https": "443"}


def base_environ(server: str, errors: object, multithread: bool, multiprocess: bool) -> Environ:
    """Return what all requests of a worker have in common."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_SOFTWARE": server,
        "wsgi.version": (1, 0),
        "wsgi.errors": errors,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
    }


def listener_environ(base: Environ, local: Any, scheme: str) -> Environ:
    """Return ``base`` with the defaults of a request and the address of a listener.

    ``local`` is the listener's ``getsockname()``: a tuple, or a path for a unix socket.
    """
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": scheme,
        **base,
    }
    if isinstance(local, tuple):
        environ["SERVER_NAME"] = local[0]
        environ["SERVER_PORT"] = str(local[1])
    else:
        path = local.decode("latin-1") if isinstance(local, bytes) else local
        environ["SERVER_NAME"] = path or "localhost"
        environ["SERVER_PORT"] = ""
    return environ


def peer_environ(remote: Any) -> Environ:
    """Return REMOTE_ADDR and REMOTE_PORT; unix peers have an empty address and no port."""
    if not isinstance(remote, tuple):
        return {"REMOTE_ADDR": ""}
    return {"REMOTE_ADDR": remote[0], "REMOTE_PORT": str(remote[1])}


def environ_key(name: str) -> str:
    """Return the environ's key for a field name."""
    key = name.upper().replace("-", "_")
    return key if name.upper() in ("CONTENT-TYPE", "CONTENT-LENGTH") else "HTTP_" + key


def add_field(environ: Environ, key: str, value: str) -> None:
    """Add a field; several of one name are one (RFC 9110 5.3; RFC 6265 4.2.1 for cookies)."""
    if key in environ:
        value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
    environ[key] = value


def may_pass(name: str, trusted: bool, rules: Rules) -> bool:
    """Judge a field name with ``_``, which an environ cannot tell from ``-``; may refuse."""
    upper = name.upper()
    if trusted and (upper in rules.forwarder_headers or "*" in rules.forwarder_headers):
        return True
    if rules.header_map == "refuse":
        raise refusal(Refusal.UNDERSCORE_IN_NAME)
    return rules.header_map == "dangerous"


def is_script_name(name: str, trusted: bool, rules: Rules) -> bool:
    """Tell whether a field is a trusted proxy's SCRIPT_NAME.

    ``Script-Name`` is not: it has the same key in the environ, but proxies that drop names
    with ``_`` pass it on from their clients.
    """
    if not trusted or name.upper() != "SCRIPT_NAME":
        return False
    return "SCRIPT_NAME" in rules.forwarder_headers or "*" in rules.forwarder_headers


def scheme_keys(rules: Rules) -> dict[str, str]:
    """Return environ key to secure value for ``secure_scheme_headers``."""
    return {environ_key(name): value for name, value in rules.secure_scheme_headers.items()}


def apply_scheme(environ: Environ, keys: Mapping[str, str]) -> None:
    """Let a trusted proxy's fields decide ``wsgi.url_scheme``; refuses a contradiction."""
    verdict: bool | None = None
    for key, secure in keys.items():
        value = environ.get(key)
        if value is not None:
            is_secure = value == secure or all(
                member.strip() == secure for member in value.split(",")
            )
            if verdict is not None and verdict != is_secure:
                raise refusal(Refusal.SCHEME_FIELDS)
            verdict = is_secure
    if verdict is not None:
        environ["wsgi.url_scheme"] = "https" if verdict else "http"


def apply_script_name(environ: Environ) -> None:
    """Take SCRIPT_NAME, from a trusted proxy's field or the process environment, off the path."""
    name = environ["SCRIPT_NAME"]
    path = environ["PATH_INFO"]
    # ``OPTIONS *`` and CONNECT have no path that could be inside or outside of it.
    if not path:
        return
    if not path.startswith(name):
        raise refusal(Refusal.SCRIPT_NAME)
    environ["PATH_INFO"] = path[len(name) :]


def name_server(environ: Environ) -> None:
    """Take SERVER_NAME and SERVER_PORT of a request on a unix socket from its Host."""
    host = environ.get("HTTP_HOST", "")
    if not host:
        return
    name, _, port = host.rpartition(":") if host.rfind(":") > host.rfind("]") else (host, "", "")
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = port or _DEFAULT_PORT.get(environ["wsgi.url_scheme"], "")
