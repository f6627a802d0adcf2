"""From an accepted head to the environ of its request (PEP 3333), in pure Python."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from monoceros.http.environ import (
    apply_scheme,
    apply_script_name,
    is_script_name,
    may_pass,
    name_server,
)
from monoceros.http.grammar import split_target

if TYPE_CHECKING:
    from monoceros.http._core_py import Core
    from monoceros.http.types import Environ, Head


def build_environ(core: Core, template: Environ, head: Head, trusted: bool, unix: bool) -> Environ:
    """Return a copy of ``template`` with what the head says; raises ``BadRequest``.

    ``trusted`` tells whether the peer may speak for its client, ``unix`` whether the listener
    has no name of its own.
    """
    environ = template.copy()
    _add_fields(core, environ, head, trusted)
    _add_target(environ, head)
    if trusted:
        apply_scheme(environ, core.scheme_keys)
    if environ["SCRIPT_NAME"]:
        apply_script_name(environ)
    if unix:
        name_server(environ)
    return environ


def _add_target(environ: Environ, head: Head) -> None:
    target = head.target
    if target.startswith("/") and "#" not in target:
        path, _, query = target.partition("?")
    else:
        path, query, authority = split_target(head.method, target)
        if authority is not None:
            environ["HTTP_HOST"] = authority
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    environ["REQUEST_METHOD"] = head.method
    environ["RAW_URI"] = target
    environ["PATH_INFO"] = path
    environ["QUERY_STRING"] = query
    environ["SERVER_PROTOCOL"] = head.version


def _add_fields(core: Core, environ: Environ, head: Head, trusted: bool) -> None:
    repeated: dict[str, list[str]] = {}
    for name, value in head.fields:
        if "_" in name:
            if not may_pass(name, trusted, core.rules):
                continue
            if is_script_name(name, trusted, core.rules):
                environ["SCRIPT_NAME"] = value
        key = core.key(name)
        if key in repeated:
            repeated[key].append(value)
        elif key in environ:
            repeated[key] = [environ[key], value]
        else:
            environ[key] = value
    for key, values in repeated.items():
        environ[key] = ("; " if key == "HTTP_COOKIE" else ",").join(values)
