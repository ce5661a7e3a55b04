"""Answers only under the names that are ours."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from app.exceptions.base import BadRequestException
from app.middleware.access_log import PROBES

ANY_NAME: Final = PROBES - {"/metrics"}
"""Load balancers and kubelets ask by an address, and what they are told everybody may know."""


class TrustedHosts:
    """Refuses a ``Host`` that is none of the trusted names; ``*.example.org`` stands for its subdomains.

    Health is told under every name.

    Args:
        app: the application.
        hosts: the trusted names.
        metrics: whether metrics are too. Scrapers ask by an address; where they need a token, a name adds
            nothing.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...], *, metrics: bool = False) -> None:
        self.app = app
        self._free = PROBES if metrics else ANY_NAME
        self._names = frozenset(host.lower() for host in hosts if not host.startswith("*."))
        self._suffixes = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        is_free = scope["type"] != "http" or scope["path"] in self._free
        if not is_free and not self._is_trusted(host_name(scope)):
            raise BadRequestException("This host name is not served here.")
        await self.app(scope, receive, send)

    def _is_trusted(self, host: str) -> bool:
        return host in self._names or host.endswith(self._suffixes)


def host_name(scope: Scope) -> str:
    """The name in ``Host`` in lower case without its port (RFC 9110, 7.2); empty where there is none."""
    given = next((value for name, value in scope["headers"] if name == b"host"), b"")
    host = given.decode("latin-1").lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
