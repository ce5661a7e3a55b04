"""Requests that another site's page makes a browser send, with the cookies that it adds by itself."""

import uuid
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from app.api.deps import state_of
from app.exceptions.base import ForbiddenException
from app.services.auth import csrf

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


def require_csrf(request: Request, session_id: uuid.UUID | None) -> None:
    """See that a request by cookie was made by our own front end.

    Raises:
        ForbiddenException: it changes something and lacks the session's token, or comes from elsewhere.
    """
    if request.method in SAFE:
        return
    require_own_origin(request)
    given = request.headers.get(csrf.HEADER, "")
    if session_id is None or not csrf.is_csrf_token(state_of(request)["keys"], session_id, given):
        raise ForbiddenException(
            f"A request by cookie needs the header {csrf.HEADER} with the token that the login answered with "
            "(GET /api/v1/auth/csrf tells it again)."
        )


def require_own_origin(request: Request) -> None:
    """See that a browser's request comes from a page of ours; what is no browser sends no origin.

    Raises:
        ForbiddenException: it comes from elsewhere.
    """
    origin = request.headers.get("origin")
    if origin is not None and not _is_ours(request, origin):
        raise ForbiddenException(f"Requests by cookie are not accepted from {origin[:100]}.")


def _is_ours(request: Request, origin: str) -> bool:
    if origin in state_of(request)["settings"].server.cors_origins:
        return True
    try:
        given = urlsplit(origin)
    except ValueError:
        return False
    # A proxy may have taken TLS off without telling; that a page came without it is never so.
    return given.netloc == request.url.netloc and given.scheme in {request.url.scheme, "https"}
