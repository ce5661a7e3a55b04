"""Resumable uploads by the protocol tus 1.0.0."""

import uuid
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response, status

from app.api import tus
from app.api.bodies import allowance_of, announced_size, body_of
from app.api.credentials import MediaReader, MediaWriter
from app.api.deps import PageDep, ReadingDep, SessionDep, SettingsDep, begin_of, state_of
from app.api.idempotency import Once, later
from app.api.paths import V1
from app.api.tus import TusRoute, TusVersion, UploadChecksum, UploadLength, UploadMetadata, UploadOffset
from app.schemas.base import ErrorResponse, PaginatedResponse
from app.schemas.uploads import UploadStatus
from app.services.auth.scopes import Scope
from app.services.media import resumable
from app.services.media.resumable import Announced, Store

router = APIRouter(prefix=f"{V1}/uploads", tags=["uploads"], route_class=TusRoute)

_Responses = dict[int | str, dict[str, Any]]


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in ("Tus-Resumable", *names)}


def _error(description: str) -> dict[str, Any]:
    return {"model": ErrorResponse, "description": description}


_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "description": "The next bytes of the file.",
        "content": {tus.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_MISSING: Final[_Responses] = {
    404: _error("No such upload of this account."),
    410: _error("It has expired."),
}
_REFUSED: Final[_Responses] = {
    400: _error("Malformed or interrupted."),
    409: _error("The upload does not end at this offset, or another request has gone on with it."),
    412: _error("Another version of tus is spoken here."),
    413: _error("Over `MAX_UPLOAD_SIZE`, over the quota of the account, or more than was announced."),
    415: _error("Not one of the accepted media types, or not sent as a piece of a file."),
    460: _error("The checksum does not match; nothing was kept."),
    507: _error("The workspace is full, missing or read-only."),
}
_CREATED: Final[_Responses] = {
    201: {"headers": _headers("Location", "Upload-Offset", "Upload-Expires", tus.MEDIA_ID)}
}
_MOVED: Final[_Responses] = {
    204: {"headers": _headers("Upload-Offset", "Upload-Expires", tus.MEDIA_ID)},
    423: _error("Another request is sending this upload. Try again after `Retry-After` seconds."),
}

_ENDED: Final[_Responses] = {204: {"headers": _headers()}, 412: _REFUSED[412]}


def get_store(request: Request) -> Store:
    """Where resumable uploads live."""
    state = state_of(request)
    return Store(
        begin_of(request), state["workspace"], timedelta(seconds=state["settings"].media.upload_expiry)
    )


StoreDep = Annotated[Store, Depends(get_store)]


@router.options(
    "",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={
        204: {"headers": _headers("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm")}
    },
)
async def describe_uploads(settings: SettingsDep) -> Response:
    """What of the protocol is spoken here."""
    headers = {
        "Tus-Version": tus.VERSION,
        "Tus-Extension": tus.EXTENSIONS,
        "Tus-Max-Size": str(settings.media.max_upload_size),
        "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
    }
    return Response(status_code=status.HTTP_204_NO_CONTENT, headers=headers)


@router.post("", status_code=status.HTTP_201_CREATED, responses=_CREATED | _REFUSED, openapi_extra=_BODY)
async def create_upload(
    *,
    request: Request,
    response: Response,
    session: SessionDep,
    principal: MediaWriter,
    settings: SettingsDep,
    store: StoreDep,
    once: Annotated[Once, later(Scope.MEDIA_WRITE)],
    _version: TusVersion,
    length: UploadLength,
    metadata: UploadMetadata = None,
    checksum: UploadChecksum = None,
) -> UploadStatus:
    """Begin an upload, with or without its first bytes. Go on at the `Location` of the answer."""
    if announced_size(request) or "transfer-encoding" in request.headers:
        tus.require_content_type(request)
    upload = await resumable.create(
        session,
        store,
        Announced(length, tus.filename_of(metadata), metadata or None),
        body_of(request),
        allowance=await allowance_of(request, principal, once),
        limit=settings.media.max_upload_size,
        checksum=tus.checksum_of(checksum),
        claim=once.begin if once.has_key else None,
    )
    response.headers.update(tus.progress(upload))
    response.headers["location"] = request.url_for("get_upload", upload_id=str(upload.id)).path
    return UploadStatus.model_validate(upload)


@router.get("")
async def list_uploads(
    session: ReadingDep, principal: MediaReader, page: PageDep
) -> PaginatedResponse[UploadStatus]:
    """List your uploads that are on their way, newest first. What they announced counts for the quota."""
    found, total = await resumable.page(
        session, owner_id=principal.user_id, offset=page.offset, limit=page.limit
    )
    items = [UploadStatus.model_validate(upload) for upload in found]
    return PaginatedResponse(items=items, total=total, page=page.number, page_size=page.size)


@router.head("/{upload_id}", include_in_schema=False)
async def get_upload_offset(
    principal: MediaReader, store: StoreDep, upload_id: uuid.UUID, _version: TusVersion
) -> Response:
    """Where to go on. Waits a moment for a sender whose connection may be dead."""
    upload = await resumable.look(store, upload_id, owner_id=principal.user_id, patience=resumable.GLANCE)
    headers = tus.progress(upload) | {"Upload-Length": str(upload.length), "Cache-Control": "no-store"}
    if upload.described is not None:
        headers["Upload-Metadata"] = upload.described
    return Response(headers=headers)


@router.get("/{upload_id}", responses=_MISSING | {415: _error("It is none of the accepted media types.")})
async def get_upload(
    response: Response, principal: MediaReader, store: StoreDep, upload_id: uuid.UUID
) -> UploadStatus:
    """How far an upload is, and the media file that it became. tus clients ask by `HEAD`."""
    upload = await resumable.look(store, upload_id, owner_id=principal.user_id)
    response.headers["cache-control"] = "no-store"
    return UploadStatus.model_validate(upload)


@router.patch(
    "/{upload_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_MOVED | _MISSING | _REFUSED,
    openapi_extra=_BODY,
)
async def continue_upload(
    *,
    request: Request,
    principal: MediaWriter,
    store: StoreDep,
    upload_id: uuid.UUID,
    _version: TusVersion,
    offset: UploadOffset,
    checksum: UploadChecksum = None,
) -> Response:
    """Send the next bytes. What the answer tells as `Upload-Offset` is on the disk."""
    tus.require_content_type(request)
    upload = await resumable.append(
        store,
        upload_id,
        body_of(request),
        owner_id=principal.user_id,
        offset=offset,
        announced=announced_size(request),
        checksum=tus.checksum_of(checksum),
    )
    return Response(status_code=status.HTTP_204_NO_CONTENT, headers=tus.progress(upload))


@router.delete(
    "/{upload_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=_ENDED | _MISSING,
)
async def end_upload(
    principal: MediaWriter, store: StoreDep, upload_id: uuid.UUID, _version: TusVersion
) -> Response:
    """End an upload and free its room. A media file that it has become stays."""
    await resumable.terminate(store, upload_id, owner_id=principal.user_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)
