"""Who really asks, where a trusted proxy says so."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

SCHEMES: Final = {b"http": "http", b"https": "https"}


class TrustedProxies:
    """Takes client and scheme from ``X-Forwarded-For`` and ``-Proto`` of trusted networks, of nobody else."""

    def __init__(self, app: ASGIApp, networks: tuple[str, ...]) -> None:
        self.app = app
        self._networks = tuple(ip_network(network, strict=False) for network in networks)
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] == "http" and scope.get("client") and self._is_trusted(scope["client"][0]):
            self._believe(scope)
        await self.app(scope, receive, send)

    def _believe(self, scope: Scope) -> None:
        hops: list[str] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                hops += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto":
                scope["scheme"] = SCHEMES.get(value.strip().lower(), scope["scheme"])
        # Each proxy adds at the right whom it saw: the first that is no proxy of ours is the client, and
        # whatever stands left of it is the client's own word.
        for hop in reversed(hops):
            address = _address(hop.strip())
            if address is None:
                return
            scope["client"] = (str(address), 0)
            if not self._is_trusted(str(address)):
                return

    def _look_up(self, host: str) -> bool:
        address = _address(host)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in a hop; IPv4 ones written as IPv6 become IPv4, so that networks match them."""
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
