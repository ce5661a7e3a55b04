"""What counts as one place on the network."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Final

NOWHERE: Final = "-"
"""Where the address is not known, as on a unix socket."""
IPV6_PREFIX: Final = 64
"""Bits that a provider gives to one customer (RFC 6177); the rest he chooses as he likes."""


@lru_cache(maxsize=4096)
def network_of(address: str | None) -> str:
    """The address itself for IPv4, its /64 for IPv6: who has one address of that has all."""
    if not address:
        return NOWHERE
    try:
        # A scope, as in fe80::1%eth0, names an interface of this machine and not a place.
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return NOWHERE
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
