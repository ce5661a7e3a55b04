"""Register, verify an address, set a forgotten password anew.

Nothing here tells whether an address has an account: not the status, not the body, not the time.
"""

from typing import Any, Final

from fastapi import APIRouter, Depends, Request, status

from app.api.deps import OriginDep, SessionDep, SettingsDep, state_of
from app.api.paths import V1
from app.api.uncached import uncached
from app.schemas.accounts import Accepted, AddressGiven, PasswordReset, Registration, Verification
from app.schemas.base import ErrorResponse
from app.services.accounts import mailing, registration
from app.services.accounts.mailing import Occasion

router = APIRouter(prefix=f"{V1}/auth", tags=["auth"], dependencies=[Depends(uncached)])

_Responses = dict[int | str, dict[str, Any]]

NO_MAIL: Final[_Responses] = {
    503: {
        "model": ErrorResponse,
        "description": "Mail is not set up (`mail_not_configured`), or a server away.",
    }
}
CLOSED: Final[_Responses] = {403: {"model": ErrorResponse, "description": "Registration is closed."}}
INVALID: Final[_Responses] = {
    400: {"model": ErrorResponse, "description": "The token was used, replaced, has expired or is none."}
}
UNFIT: Final[_Responses] = {
    400: {
        "model": ErrorResponse,
        "description": "The token does not hold (`invalid_link`), or the account is new and needs a password "
        "(`password_needed`) other than its address (`address_as_password`), or has one already "
        "(`password_not_needed`).",
    }
}
TAKEN: Final[_Responses] = {
    409: {"model": ErrorResponse, "description": "The new address has become another account's."}
}

REGISTERED: Final = "A mail is on its way to this address. Follow the link in it."
ASKED: Final = "If this address has an account that needs it, a mail is on its way."


@router.post("/register", status_code=status.HTTP_202_ACCEPTED, responses=CLOSED | NO_MAIL)
async def register(
    request: Request, session: SessionDep, settings: SettingsDep, origin: OriginDep, given: Registration
) -> Accepted:
    """Make an account; the mail says how to choose its password.

    An address that has an account gets a mail that says so, and stays as it is.
    """
    registration.require_open(settings.auth)
    mailing.require_mail(settings)
    await state_of(request)["throttle"].mail(given.email, Occasion.REGISTERED)
    await registration.register(session, email=given.email, name=given.name, origin=origin)
    return Accepted(message=REGISTERED)


@router.post("/verify-email", status_code=status.HTTP_204_NO_CONTENT, responses=UNFIT | TAKEN)
async def verify_email(request: Request, session: SessionDep, origin: OriginDep, given: Verification) -> None:
    """Show with the token of a mail that the address is one's own.

    A new account takes its `password` here (else `password_needed`). The new address of an account
    takes the token alone (else `password_not_needed`). After these two the token still holds.
    """
    state, password = state_of(request), given.password
    email = await registration.verify_email(
        session,
        state["tokens"],
        state["passwords"],
        token=given.token.get_secret_value(),
        password=password.get_secret_value() if password is not None else None,
        origin=origin,
    )
    await state["throttle"].trust(origin.address, email)


@router.post("/verify-email/resend", status_code=status.HTTP_202_ACCEPTED, responses=NO_MAIL)
async def resend_verification(
    request: Request, session: SessionDep, settings: SettingsDep, given: AddressGiven
) -> Accepted:
    """Have the mail sent again."""
    return await _ask(request, session, settings, Occasion.VERIFICATION_ASKED, given.email)


@router.post("/password/forgot", status_code=status.HTTP_202_ACCEPTED, responses=NO_MAIL)
async def forgot_password(
    request: Request, session: SessionDep, settings: SettingsDep, given: AddressGiven
) -> Accepted:
    """Ask for a mail with which a new password can be set."""
    return await _ask(request, session, settings, Occasion.RESET_ASKED, given.email)


@router.post("/password/reset", status_code=status.HTTP_204_NO_CONTENT, responses=INVALID)
async def reset_password(
    request: Request, session: SessionDep, origin: OriginDep, given: PasswordReset
) -> None:
    """Set a new password with the token of a mail. All sessions of the account and all its API keys end.

    A new address that is not confirmed yet has to be asked for again.
    """
    state = state_of(request)
    email = await registration.reset_password(
        session,
        state["tokens"],
        state["passwords"],
        token=given.token.get_secret_value(),
        password=given.password.get_secret_value(),
        gate=state["gate"],
        origin=origin,
    )
    # Whoever attacks the account meanwhile does not keep its owner out.
    await state["throttle"].trust(origin.address, email)


async def _ask(
    request: Request, session: SessionDep, settings: SettingsDep, occasion: Occasion, email: str
) -> Accepted:
    mailing.require_mail(settings)
    await state_of(request)["throttle"].mail(email, occasion)
    await mailing.ask(session, occasion, email)
    return Accepted(message=ASKED)
