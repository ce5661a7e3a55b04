"""Files in the bodies of requests: as they arrive, and what is known before they do."""

from collections.abc import AsyncIterator

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.api.deps import state_of
from app.api.idempotency import Once
from app.exceptions.base import BadRequestException
from app.services.auth.principal import Principal
from app.services.media.quota import Allowance


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """The chunks of a body.

    Raises:
        BadRequestException: its sender went away.
    """
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        # Nobody reads the answer; the log shows it as the sender's doing and not as a fault of ours.
        raise BadRequestException("The upload was interrupted.") from error


def announced_size(request: Request) -> int:
    """Bytes of the body, 0 where that is not said."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


async def allowance_of(request: Request, principal: Principal, once: Once) -> Allowance:
    """What the account may store. Who only asks again for an answer has used the room already."""
    state = state_of(request)
    return Allowance(
        read=state["readings"],
        owner_id=principal.user_id,
        quota=state["settings"].media.quota,
        is_answered=await once.is_answered(),
    )
