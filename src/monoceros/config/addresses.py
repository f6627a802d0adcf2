"""Listening addresses as text: what ``bind`` takes, and what it means."""

from __future__ import annotations

import ipaddress
import re

Address = tuple[str, int] | str | int  # the last is a descriptor

ALLOWED = (
    "HOST, HOST:PORT, :PORT, [IPV6]:PORT, tcp://HOST:PORT, unix:PATH, unix://PATH or fd://NUMBER"
)
DEFAULT_PORT = 8000
ALL_INTERFACES = "0.0.0.0"

_HOST = re.compile(r"[A-Za-z0-9_.-]+\Z")


def parse_address(text: str) -> Address:
    """Return ``(host, port)``, the path of a unix socket, or the number of a descriptor.

    Raises ValueError with the reason.
    """
    scheme, separator, rest = text.partition("://")
    if text.startswith("unix:"):
        return _unix_path(text)
    if "," in text:
        raise ValueError("several addresses are given as a list, or with --bind for each")
    if separator and scheme.lower() == "fd":
        return _descriptor(rest)
    if separator and scheme.lower() != "tcp":
        raise ValueError("an unknown kind of address")
    host, port = parse_host_and_port(rest if separator else text, DEFAULT_PORT)
    return host or ALL_INTERFACES, port


def _unix_path(text: str) -> str:
    path = text.removeprefix("unix:").removeprefix("//")
    if not path or "\0" in path:
        raise ValueError("a unix socket needs a path")
    return path


def _descriptor(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("after fd:// stands the number of a descriptor")
    return int(text)


def parse_host_and_port(text: str, default: int) -> tuple[str, int]:
    """Return the two; without a port ``default`` is it. Raises ValueError with the reason."""
    if text.startswith("["):
        return _bracketed(text, default)
    if text.count(":") > 1:
        raise ValueError("an IPv6 address stands in brackets, as in [::1]:8000")
    if text.isdecimal():
        raise ValueError(f"a port alone is written with a colon, as in :{text}")
    host, _, port = text.partition(":")
    if host and not _HOST.match(host):
        raise ValueError("not a host name or an address")
    return host.lower(), _port(port) if ":" in text else default


def _bracketed(text: str, default: int) -> tuple[str, int]:
    host, bracket, port = text[1:].partition("]")
    if not bracket or (port and not port.startswith(":")):
        raise ValueError("an IPv6 address is written as in [::1]:8000")
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError("not an IPv6 address between the brackets") from None
    return host.lower(), _port(port[1:]) if port else default


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise ValueError("a port is a number from 0 to 65535")
    return int(text)
