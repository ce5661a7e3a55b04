"""Sessions of the account: see where it is logged in, and end that."""

import uuid
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, status

from app.api.credentials import AccountReader, AccountWriter
from app.api.deps import OriginDep, PageDep, ReadingDep, SessionDep, state_of
from app.api.paths import V1
from app.api.uncached import uncached
from app.schemas.base import ErrorResponse, PaginatedResponse
from app.schemas.sessions import SessionResponse
from app.services.auth import sessions

router = APIRouter(prefix=f"{V1}/sessions", tags=["sessions"], dependencies=[Depends(uncached)])

MISSING_SESSION: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ErrorResponse, "description": "No such open session of this account."}
}


@router.get("")
async def list_sessions(
    session: ReadingDep, principal: AccountReader, page: PageDep
) -> PaginatedResponse[SessionResponse]:
    """The account's open sessions, newest first; `current` marks the one that asks."""
    rows, total = await sessions.list_sessions(
        session, user_id=principal.user_id, offset=page.offset, limit=page.limit
    )
    items = [SessionResponse.model_validate(row) for row in rows]
    for item in items:
        item.current = item.id == principal.session_id
    return PaginatedResponse(items=items, total=total, page=page.number, page_size=page.size)


@router.delete("/{session_id}", status_code=status.HTTP_204_NO_CONTENT, responses=MISSING_SESSION)
async def revoke_session(
    request: Request, session: SessionDep, principal: AccountWriter, origin: OriginDep, session_id: uuid.UUID
) -> None:
    """End a session: its refresh token at once, its access tokens within seconds."""
    gate = state_of(request)["gate"]
    await sessions.revoke_session(session, session_id, by=principal, gate=gate, origin=origin)
