"""Log in, refresh, log out, change the password."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Cookie, Depends, Form, Request, Response, status

from app.api.cookies import clear_cookies, set_cookies
from app.api.credentials import REFRESH_COOKIE, AccountWriter, SessionHolder
from app.api.deps import OriginDep, SessionDep, state_of
from app.api.forgery import require_csrf, require_own_origin
from app.api.paths import V1
from app.api.uncached import uncached
from app.exceptions.base import UnauthorizedException
from app.schemas.auth import (
    CookieResponse,
    CsrfResponse,
    LoginRequest,
    PasswordChange,
    RefreshRequest,
    TokenForm,
    TokenResponse,
)
from app.schemas.base import ErrorResponse
from app.services.auth import csrf, login, refresh, sessions
from app.services.auth.grants import Grant
from app.services.auth.password_change import change_password

router = APIRouter(prefix=f"{V1}/auth", tags=["auth"], dependencies=[Depends(uncached)])

_Responses = dict[int | str, dict[str, Any]]

REFUSED: Final[_Responses] = {
    401: {"model": ErrorResponse, "description": "The e-mail address or the password is wrong."},
    403: {"model": ErrorResponse, "description": "The page is not one of ours."},
}
NOT_REFRESHED: Final[_Responses] = {
    401: {"model": ErrorResponse, "description": "The refresh token does not hold any more."},
    403: {"model": ErrorResponse, "description": "A request by cookie lacks its CSRF token."},
}
CHANGED: Final[_Responses] = {
    409: {"model": ErrorResponse, "description": "The password was changed meanwhile."}
}


@router.post("/token", responses=REFUSED)
async def issue_token(
    request: Request, origin: OriginDep, given: Annotated[TokenForm, Form()]
) -> TokenResponse:
    """Log in as OAuth 2.0 tools do; the address is the `username`."""
    password = given.password.get_secret_value()
    return _tokens(await login.log_in(state_of(request)["desk"], given.username, password, origin=origin))


@router.post("/login", responses=REFUSED)
async def log_in(
    request: Request, response: Response, origin: OriginDep, given: LoginRequest
) -> TokenResponse | CookieResponse:
    """Log in. With `cookie` the tokens come as cookies, and the answer holds the CSRF token."""
    if given.cookie:
        # Else another site could log a visitor in as somebody else, and read what he then enters.
        require_own_origin(request)
    desk, password = state_of(request)["desk"], given.password.get_secret_value()
    grant = await login.log_in(desk, given.email, password, origin=origin, by_cookie=given.cookie)
    return _in_cookies(request, response, grant) if given.cookie else _tokens(grant)


@router.post("/refresh", responses=NOT_REFRESHED)
async def refresh_tokens(
    request: Request,
    response: Response,
    origin: OriginDep,
    given: RefreshRequest | None = None,
    cookie: Annotated[str | None, Cookie(alias=REFRESH_COOKIE, max_length=512)] = None,
) -> TokenResponse | CookieResponse:
    """Exchange a refresh token for the next pair: the one given, or else that of the cookie."""
    state = state_of(request)
    text = given.refresh_token.get_secret_value() if given else cookie
    if text is None:
        raise UnauthorizedException("Send `refresh_token`, or log in with cookies.", headers=login.CHALLENGE)
    if given is None:
        require_csrf(request, refresh.session_of(text, grants=state["grants"]))
    grant = await refresh.refresh(
        state["sessions"], text, grants=state["grants"], gate=state["gate"], origin=origin
    )
    return _tokens(grant) if given else _in_cookies(request, response, grant)


@router.get("/csrf")
async def get_csrf_token(request: Request, principal: SessionHolder) -> CsrfResponse:
    """The CSRF token of the session, for a page that was loaded anew."""
    assert principal.session_id is not None  # noqa: S101 - who holds a session has one; this tells the type checker
    return CsrfResponse(csrf_token=csrf.csrf_token(state_of(request)["keys"], principal.session_id))


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def log_out(
    request: Request, response: Response, session: SessionDep, principal: SessionHolder, origin: OriginDep
) -> None:
    """End the session, and take its cookies back."""
    await sessions.log_out(session, by=principal, gate=state_of(request)["gate"], origin=origin)
    clear_cookies(request, response)


@router.post("/logout-all", status_code=status.HTTP_204_NO_CONTENT)
async def log_out_everywhere(
    request: Request, response: Response, session: SessionDep, principal: AccountWriter, origin: OriginDep
) -> None:
    """End all sessions of the account, this one too."""
    await sessions.log_out_everywhere(session, by=principal, gate=state_of(request)["gate"], origin=origin)
    clear_cookies(request, response)


@router.post("/password", status_code=status.HTTP_204_NO_CONTENT, responses=CHANGED)
async def set_password(
    request: Request, principal: AccountWriter, origin: OriginDep, given: PasswordChange
) -> None:
    """Change the password. All other sessions of the account and all its API keys end.

    A new address that is not confirmed yet has to be asked for again.
    """
    state = state_of(request)
    await change_password(
        state["desk"],
        current=given.current_password.get_secret_value(),
        new=given.new_password.get_secret_value(),
        by=principal,
        gate=state["gate"],
        origin=origin,
    )


def _tokens(grant: Grant) -> TokenResponse:
    return TokenResponse(
        access_token=grant.access_token,
        expires_in=grant.expires_in,
        refresh_token=grant.refresh_token,
        scope=_scope(grant),
    )


def _in_cookies(request: Request, response: Response, grant: Grant) -> CookieResponse:
    set_cookies(request, response, grant)
    token = csrf.csrf_token(state_of(request)["keys"], grant.session_id)
    return CookieResponse(csrf_token=token, expires_in=grant.expires_in, scope=_scope(grant))


def _scope(grant: Grant) -> str:
    return " ".join(sorted(grant.scopes))
