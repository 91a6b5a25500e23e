"""Which addresses a node may connect to: public ones, and those that the operator allows.

The ranges are those of the registries of special-purpose addresses (RFC 6890 and what came after
it), written out here since the tables of :mod:`ipaddress` differ between releases of Python.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Self

import attrs

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL: Final[Sequence[tuple[Network, str]]] = tuple(
    (ip_network(network), what)
    for what, networks in {
        "unspecified": ("0.0.0.0/8", "::/128"),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
        "shared": ("100.64.0.0/10",),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "documentation": (
            *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
            *("2001:db8::/32", "3fff::/20"),
        ),
        "benchmarking": ("198.18.0.0/15",),
        "tunnel": ("192.88.99.0/24", "2001::/32", "2002::/16"),
        "reserved": ("192.0.0.0/24", "240.0.0.0/4", "2001::/23"),
    }.items()
    for network in networks
)
_GLOBAL: Final = IPv6Network("2000::/3")  # all that is given to anybody so far
_CARRIERS: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""Where the last 32 bits are an IPv4 address that is really meant: mapped ones, and NAT64."""

_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_PORT: Final = re.compile(r"(?P<host>[^:]*|\[[^\]]*\]):(?P<port>[0-9]{1,5})")


def special(address: Address) -> str | None:
    """Say in a word what kind of special address it is; None for a public one."""
    address = unwrapped(address)
    for network, what in _SPECIAL:
        if address in network:
            return what
    if isinstance(address, IPv6Address) and address not in _GLOBAL:
        return "reserved"
    return None


def unwrapped(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address) and any(address in network for network in _CARRIERS):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@attrs.frozen
class Allowed:
    """Hosts that nodes may reach although their addresses are not public."""

    names: frozenset[tuple[str, int | None]] = frozenset()
    """Names of hosts with a port, or None for any port."""

    networks: tuple[tuple[Network, int | None], ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Read names, addresses and networks; each may have a ``:port``.

        Raises:
            ValueError: an entry is none of these.
        """
        names, networks = set(), []
        for entry in entries:
            host, port = _split(entry)
            if (network := _network(host)) is not None:
                networks.append((network, port))
            elif _NAME.fullmatch(host):
                names.add((_plain(host), port))
            else:
                raise ValueError(f"{entry!r} is no host, host:port, address or network")
        return cls(frozenset(names), tuple(networks))

    def refusal(self, host: str, port: int, address: str) -> str | None:
        """Say what kind of address it is that may not be reached; None if it may.

        Args:
            host: the name or address that was asked for.
            port: the port that was asked for.
            address: what it was resolved to.
        """
        found = ip_address(address)
        kind = special(found)
        if kind is None or self._names_host(host, port) or self._holds(found, port):
            return None
        return kind

    def _names_host(self, host: str, port: int) -> bool:
        return not self.names.isdisjoint({(_plain(host), None), (_plain(host), port)})

    def _holds(self, address: Address, port: int) -> bool:
        return any(
            only in (None, port) and (address in network or unwrapped(address) in network)
            for network, only in self.networks
        )


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _split(entry: str) -> tuple[str, int | None]:
    """Take the port off an entry, and the brackets off an address."""
    entry = entry.strip()
    match = _PORT.fullmatch(entry)
    host, port = (match["host"], int(match["port"])) if match else (entry, None)
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"{entry!r}: a port is a number from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return str(IPv6Address(host[1:-1])), port
    return host, port


def _network(host: str) -> Network | None:
    """Read an address or a network; a name is None.

    Raises:
        ValueError: it has a ``/``, and is no network.
    """
    try:
        return ip_network(host)
    except ValueError:
        if "/" in host:
            raise
        return None
