"""One's own account: see it, change it, take a copy of all that belongs to it, delete it."""

import uuid
from typing import Any, Final

from fastapi import APIRouter, Request, Response, status

from app.api.cookies import clear_cookies
from app.api.credentials import AccountReader, AccountWriter
from app.api.deps import (
    ConnectionDep,
    OriginDep,
    PageDep,
    ReadingDep,
    SessionDep,
    SettingsDep,
    WorkspaceDep,
    state_of,
)
from app.api.idempotency import IdempotentRoute, idempotent
from app.api.paths import V1
from app.api.v1.stored_file import respond
from app.api.versioned import CHANGED, SHOWN, IfMatch, IfNoneMatch, answer
from app.schemas.base import ErrorResponse, PaginatedResponse
from app.schemas.users import AccountDeletion, DeletionAccepted, Export, Me, MeUpdate
from app.services import versions
from app.services.accounts import deletion, exports, mailing, profile
from app.services.auth.scopes import Scope

router = APIRouter(prefix=f"{V1}/users/me", tags=["users"], route_class=IdempotentRoute)

_Responses = dict[int | str, dict[str, Any]]

GONE: Final[_Responses] = {404: {"model": ErrorResponse, "description": "The account was deleted just now."}}
WRONG: Final[_Responses] = {
    403: {"model": ErrorResponse, "description": "The password is wrong, or the credential lacks a scope."}
}
LAST: Final[_Responses] = {409: {"model": ErrorResponse, "description": "It is the last administrator."}}
BUSY: Final[_Responses] = GONE | {409: {"model": ErrorResponse, "description": "An export is being made."}}
MISSING: Final[_Responses] = {404: {"model": ErrorResponse, "description": "No such export of this account."}}
CONTENT: Final[_Responses] = {
    200: {
        "description": "A ZIP file: JSON files of all rows, and the media files as they were uploaded.",
        "content": {exports.MIME: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {name: {"schema": {"type": "string"}} for name in ("ETag", "Content-Disposition")},
    },
    206: {"description": "The range that was asked for.", "content": {exports.MIME: {}}},
    304: {"description": "The client's copy is current."},
    404: {"model": ErrorResponse, "description": "No such export of this account, or it has expired."},
    409: {"model": ErrorResponse, "description": "It is not made yet, or failed."},
    412: {"model": ErrorResponse, "description": "The file is not the one of `If-Match`."},
    416: {"model": ErrorResponse, "description": "The range lies outside the file."},
    503: {"model": ErrorResponse, "description": "The workspace cannot be read."},
}


@router.get("", responses=GONE | SHOWN, response_model=Me)
async def get_me(
    principal: AccountReader, connection: ConnectionDep, if_none_match: IfNoneMatch = None
) -> Response:
    """The account of who asks."""
    return answer(await profile.get(connection, principal.user_id), if_none_match)


@router.patch("", responses=GONE | WRONG | CHANGED)
async def update_me(
    *,
    request: Request,
    session: SessionDep,
    principal: AccountWriter,
    settings: SettingsDep,
    origin: OriginDep,
    response: Response,
    given: MeUpdate,
    if_match: IfMatch = None,
) -> Me:
    """Change the name, or ask for another address: it counts once the mail to it was answered."""
    state = state_of(request)
    if given.email is not None:
        mailing.require_mail(settings)
        await state["throttle"].mail(given.email, mailing.Occasion.ADDRESS_CHANGE_ASKED)
    me = await profile.update(session, state["desk"], given, by=principal, origin=origin, if_match=if_match)
    response.headers["ETag"] = versions.entity_tag(me)
    return me


@router.delete("", status_code=status.HTTP_202_ACCEPTED, responses=GONE | WRONG | LAST)
async def delete_me(
    *,
    request: Request,
    response: Response,
    session: SessionDep,
    principal: AccountWriter,
    origin: OriginDep,
    given: AccountDeletion,
) -> DeletionAccepted:
    """Delete the account. Its sessions and keys end at once and its address is free; a job takes its data."""
    state = state_of(request)
    password = given.password.get_secret_value()
    await deletion.delete_account(
        session, state["desk"], password=password, by=principal, gate=state["gate"], origin=origin
    )
    clear_cookies(request, response)
    return DeletionAccepted(message="The account is deleted; its data goes within minutes.")


@router.post(
    "/exports",
    status_code=status.HTTP_202_ACCEPTED,
    responses=BUSY,
    dependencies=[idempotent(Scope.ACCOUNT_WRITE)],
)
async def ask_for_export(
    request: Request, response: Response, session: SessionDep, principal: AccountWriter, origin: OriginDep
) -> Export:
    """Ask for a copy of all that belongs to the account. A job makes it; it is kept for a week."""
    export = await exports.ask(session, by=principal, origin=origin)
    response.headers["location"] = request.url_for("get_export", export_id=str(export.id)).path
    return export


@router.get("/exports")
async def list_exports(
    session: ReadingDep, principal: AccountReader, page: PageDep
) -> PaginatedResponse[Export]:
    """The account's exports, newest first."""
    items, total = await exports.page(
        session, user_id=principal.user_id, offset=page.offset, limit=page.limit
    )
    return PaginatedResponse(items=items, total=total, page=page.number, page_size=page.size)


@router.get("/exports/{export_id}", responses=MISSING)
async def get_export(session: ReadingDep, principal: AccountReader, export_id: uuid.UUID) -> Export:
    """One export, with its state."""
    return await exports.get(session, export_id, user_id=principal.user_id)


@router.head("/exports/{export_id}/content", include_in_schema=False, response_model=None)
@router.get("/exports/{export_id}/content", response_model=None, response_class=Response, responses=CONTENT)
async def get_export_content(
    request: Request,
    session: ReadingDep,
    # All that the account has, so no API key may have it.
    principal: AccountWriter,
    workspace: WorkspaceDep,
    export_id: uuid.UUID,
) -> Response:
    """Download the ZIP file. Ranges and conditional requests are answered."""
    download = await exports.content(session, workspace, export_id, user_id=principal.user_id)
    return respond(request, download, disposition="attachment")
