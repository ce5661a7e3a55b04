"""Cookie mode: tokens where the scripts of a page cannot read them."""

from typing import Final

from fastapi import Request, Response

from app.api.credentials import REFRESH_COOKIE
from app.api.deps import state_of
from app.services.auth.gate import ACCESS_COOKIE
from app.services.auth.grants import Grant

REFRESH_PATH: Final = "/api/v1/auth"
"""The refresh token goes where it is used and nowhere else."""

_DAY: Final = 86400


def set_cookies(request: Request, response: Response, grant: Grant) -> None:
    """Hand out a grant as cookies."""
    auth, secure = state_of(request)["settings"].auth, _is_secure(request)
    response.set_cookie(
        ACCESS_COOKIE,
        grant.access_token.get_secret_value(),
        max_age=grant.expires_in,
        path="/",
        secure=secure,
        httponly=True,
        # A link from elsewhere may open a file; what changes something needs the CSRF token anyway.
        samesite="lax",
    )
    response.set_cookie(
        REFRESH_COOKIE,
        grant.refresh_token.get_secret_value(),
        max_age=auth.session_days * _DAY,
        path=REFRESH_PATH,
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def clear_cookies(request: Request, response: Response) -> None:
    """Take them back; nothing happens to a client that has none."""
    secure = _is_secure(request)
    response.delete_cookie(ACCESS_COOKIE, path="/", secure=secure, httponly=True, samesite="lax")
    response.delete_cookie(REFRESH_COOKIE, path=REFRESH_PATH, secure=secure, httponly=True, samesite="strict")


def _is_secure(request: Request) -> bool:
    # Without TLS only on a developer's own machine: browsers drop such cookies from plain HTTP.
    return not state_of(request)["settings"].app_env.is_lenient or request.url.scheme == "https"
