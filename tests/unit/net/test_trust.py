"""Which peers are trusted."""

from __future__ import annotations

import pytest

from monoceros.errors import ConfigError
from monoceros.net import trust
from monoceros.net.trust import Trusted


@pytest.mark.parametrize(
    ("allow", "peer", "expected"),
    [
        ("127.0.0.1,::1", "127.0.0.1", True),
        ("127.0.0.1,::1", "::1", True),
        ("127.0.0.1,::1", "127.0.0.2", False),
        ("127.0.0.1, ::1", "::1", True),
        (["127.0.0.1", "::1"], "::1", True),
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "10.0.0.0", True),
        ("2001:db8::/32", "2001:db8:1::5", True),
        ("2001:db8::/32", "2001:db9::5", False),
        ("2001:DB8:0:0::1", "2001:db8::1", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.2", False),
        ("0.0.0.0/0", "::1", False),
        ("*", "203.0.113.9", True),
        ("*", "not an address", True),
        ("10.0.0.1/32", "10.0.0.1", True),
        ("10.0.0.1/32", "10.0.0.2", False),
        ("127.0.0.1", "not an address", False),
        ("10.0.0.0/8", "10.0.0.0/8 ", False),
        ("", "127.0.0.1", False),
    ],
)
def test_membership(allow: str | list[str], peer: str, expected: bool) -> None:
    trusted = Trusted(allow)

    assert (peer in trusted) is expected
    assert (peer in trusted) is expected  # and from the cache


@pytest.mark.parametrize("allow", ["", "127.0.0.1", "*"])
def test_peers_on_unix_sockets_are_always_trusted(allow: str) -> None:
    assert "" in Trusted(allow)


@pytest.mark.parametrize("allow", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "1.2.3"])
def test_wrong_entries(allow: str) -> None:
    with pytest.raises(ConfigError, match=f"forwarded_allow_ips: '{allow}'"):
        Trusted(allow)


def test_cache_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "CACHE_SIZE", 10)
    trusted = Trusted("10.0.0.0/8")
    answers = [f"10.0.0.{n}" in trusted for n in range(200)]

    assert all(answers)
    assert len(trusted._answers) <= 10
