"""Which peers may tell us about the client that they speak for (``forwarded_allow_ips``)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

CACHE_SIZE = 4096  # answers remembered; peers are chosen by clients, so it has to have an end


class Trusted:
    """A set of peers: literal addresses, CIDR networks or ``*``.

    Membership takes the peer's address as text; the empty text is a peer without one, on a
    unix socket, and always trusted. IPv4 peers of a dual-stack socket are taken as IPv4.
    """

    def __init__(self, allow: str | Iterable[str]) -> None:
        """Raise ConfigError for an entry that is neither address, network nor ``*``."""
        entries = allow.split(",") if isinstance(allow, str) else list(allow)
        names = [entry.strip() for entry in entries if entry.strip()]
        self.everybody = "*" in names
        networks = [_parse(name) for name in names if name != "*"]
        self._networks = [network for network in networks if network.num_addresses > 1]
        self._hosts = {
            network.network_address for network in networks if network.num_addresses == 1
        }
        self._literals = frozenset(["", *names])
        self._answers: dict[str, bool] = {}

    def __contains__(self, peer: str) -> bool:
        if self.everybody or peer in self._literals:
            return True
        answer = self._answers.get(peer)
        if answer is None:
            answer = self._look_up(peer)
            if len(self._answers) >= CACHE_SIZE:
                self._answers.clear()
            self._answers[peer] = answer
        return answer

    def _look_up(self, peer: str) -> bool:
        try:
            address: Address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address in self._hosts or any(address in network for network in self._networks)


def _parse(name: str) -> Network:
    try:
        return ipaddress.ip_network(name)
    except ValueError as error:
        raise ConfigError(
            f"forwarded_allow_ips: {name!r} is no IP address, no network and not '*' ({error})"
        ) from error
