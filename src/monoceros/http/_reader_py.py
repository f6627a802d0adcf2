"""From the heads of a connection to scopes, in pure Python (ASGI, HTTP connection scope)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from monoceros.http._exchange_py import Exchange
from monoceros.http._head_py import HeadScan, parse_head
from monoceros.http.environ import is_script_name, may_pass
from monoceros.http.grammar import split_target
from monoceros.http.refusals import Refusal, refusal
from monoceros.http.scope import apply_scheme, put_root_in_front

if TYPE_CHECKING:
    from monoceros.http._core_py import Core
    from monoceros.http.types import Head, OctetField, Scope


class HeadReader:
    """Collects the heads of one connection, and makes an ``Exchange`` of each."""

    __slots__ = ("_buffer", "_core", "_scan", "_template", "_trusted", "end_of_kept_head")

    def __init__(self, core: Core, template: Scope, trusted: bool, /) -> None:
        self._core = core
        self._template = template
        self._trusted = trusted
        self.end_of_kept_head = b"" if trusted else core.end_of_kept_head
        self._buffer: bytes | bytearray = b""
        self._scan: HeadScan | None = None

    @property
    def pending(self) -> int:
        """Octets that were received and not used."""
        return len(self._buffer)

    def feed(self, data: bytes, /) -> Exchange | None:
        """Return the next request once its head has come whole; raises ``BadRequest``."""
        core = self._core
        if self._buffer:
            self._buffer += data
        else:
            self._buffer = data
        data = self._buffer  # type: ignore[assignment]
        if self._scan is not None and not self._scan.is_decided(data, core.limits):
            return None
        head = parse_head(bytes(data), core.limits, core.rules) if data else None
        if head is None:
            self._wait()
            return None
        self._scan = None
        scope = _build_scope(core, self._template, head, self._trusted)
        self._buffer = bytes(data[head.length :])
        return Exchange(core, scope, head, self.end_of_kept_head)

    def keep(self, data: bytes, /) -> None:
        """Put octets behind what has come, to be looked at with the next ``feed``."""
        self._buffer = bytes(self._buffer) + data

    def take_content(self, size: int, /) -> bytes | None:
        """Return so many octets of what came behind the last head; None where fewer have."""
        if not 0 <= size <= len(self._buffer):
            return None
        content = bytes(self._buffer[:size])
        self._buffer = self._buffer[size:]
        return content

    def take_rest(self) -> bytes:
        """Return and forget what came behind the last head."""
        rest, self._buffer = self._buffer, b""
        return bytes(rest)

    def is_for_head(self) -> bool:
        """Whether what has come begins a HEAD request, whose answer has no content."""
        return self._buffer.startswith((b"HEAD ", b"\r\nHEAD "))

    def _wait(self) -> None:
        if self._scan is None and self._buffer:
            self._scan = HeadScan()
            self._scan.is_decided(self._buffer, self._core.limits)
            self._buffer = bytearray(self._buffer)


def _build_scope(core: Core, template: Scope, head: Head, trusted: bool) -> Scope:
    scope = template.copy()
    scope["method"] = head.method
    scope["http_version"] = head.version.removeprefix("HTTP/")
    fields, script_name = _read_fields(core, head, trusted)
    _add_target(scope, head, fields)
    scope["headers"] = fields
    if trusted:
        apply_scheme(scope, fields, core.rules)
    if scope["root_path"]:
        put_root_in_front(scope)
    if script_name and scope["path"]:
        if not scope["path"].startswith(script_name):
            raise refusal(Refusal.SCRIPT_NAME)
        scope["root_path"] = script_name.rstrip("/")
    if "state" in scope:
        scope["state"] = scope["state"].copy()
    scope["extensions"] = scope["extensions"].copy()
    return scope


def _read_fields(core: Core, head: Head, trusted: bool) -> tuple[list[OctetField], str]:
    fields = []
    script_name = ""
    for name, value in head.fields:
        if "_" in name:
            if not may_pass(name, trusted, core.rules):
                continue
            if is_script_name(name, trusted, core.rules):
                script_name = value
        fields.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return fields, script_name


def _add_target(scope: Scope, head: Head, fields: list[OctetField]) -> None:
    target = head.target
    if target.startswith("/") and "#" not in target:
        path, _, query = target.partition("?")
    else:
        path, query, authority = split_target(head.method, target)
        if authority is not None:
            _set_host(fields, authority)
    scope["raw_path"] = path.encode("latin-1")
    scope["path"] = unquote(path) if "%" in path else path
    scope["query_string"] = query.encode("latin-1")


def _set_host(fields: list[OctetField], authority: str) -> None:
    """Let the host of an absolute-form target override Host (RFC 9112 3.2.2)."""
    fields[:] = [field for field in fields if field[0] != b"host"]
    fields.insert(0, (b"host", authority.encode("latin-1")))
