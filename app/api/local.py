"""Requests of this machine itself."""

from ipaddress import ip_address
from typing import Final

from fastapi import Request

from app.api.deps import state_of
from app.exceptions.base import ForbiddenException

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


def is_local(request: Request) -> bool:
    """Whether the request comes from this machine itself, no proxy passed it on, and no page slipped it in.

    A page in a browser on this machine can send requests here too: under a name of its own that it points
    at loopback (told by Host), or across origins (told by Origin).
    """
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    if not is_loopback_name(request.client.host) or not is_loopback_name(request.url.hostname or ""):
        return False
    origin = request.headers.get("origin")
    allowed = (*state_of(request)["settings"].server.cors_origins, str(request.base_url).rstrip("/"))
    return origin is None or origin in allowed


def is_loopback_name(host: str) -> bool:
    """Whether a host is this machine: ``localhost`` or a loopback address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def require_local(request: Request) -> None:
    """Refuse requests from elsewhere.

    Raises:
        ForbiddenException: the client is not on this machine.
    """
    if not is_local(request):
        raise ForbiddenException(
            "Without METRICS_TOKEN this is answered on the machine itself only, and not through a proxy."
        )
