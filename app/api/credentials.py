"""Who asks: the credential of a request, and the scopes that routes ask for.

A route takes one of the aliases below; the scopes stand in the OpenAPI document, and the errors 401 and 403
with them.
"""

import math
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, OAuth2PasswordBearer, SecurityScopes

from app.api.deps import state_of
from app.api.forgery import require_csrf
from app.api.linked import open_link
from app.core import context
from app.exceptions.base import ForbiddenException, UnauthorizedException
from app.services.auth import csrf, refresh
from app.services.auth.gate import ACCESS_COOKIE, KEY_PREFIX
from app.services.auth.login import CHALLENGE
from app.services.auth.principal import Principal
from app.services.auth.scopes import DESCRIPTIONS, Scope
from app.services.auth.tokens import InvalidTokenError
from app.services.media import links

REFRESH_COOKIE: Final = "holdfast_refresh"
TOKEN_PATH: Final = "/api/v1/auth/token"  # noqa: S105 - a path

NOT_VALID: Final = "The {} is not valid: it is malformed, has expired or was revoked. {}"

_bearer = OAuth2PasswordBearer(
    TOKEN_PATH,
    scheme_name="bearer",
    scopes={str(scope): text for scope, text in DESCRIPTIONS.items()},
    description="An access token, or an API key in its place.",
    auto_error=False,
)
_key = APIKeyHeader(name="X-API-Key", scheme_name="api_key", auto_error=False)
_cookie = APIKeyCookie(
    name=ACCESS_COOKIE,
    scheme_name="cookie",
    description=f"Of a login in cookie mode. What changes something needs `{csrf.HEADER}` too.",
    auto_error=False,
)

_refresh_cookie = APIKeyCookie(
    name=REFRESH_COOKIE,
    scheme_name="refresh_cookie",
    description="Of a login in cookie mode, for what is below `/api/v1/auth` alone.",
    auto_error=False,
)

_link = APIKeyQuery(
    name=links.PARAMETER,
    scheme_name="link",
    description="Of a signed link (`POST /api/v1/media/{media_id}/links`). It opens that one path alone.",
    auto_error=False,
)


async def authenticate(
    request: Request,
    asked: SecurityScopes,
    bearer: Annotated[str | None, Depends(_bearer)],
    key: Annotated[str | None, Depends(_key)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> Principal:
    """The principal of the request's credential. A bearer token comes first, then a key, then a cookie.

    Raises:
        UnauthorizedException: there is no credential, or it is not valid.
        ForbiddenException: it lacks a scope, or a request by cookie its CSRF token.
    """
    principal = await _principal(request, bearer, key, cookie)
    context.user_id.set(str(principal.user_id))
    missing = [scope for scope in asked.scopes if scope not in principal.scopes]
    if missing:
        raise _missing(principal, missing)
    return principal


async def view(
    *,
    request: Request,
    asked: SecurityScopes,
    bearer: Annotated[str | None, Depends(_bearer)],
    key: Annotated[str | None, Depends(_key)],
    cookie: Annotated[str | None, Depends(_cookie)],
    signature: Annotated[str | None, Depends(_link)],
) -> Principal:
    """The principal of a signed link, or of a credential as everywhere.

    The link comes first: where a page has one, the browser may send a cookie of somebody else.

    Raises:
        UnauthorizedException: there is neither, or what there is does not hold.
        ForbiddenException: the credential lacks a scope.
    """
    if signature is not None:
        return await open_link(request, signature)
    return await authenticate(request, asked, bearer, key, cookie)


async def _principal(request: Request, bearer: str | None, key: str | None, cookie: str | None) -> Principal:
    gate = state_of(request)["gate"]
    try:
        if bearer is not None:
            return await (gate.by_api_key(bearer) if bearer.startswith(KEY_PREFIX) else gate.by_token(bearer))
        if key is not None:
            return await gate.by_api_key(key)
        if cookie is not None:
            principal = await gate.by_token(cookie)
            require_csrf(request, principal.session_id)
            return principal
    except InvalidTokenError as error:
        is_key = key is not None if bearer is None else bearer.startswith(KEY_PREFIX)
        raise UnauthorizedException(
            NOT_VALID.format(
                *(("API key", "Make another one.") if is_key else ("credential", "Log in again."))
            ),
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        ) from error
    raise UnauthorizedException(
        "Log in and send the access token as `Authorization: Bearer ...`, or an API key as `X-API-Key`.",
        headers=CHALLENGE,
    )


async def held_until(
    request: Request,
    bearer: Annotated[str | None, Depends(_bearer)],
    key: Annotated[str | None, Depends(_key)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> float:
    """When the credential that `authenticate` takes ends by itself, in seconds since 1970.

    The time of an API key is in its row, where whoever asks for its standing sees it.
    """
    token = bearer if bearer is not None else cookie if key is None else None
    if token is None or token.startswith(KEY_PREFIX):
        return math.inf
    try:
        return state_of(request)["gate"].expires_at(token)
    except InvalidTokenError:
        # It has just ended, or `authenticate` refuses it.
        return 0.0


async def hold_session(
    request: Request,
    bearer: Annotated[str | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
    refresh_cookie: Annotated[str | None, Depends(_refresh_cookie)],
) -> Principal:
    """The principal of a session, by its access token or by its refresh cookie, which outlives that.

    Raises:
        UnauthorizedException: there is no credential, or it is not valid.
        ForbiddenException: it is an API key, or a request by cookie lacks its CSRF token.
    """
    if bearer is None and refresh_cookie is not None:
        state = state_of(request)
        principal = await refresh.holder(state["sessions"], refresh_cookie, grants=state["grants"])
        require_csrf(request, principal.session_id)
    else:
        principal = await _principal(request, bearer, None, cookie)
    context.user_id.set(str(principal.user_id))
    if principal.session_id is None:
        raise ForbiddenException("An API key has no session. Log in with a password.")
    return principal


def _missing(principal: Principal, scopes: list[str]) -> ForbiddenException:
    details = {"missing_scopes": scopes}
    if principal.password_change_required:
        return ForbiddenException(
            "Change the one-time password first (POST /api/v1/auth/password).", details=details
        )
    return ForbiddenException(
        f"The credential lacks {', '.join(scopes)}.",
        details=details,
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{" ".join(scopes)}"'},
    )


def needs(*scopes: Scope) -> Any:
    """The dependency on a principal that has these scopes."""
    return Security(authenticate, scopes=[str(scope) for scope in scopes])


HeldUntil = Annotated[float, Depends(held_until)]
SessionHolder = Annotated[Principal, Security(hold_session)]
AccountReader = Annotated[Principal, needs(Scope.ACCOUNT_READ)]
AccountWriter = Annotated[Principal, needs(Scope.ACCOUNT_WRITE)]
JobsReader = Annotated[Principal, needs(Scope.JOBS_READ)]
JobsWriter = Annotated[Principal, needs(Scope.JOBS_WRITE)]
MediaReader = Annotated[Principal, needs(Scope.MEDIA_READ)]
MediaViewer = Annotated[Principal, Security(view, scopes=[str(Scope.MEDIA_READ)])]
"""Of routes that send what is stored, whose last name is a ``Linkable``: a signed link opens them too."""
MediaWriter = Annotated[Principal, needs(Scope.MEDIA_WRITE)]
UsersAdmin = Annotated[Principal, needs(Scope.USERS_ADMIN)]
AuditReader = Annotated[Principal, needs(Scope.AUDIT_READ)]
SystemReader = Annotated[Principal, needs(Scope.SYSTEM_READ)]
