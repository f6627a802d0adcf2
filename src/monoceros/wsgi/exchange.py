"""One request and its response, as hooks and loggers see them: Gunicorn's names over an environ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from monoceros.http.answers import full_status

if TYPE_CHECKING:
    from datetime import timedelta

    from monoceros.http.access import Entry
    from monoceros.http.types import Environ, Field

_CONTENT = ("CONTENT_TYPE", "CONTENT_LENGTH")


class RequestView:
    """The request behind an environ; a changed ``headers`` takes effect by ``write_back``.

    Fields are named in capitals, and those that came several times are joined.
    """

    def __init__(self, environ: Environ, number: int) -> None:
        self._environ = environ
        self.req_number = number
        self.method: str = environ["REQUEST_METHOD"]
        self.uri: str = environ["RAW_URI"]
        self.version = _version(environ["SERVER_PROTOCOL"])
        self.headers = _read_fields(environ)
        self.scheme: str = environ["wsgi.url_scheme"]
        self.body: Any = environ["wsgi.input"]
        self.trailers: list[Field] = []
        self.proxy_protocol_info = None
        self.path, self.query, self.fragment = _split(self.uri)
        self.remote_addr = self.peer_addr = _peer(environ)
        self._before = list(self.headers)

    def write_back(self) -> bool:
        """Put what was changed in ``headers`` into the environ; False where that is nothing."""
        if self.headers == self._before:
            return False
        environ = self._environ
        for name in [key for key in environ if key.startswith("HTTP_") or key in _CONTENT]:
            del environ[name]
        for name, value in self.headers:
            key = name.upper().replace("-", "_")
            key = key if key in _CONTENT else "HTTP_" + key
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return True


class ResponseView:
    """The response to a finished request."""

    def __init__(self, entry: Entry) -> None:
        self._environ = entry.environ
        self._is_own_error = len(entry.status) == 3
        self.status = full_status(entry.status)
        self.headers = entry.headers
        self.sent = entry.sent
        self.headers_sent = True

    @property
    def status_code(self) -> int:
        """The status as a number."""
        return int(self.status[:3])

    @property
    def response_length(self) -> int | None:
        """The announced length of the content, None without any."""
        lengths = [value for name, value in self.headers if name.lower() == "content-length"]
        return int(lengths[0]) if lengths else None

    @property
    def chunked(self) -> bool:
        """Whether the content was sent in chunks, as for want of an announced length."""
        environ = self._environ
        return (
            self.response_length is None
            and not self._is_own_error
            and self.status_code >= 200
            and self.status_code not in (204, 304)
            and environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
            and environ.get("REQUEST_METHOD") != "HEAD"
        )


def request_time(entry: Entry) -> timedelta:
    """Return how long a request took."""
    from datetime import timedelta  # it takes a millisecond, and few servers need it

    return timedelta(microseconds=entry.elapsed_us)


def _version(protocol: str) -> tuple[int, int]:
    major, _, minor = protocol.removeprefix("HTTP/").partition(".")
    return int(major), int(minor or 0)


def _read_fields(environ: Environ) -> list[Field]:
    return [
        (key.removeprefix("HTTP_").replace("_", "-"), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") or key in _CONTENT
    ]


def _split(uri: str) -> tuple[str, str, str]:
    if uri == "*":
        return uri, "", ""
    # An origin-form target may begin with two slashes, which is no authority.
    parts = urlsplit(uri if "://" in uri.partition("?")[0] else f"//x{uri}")
    return parts.path, parts.query, parts.fragment


def _peer(environ: Environ) -> tuple[str, int] | str:
    port = environ.get("REMOTE_PORT")
    address: str = environ["REMOTE_ADDR"]
    return (address, int(port)) if port else address
