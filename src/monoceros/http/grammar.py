"""Pieces of the grammar of RFC 9110, RFC 9112 and RFC 3986 that are off the hot path."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from monoceros.http.refusals import Refusal, refusal

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# RFC 3986 3.2.2: reg-name, which covers IPv4 addresses too, and RFC 9110 7.2: an optional port.
_REG_NAME = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*(?::[0-9]*)?")
_IP_LITERAL = re.compile(r"\[([^\]]*)\](?::[0-9]*)?")
_IP_FUTURE = re.compile(r"v[0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_AUTHORITY_FORM = re.compile(r".+:[0-9]+")

# RFC 9110 5.6.2 and 8.6, RFC 9112 7.1: one coding, and nothing that could hide a second one.
_CODING = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@lru_cache(maxsize=256)
def is_host(value: str) -> bool:
    """Tell whether a Host value, or an authority without userinfo, is valid; empty is."""
    if not value.startswith("["):
        return _REG_NAME.fullmatch(value) is not None
    literal = _IP_LITERAL.fullmatch(value)
    if literal is None:
        return False
    inner = literal[1]
    if _IP_FUTURE.fullmatch(inner):
        return True
    try:
        IPv6Address(inner)
    except AddressValueError:
        return False
    return "%" not in inner


def split_target(method: str, target: str) -> tuple[str, str, str | None]:
    """Return path and query, both still encoded, and the authority of an absolute-form target.

    Covers all four forms of RFC 9112 section 3.2; a form that does not fit is refused.
    """
    if method == "CONNECT":
        if not (_AUTHORITY_FORM.fullmatch(target) and is_host(target)):
            raise refusal(Refusal.TARGET_FORM)
        return "", "", None
    if target == "*":
        if method != "OPTIONS":
            raise refusal(Refusal.TARGET_FORM)
        return "", "", None
    if target.startswith("/"):
        return (*_split_query(target), None)
    scheme, separator, rest = target.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise refusal(Refusal.TARGET_FORM)
    end = min((i for i in map(rest.find, "/?#") if i >= 0), default=len(rest))
    authority = rest[:end]
    # RFC 9110 4.2.1: a host is needed here, unlike in Host.
    if not authority or authority[0] == ":" or not is_host(authority):
        raise refusal(Refusal.TARGET_FORM)
    path, query = _split_query(rest[end:])
    return path or "/", query, authority


def _split_query(target: str) -> tuple[str, str]:
    # A fragment is not part of a request target (RFC 9112 3.2); clients that send one mean
    # the resource without it.
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


def split_list(values: list[str]) -> list[str]:
    """Return the lower-cased members of a comma-separated list that may span field lines."""
    return [member.strip(" \t").lower() for value in values for member in value.split(",")]


def check_codings(values: list[str], minor: int, has_length: bool) -> None:
    """Refuse every Transfer-Encoding but a single ``chunked`` (RFC 9112 sections 6.1 and 6.3)."""
    if minor == 0:
        raise refusal(Refusal.CODING_ON_1_0)
    if has_length:
        raise refusal(Refusal.CODING_AND_LENGTH)
    codings = split_list(values)
    if codings == ["chunked"]:
        return
    if "chunked" in codings[:-1] or not all(map(_CODING.fullmatch, codings)):
        raise refusal(Refusal.CODING_LIST)
    raise refusal(Refusal.UNKNOWN_CODING)


def check_expectation(values: list[str]) -> None:
    """Refuse every expectation but ``100-continue`` (RFC 9110 section 10.1.1)."""
    if any(member != "100-continue" for member in split_list(values)):
        raise refusal(Refusal.EXPECTATION)
