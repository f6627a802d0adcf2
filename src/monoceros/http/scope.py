"""The parts of an ASGI scope and of its responses that are off the hot path, for both twins."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from monoceros.http.answers import PHRASES
from monoceros.http.errors import InvalidResponse
from monoceros.http.fields import check_field, is_servers_own
from monoceros.http.refusals import Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Field, OctetField, Rules, Scope


def base_scope(scheme: str, local: Any, remote: Any, root_path: str) -> Scope:
    """Return what all requests of a connection have in common.

    ``local`` and ``remote`` are a socket's addresses: tuples, or a path for a unix socket. A slash
    at the end of ``root_path`` is left out: routers cut it off the path, and look for a slash then.
    Nothing in it is shared with other connections, whatever applications do to it.
    """
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "server": tuple(local[:2]) if isinstance(local, tuple) else (_path(local), None),
        "client": tuple(remote[:2]) if isinstance(remote, tuple) else None,
        "scheme": scheme,
        "method": "GET",
        "root_path": root_path.rstrip("/"),
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
        "extensions": {
            "http.response.early_hint": {},
            "http.response.trailers": {},
            "http.response.pathsend": {},
        },
    }


def _path(local: Any) -> str:
    return local.decode("utf-8", "surrogateescape") if isinstance(local, bytes) else str(local)


def put_root_in_front(scope: Scope) -> None:
    """Have the path begin with ``root_path``, which a proxy may have taken off (ASGI 2.5)."""
    root, path = scope["root_path"], scope["path"]
    # ``OPTIONS *`` and CONNECT have no path that could be inside of it.
    if path and path != root and not path.startswith(root + "/"):
        scope["path"] = root + path
        scope["raw_path"] = quote(root).encode("ascii") + scope["raw_path"]


@lru_cache(maxsize=256)
def status_line(status: int) -> str:
    """Return a status with its phrase; raises ``InvalidResponse`` where it is no integer."""
    # A subclass is one, and so is what numpy and the like have; True is not.
    if isinstance(status, bool) or not isinstance(status, int):
        raise InvalidResponse("response status is not an integer")
    code = int(status)
    phrase = PHRASES.get(code) or _phrases().get(code, "")
    return f"{code} {phrase}"


@lru_cache(maxsize=1)
def _phrases() -> dict[int, str]:
    # Imported late: it takes a millisecond.
    from http import HTTPStatus

    return {status.value: status.phrase for status in HTTPStatus}


def decode_fields(headers: Iterable[OctetField]) -> list[Field]:
    """Return an application's fields as text; raises ``InvalidResponse``."""
    try:
        return [(_text(name), _text(value)) for name, value in headers]
    except (TypeError, ValueError) as error:
        raise InvalidResponse("response headers are not pairs of bytes") from error


def is_event_stream(fields: list[Field]) -> bool:
    """Whether a response's fields announce a stream of events, which has no end of its own."""
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/event-stream")
        for name, value in fields
    )


def encode_trailers(headers: Iterable[OctetField]) -> bytes:
    """Return the lines of trailer fields, without those about connection or framing.

    Raises ``InvalidResponse``. RFC 9110 6.5.1 has what has no business there.
    """
    lines = []
    for name, value in decode_fields(headers):
        check_field(name, value)
        if not is_servers_own(name):
            lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def _text(octets: object) -> str:
    if not isinstance(octets, bytes | bytearray | memoryview):
        raise TypeError
    return bytes(octets).decode("latin-1")


def apply_scheme(scope: Scope, fields: list[OctetField], rules: Rules) -> None:
    """Let a trusted proxy's fields decide the scheme; refuses a contradiction."""
    verdict: bool | None = None
    for name, secure in rules.secure_scheme_headers.items():
        # What an environ would not tell apart is the same field.
        wanted = name.lower().replace("_", "-").encode("utf-8", "replace")
        values = [value for found, value in fields if found.replace(b"_", b"-") == wanted]
        if not values:
            continue
        joined = b",".join(values).decode("latin-1")
        is_secure = joined == secure or _names_all(joined, secure, fields)
        if verdict is not None and verdict != is_secure:
            raise refusal(Refusal.SCHEME_FIELDS)
        verdict = is_secure
    if verdict is not None:
        scope["scheme"] = "https" if verdict else "http"


def _names_all(value: str, secure: str, fields: list[OctetField]) -> bool:
    """Whether each member of a field is the value that means https."""
    names = {secure}
    # Some proxies name the scheme that a client's URI has (RFC 6455 3), as Traefik does.
    if secure == "https" and asks_for_websocket(fields):
        names.add("wss")
    return all(member.strip() in names for member in value.split(","))


def asks_for_websocket(fields: list[OctetField]) -> bool:
    """Whether a request's fields name WebSocket as the protocol to go on with."""
    return any(
        name == b"upgrade" and b"websocket" in [one.strip() for one in value.lower().split(b",")]
        for name, value in fields
    )
