"""What ``bind`` takes, and what it means."""

from __future__ import annotations

import pytest

from monoceros.config.addresses import parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ("0.0.0.0", 8000)),
        (":80", ("0.0.0.0", 80)),
        ("localhost", ("localhost", 8000)),
        ("Example.ORG:81", ("example.org", 81)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("tcp://1.2.3.4:5", ("1.2.3.4", 5)),
        ("TCP://[::1]:5", ("::1", 5)),
        ("[::]", ("::", 8000)),
        ("[fe80::1%eth0]:9", ("fe80::1%eth0", 9)),
        ("unix:/run/a.sock", "/run/a.sock"),
        ("unix:///run/a.sock", "/run/a.sock"),
        ("unix://a.sock", "a.sock"),
        ("unix:a:b", "a:b"),
        ("fd://3", 3),
    ],
)
def test_accepted(text: str, address: object) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fd://", "the number of a descriptor"),
        ("fd://-3", "the number of a descriptor"),
        ("fd://three", "the number of a descriptor"),
        ("http://localhost:80", "unknown kind"),
        ("localhost:", "a port is a number"),
        ("localhost:65536", "a port is a number"),
        ("localhost:http", "a port is a number"),
        ("localhost:-1", "a port is a number"),
        ("localhost:\uff18\uff10", "a port is a number"),
        ("8000", "with a colon, as in :8000"),
        ("::1", "in brackets"),
        ("0.0.0.0:80,127.0.0.1:81", "a list, or with --bind for each"),
        ("::1:8000", "in brackets"),
        ("[::1", "is written as"),
        ("[::1]8000", "is written as"),
        ("[::1]:", "a port is a number"),
        ("[localhost]:80", "not an IPv6 address"),
        ("a b:80", "not a host name"),
        ("a/b", "not a host name"),
        ("localhost\n:80", "not a host name"),
        ("unix:", "needs a path"),
        ("unix://", "needs a path"),
        ("unix:a\0b", "needs a path"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_address(text)
