"""API keys of the account: make, list, look at, revoke."""

import uuid
from typing import Any, Final

from fastapi import APIRouter, Request, Response, status
from pydantic import SecretStr

from app.api.credentials import AccountReader, AccountWriter
from app.api.deps import OriginDep, PageDep, ReadingDep, SessionDep, state_of
from app.api.idempotency import IdempotentRoute, idempotent
from app.api.paths import V1
from app.models.api_key import ApiKey
from app.schemas.api_keys import ApiKeyCreate, ApiKeyCreated, ApiKeyResponse
from app.schemas.base import ErrorResponse, PaginatedResponse
from app.services.auth import api_keys
from app.services.auth.scopes import Scope

router = APIRouter(prefix=f"{V1}/api-keys", tags=["api-keys"], route_class=IdempotentRoute)

_Responses = dict[int | str, dict[str, Any]]

MISSING_KEY: Final[_Responses] = {
    404: {"model": ErrorResponse, "description": "No such key of this account."}
}
GONE: Final[_Responses] = {404: {"model": ErrorResponse, "description": "The account ended just now."}}
FULL: Final[_Responses] = {409: {"model": ErrorResponse, "description": "The account has too many keys."}}
NO_STORE: Final = {"cache-control": "no-store"}
"""Of every answer that shows a secret (RFC 9111, section 5.2.2.5)."""


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=FULL | GONE,
    dependencies=[idempotent(Scope.ACCOUNT_WRITE)],
)
async def create_api_key(
    session: SessionDep, principal: AccountWriter, origin: OriginDep, given: ApiKeyCreate, response: Response
) -> ApiKeyCreated:
    """Make a key. The answer shows it, and nothing ever will again."""
    key, text = await api_keys.create(
        session,
        user_id=principal.user_id,
        name=given.name,
        scopes=given.scopes,
        days=given.expires_in_days,
        by=principal,
        origin=origin,
    )
    response.headers.update(NO_STORE)
    return created(key, text)


@router.get("")
async def list_api_keys(
    session: ReadingDep, principal: AccountReader, page: PageDep
) -> PaginatedResponse[ApiKeyResponse]:
    """The account's keys, newest first, those that have ended too."""
    rows, total = await api_keys.page(
        session, user_id=principal.user_id, offset=page.offset, limit=page.limit
    )
    items = [ApiKeyResponse.model_validate(row) for row in rows]
    return PaginatedResponse(items=items, total=total, page=page.number, page_size=page.size)


@router.get("/{key_id}", responses=MISSING_KEY)
async def get_api_key(session: ReadingDep, principal: AccountReader, key_id: uuid.UUID) -> ApiKeyResponse:
    """One key."""
    return ApiKeyResponse.model_validate(await api_keys.get(session, key_id, user_id=principal.user_id))


@router.delete("/{key_id}", status_code=status.HTTP_204_NO_CONTENT, responses=MISSING_KEY)
async def revoke_api_key(
    request: Request, session: SessionDep, principal: AccountWriter, origin: OriginDep, key_id: uuid.UUID
) -> None:
    """Revoke a key: within seconds it opens nothing any more."""
    gate = state_of(request)["gate"]
    await api_keys.revoke(session, key_id, user_id=principal.user_id, by=principal, gate=gate, origin=origin)


def created(key: ApiKey, text: str) -> ApiKeyCreated:
    """The answer that shows a key."""
    return ApiKeyCreated(**ApiKeyResponse.model_validate(key).model_dump(), key=SecretStr(text))
