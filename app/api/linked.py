"""Requests by a signed link: let in for the one thing that it leads to, as its maker would be."""

from typing import Final, cast

from fastapi import Request

from app.api.deps import state_of
from app.core import context
from app.exceptions.base import UnauthorizedException
from app.services.auth.login import CHALLENGE
from app.services.auth.principal import Principal
from app.services.auth.scopes import Scope
from app.services.auth.tokens import InvalidTokenError
from app.services.media.links import SignedLink

_LINK: Final = "holdfast.link"


async def open_link(request: Request, signature: str) -> Principal:
    """The principal of a link to what the path of the request names.

    Raises:
        UnauthorizedException: it is not one of ours, not to this, has expired, or its maker may not see it
            any more. Which of these is not told.
    """
    state = state_of(request)
    try:
        link = state["links"].verify(
            signature,
            media_id=request.path_params["media_id"],
            rendition=request.url.path.rpartition("/")[2],
        )
        principal = await state["gate"].by_maker(
            link.user_id, session_id=link.session_id, api_key_id=link.api_key_id
        )
        if Scope.MEDIA_READ not in principal.scopes:
            raise InvalidTokenError("its maker may not see files any more")
    except InvalidTokenError as error:
        raise UnauthorizedException(
            "The link does not hold: it is not to this, was changed, has expired, or the login or key that "
            "made it has ended. Make another one (POST /api/v1/media/{media_id}/links).",
            headers=CHALLENGE,
        ) from error
    context.user_id.set(str(principal.user_id))
    request.scope[_LINK] = link
    return principal


def link_of(request: Request) -> SignedLink | None:
    """The link that let this request in, if one did."""
    return cast("SignedLink | None", request.scope.get(_LINK))
