"""For administrators: accounts, the keys of service accounts, the storage, the audit log."""

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi import status as http
from pydantic import SecretStr

from app.api.credentials import AuditReader, SystemReader, UsersAdmin, needs
from app.api.deps import OriginDep, PageDep, ReadingDep, SessionDep, SettingsDep, state_of
from app.api.idempotency import IdempotentRoute, idempotent
from app.api.paths import V1
from app.api.v1.api_keys import MISSING_KEY, NO_STORE, created
from app.api.versioned import CHANGED, SHOWN, IfMatch, IfNoneMatch, answer
from app.models.user import AccountStatus, UserRole
from app.schemas.admin import (
    AccountCreate,
    AccountCreated,
    AccountOrder,
    AccountResponse,
    AccountUpdate,
)
from app.schemas.api_keys import ApiKeyCreate, ApiKeyCreated, ApiKeyResponse
from app.schemas.audit import AuditEventResponse
from app.schemas.base import CursorPage, ErrorResponse, Moment, PaginatedResponse, Text
from app.schemas.storage import StorageResponse
from app.services import versions
from app.services.auth import api_keys, audit, directory
from app.services.auth.principal import Principal
from app.services.auth.scopes import Scope
from app.services.media import usage

router = APIRouter(prefix=f"{V1}/admin", tags=["admin"], route_class=IdempotentRoute)

# Keys that an API key could make would outlive its revocation.
_AdminAtLogin = Annotated[Principal, needs(Scope.USERS_ADMIN, Scope.ACCOUNT_WRITE)]

_Responses = dict[int | str, dict[str, Any]]

_MISSING: Final[_Responses] = {404: {"model": ErrorResponse, "description": "No such account."}}
_TAKEN: Final[_Responses] = {409: {"model": ErrorResponse, "description": "The address has an account."}}
_REFUSED: Final[_Responses] = {
    409: {"model": ErrorResponse, "description": "The last administrator, a service, or one being deleted."}
}
_NO_KEYS: Final[_Responses] = {
    409: {"model": ErrorResponse, "description": "No service account, or it has too many keys."}
}
_NO_CURSOR: Final[_Responses] = {404: {"model": ErrorResponse, "description": "No such cursor."}}


@router.get("/users")
async def list_users(
    *,
    session: ReadingDep,
    _: UsersAdmin,
    page: PageDep,
    q: Annotated[Text | None, Query(max_length=200, description="A part of the address or the name.")] = None,
    role: Annotated[UserRole | None, Query(description="Only accounts of this role.")] = None,
    status: Annotated[AccountStatus | None, Query(description="Only accounts that are so.")] = None,
    sort: Annotated[AccountOrder, Query(description="By what.")] = AccountOrder.NEWEST,
) -> PaginatedResponse[AccountResponse]:
    """All accounts."""
    rows, total = await directory.page(
        session, offset=page.offset, limit=page.limit, search=q, role=role, status=status, order=sort
    )
    items = [AccountResponse.model_validate(row) for row in rows]
    return PaginatedResponse(items=items, total=total, page=page.number, page_size=page.size)


@router.post(
    "/users",
    status_code=http.HTTP_201_CREATED,
    responses=_TAKEN,
    dependencies=[idempotent(Scope.USERS_ADMIN)],
)
async def create_user(
    *,
    session: SessionDep,
    principal: UsersAdmin,
    request: Request,
    origin: OriginDep,
    given: AccountCreate,
    response: Response,
) -> AccountCreated:
    """Make an account. The answer shows its one-time password, and nothing ever will again."""
    user, password = await directory.create(
        session,
        state_of(request)["passwords"],
        email=given.email,
        name=given.name,
        role=given.role,
        by=principal,
        origin=origin,
    )
    response.headers.update(NO_STORE)
    shown = AccountResponse.model_validate(user).model_dump()
    return AccountCreated(**shown, one_time_password=SecretStr(password) if password else None)


@router.get("/users/{user_id}", responses=_MISSING | SHOWN, response_model=AccountResponse)
async def get_user(
    session: ReadingDep, _: UsersAdmin, user_id: uuid.UUID, if_none_match: IfNoneMatch = None
) -> Response:
    """One account."""
    return answer(AccountResponse.model_validate(await directory.get(session, user_id)), if_none_match)


@router.patch("/users/{user_id}", responses=_MISSING | _REFUSED | CHANGED)
async def update_user(
    *,
    session: SessionDep,
    principal: UsersAdmin,
    request: Request,
    origin: OriginDep,
    user_id: uuid.UUID,
    given: AccountUpdate,
    response: Response,
    if_match: IfMatch = None,
) -> AccountResponse:
    """Change role or name, disable or enable. Who is disabled is logged out; one administrator remains."""
    changed = await directory.change(
        session,
        user_id,
        role=given.role,
        disabled=given.disabled,
        name=given.name,
        by=principal,
        gate=state_of(request)["gate"],
        origin=origin,
        if_match=if_match,
    )
    shown = AccountResponse.model_validate(changed)
    response.headers["ETag"] = versions.entity_tag(shown)
    return shown


@router.post("/users/{user_id}/sessions/revoke", status_code=http.HTTP_204_NO_CONTENT, responses=_MISSING)
async def revoke_user_sessions(
    session: SessionDep, principal: UsersAdmin, request: Request, origin: OriginDep, user_id: uuid.UUID
) -> None:
    """Log an account out everywhere."""
    await directory.log_out_everywhere(
        session, user_id, by=principal, gate=state_of(request)["gate"], origin=origin
    )


@router.post(
    "/users/{user_id}/api-keys",
    status_code=http.HTTP_201_CREATED,
    responses=_MISSING | _NO_KEYS,
    dependencies=[idempotent(Scope.USERS_ADMIN, Scope.ACCOUNT_WRITE)],
)
async def create_user_api_key(
    *,
    session: SessionDep,
    principal: _AdminAtLogin,
    origin: OriginDep,
    user_id: uuid.UUID,
    given: ApiKeyCreate,
    response: Response,
) -> ApiKeyCreated:
    """Make a key of a service account. The answer shows it, and nothing ever will again."""
    await directory.require_service(session, user_id)
    key, text = await api_keys.create(
        session,
        user_id=user_id,
        name=given.name,
        scopes=given.scopes,
        days=given.expires_in_days,
        by=principal,
        origin=origin,
    )
    response.headers.update(NO_STORE)
    return created(key, text)


@router.get("/users/{user_id}/api-keys", responses=_MISSING)
async def list_user_api_keys(
    session: ReadingDep, _: UsersAdmin, page: PageDep, user_id: uuid.UUID
) -> PaginatedResponse[ApiKeyResponse]:
    """An account's keys, newest first."""
    await directory.get(session, user_id)
    rows, total = await api_keys.page(session, user_id=user_id, offset=page.offset, limit=page.limit)
    items = [ApiKeyResponse.model_validate(row) for row in rows]
    return PaginatedResponse(items=items, total=total, page=page.number, page_size=page.size)


@router.delete(
    "/users/{user_id}/api-keys/{key_id}", status_code=http.HTTP_204_NO_CONTENT, responses=MISSING_KEY
)
async def revoke_user_api_key(
    *,
    session: SessionDep,
    principal: UsersAdmin,
    request: Request,
    origin: OriginDep,
    user_id: uuid.UUID,
    key_id: uuid.UUID,
) -> None:
    """Revoke a key of an account, such as one that was found where it should not be."""
    await api_keys.revoke(
        session, key_id, user_id=user_id, by=principal, gate=state_of(request)["gate"], origin=origin
    )


@router.get("/storage")
async def read_storage(session: ReadingDep, _: SystemReader, settings: SettingsDep) -> StorageResponse:
    """How much is stored and by whom, and what the last sweep found. It looks at no object."""
    return await usage.overview(session, settings.storage)


@router.get("/audit", responses=_NO_CURSOR)
async def read_audit_log(
    *,
    session: ReadingDep,
    _: AuditReader,
    event: Annotated[Text | None, Query(max_length=64, description="Only events of this name.")] = None,
    user_id: Annotated[uuid.UUID | None, Query(description="Only what happened to this account.")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="Not before this.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Before this.")] = None,
    cursor: Annotated[uuid.UUID | None, Query(description="`next` of the part before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="The most events of a part.")] = 50,
) -> CursorPage[AuditEventResponse]:
    """The audit log, newest first. Nothing can change it, not even this API."""
    rows, last = await audit.page(
        session, limit=limit, after=cursor, event=event, user_id=user_id, since=since, until=until
    )
    items = [AuditEventResponse.model_validate(row) for row in rows]
    return CursorPage(items=items, next=str(last) if last else None)
