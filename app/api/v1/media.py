"""Media files: upload, list, look at, download."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.api.bodies import allowance_of, announced_size, body_of
from app.api.credentials import MediaReader, MediaViewer, MediaWriter
from app.api.deps import PageDep, ReadingDep, SessionDep, SettingsDep, WorkspaceDep, begin_of
from app.api.idempotency import IdempotentRoute, Once, later
from app.api.linked import link_of
from app.api.paths import V1, thing
from app.api.v1.stored_file import ANYWHERE, respond
from app.api.versioned import SHOWN, IfNoneMatch, answer
from app.models.media_file import MediaState
from app.schemas.base import ErrorResponse, PaginatedResponse
from app.schemas.media import MediaFileDetail, MediaFileSummary
from app.schemas.storage import OwnUsage
from app.services.auth.scopes import Scope
from app.services.media import deletion, files, intake, usage
from app.services.media.files import Download
from app.services.media.multipart import FIELD, MAXIMUM_OTHER, MultipartFile, boundary_of
from app.services.media.renditions import Rendition
from app.services.media.types import MEDIA_TYPES, Kind

router = APIRouter(prefix=f"{V1}/media", tags=["media"], route_class=IdempotentRoute)


_BINARY: Final = {"type": "string", "format": "binary"}

UPLOAD_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"A form with one part named `{FIELD}`, or the file alone as the body.",
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}}
            },
            "application/octet-stream": {"schema": _BINARY},
        },
    }
}

_Responses = dict[int | str, dict[str, Any]]

_MISSING: Final[_Responses] = {404: {"model": ErrorResponse, "description": "No such file of this account."}}
_FILE_HEADERS: Final = {
    name: {"schema": {"type": "string"}} for name in ("ETag", "Content-Disposition", "Accept-Ranges")
}


def _file_responses(description: str, *types: str) -> _Responses:
    content = {name: {"schema": _BINARY} for name in types}
    return _MISSING | {
        200: {"description": description, "content": content, "headers": _FILE_HEADERS},
        206: {"description": "The range that was asked for.", "content": content},
        304: {"description": "The client's copy is current."},
        412: {"model": ErrorResponse, "description": "The file is not the one of `If-Match`."},
        416: {"model": ErrorResponse, "description": "The range lies outside the file."},
        503: {"model": ErrorResponse, "description": "The workspace cannot be read."},
    }


_UPLOAD_RESPONSES: Final[_Responses] = {
    400: {"model": ErrorResponse, "description": "Empty, malformed or interrupted."},
    413: {"model": ErrorResponse, "description": "Over `MAX_UPLOAD_SIZE`, or over the quota of the account."},
    415: {"model": ErrorResponse, "description": "Not one of the accepted media types."},
    503: {"model": ErrorResponse, "description": "The object storage does not answer."},
    507: {"model": ErrorResponse, "description": "The workspace is full, missing or read-only."},
}


@router.post("", status_code=status.HTTP_201_CREATED, responses=_UPLOAD_RESPONSES, openapi_extra=UPLOAD_BODY)
async def upload_media(
    *,
    request: Request,
    response: Response,
    session: SessionDep,
    principal: MediaWriter,
    settings: SettingsDep,
    workspace: WorkspaceDep,
    once: Annotated[Once, later(Scope.MEDIA_WRITE)],
    filename: Annotated[str | None, Query(max_length=4096, description="Of a body without a form.")] = None,
) -> MediaFileDetail:
    """Upload a file. It is stored durably and its job accepted before the answer; the job then probes it."""
    limit = settings.media.max_upload_size
    boundary = boundary_of(request.headers.get("content-type", ""))
    announced = announced_size(request)
    intake.require_size(announced, limit=limit + (MAXIMUM_OTHER if boundary else 0))
    body = body_of(request)
    allowance = await allowance_of(request, principal, once)
    media = await intake.accept(
        session,
        workspace,
        MultipartFile(boundary, body) if boundary else RawFile(body, filename),
        owner_id=principal.user_id,
        limit=limit,
        allowance=allowance,
        expected=announced,
        claim=once.begin,
        begin=begin_of(request),
    )
    response.headers["location"] = request.url_for("get_media", media_id=str(media.id)).path
    return media


@router.get("")
async def list_media(
    session: ReadingDep,
    principal: MediaReader,
    page: PageDep,
    kind: Annotated[Kind | None, Query(description="Only files of this kind.")] = None,
    state: Annotated[MediaState | None, Query(description="Only files in this state.")] = None,
) -> PaginatedResponse[MediaFileSummary]:
    """List your files, newest first."""
    items, total = await files.page(
        session, owner_id=principal.user_id, offset=page.offset, limit=page.limit, kind=kind, state=state
    )
    return PaginatedResponse(items=items, total=total, page=page.number, page_size=page.size)


@router.get("/usage")
async def get_media_usage(session: ReadingDep, principal: MediaReader, settings: SettingsDep) -> OwnUsage:
    """How much you store, and may."""
    used = await usage.of_account(session, principal.user_id)
    return OwnUsage(files=used.files, bytes=used.bytes, quota=settings.media.quota or None)


@router.get("/{media_id}", responses=_MISSING | SHOWN, response_model=MediaFileDetail)
async def get_media(
    session: ReadingDep, principal: MediaReader, media_id: uuid.UUID, if_none_match: IfNoneMatch = None
) -> Response:
    """One file: its state, its job, and what ffprobe found."""
    return answer(await files.get(session, media_id, owner_id=principal.user_id), if_none_match)


@router.delete("/" + thing("media_id"), status_code=status.HTTP_204_NO_CONTENT, responses=_MISSING)
async def delete_media(session: SessionDep, principal: MediaWriter, media_id: uuid.UUID) -> None:
    """Delete a file with all that was made of it. What it stored is removed once no other file has it too."""
    await deletion.delete(session, media_id, owner_id=principal.user_id)


class Wanted:
    """A file that somebody who may see it wants to have, or something that was made of it."""

    def __init__(
        self,
        request: Request,
        session: ReadingDep,
        principal: MediaViewer,
        workspace: WorkspaceDep,
        media_id: uuid.UUID,
    ) -> None:
        self._request, self._session, self._workspace = request, session, workspace
        self._media_id, self._owner_id = media_id, principal.user_id

    async def content(self) -> Response:
        """The file itself."""
        return self._sent(
            await files.content(self._session, self._workspace, self._media_id, owner_id=self._owner_id),
            disposition="attachment",
        )

    async def rendition(self, which: Rendition) -> Response:
        """What was made of it."""
        return self._sent(
            await files.rendition(
                self._session, self._workspace, self._media_id, which, owner_id=self._owner_id
            ),
            disposition="inline",
        )

    def _sent(self, download: Download, *, disposition: str) -> Response:
        link = link_of(self._request)
        if link is None:
            return respond(self._request, download, disposition=disposition)
        disposition = link.disposition_of(download.mime_type)
        return respond(self._request, download, disposition=disposition, headers=ANYWHERE)


WantedDep = Annotated[Wanted, Depends()]


@router.head("/{media_id}/content", include_in_schema=False, response_model=None)
@router.get(
    "/{media_id}/content",
    response_model=None,
    response_class=Response,
    responses=_file_responses("The file, whole.", *MEDIA_TYPES),
)
async def get_media_content(wanted: WantedDep) -> Response:
    """Download the file. Ranges and conditional requests are answered."""
    return await wanted.content()


@router.head("/{media_id}/thumbnail", include_in_schema=False, response_model=None)
@router.get(
    "/{media_id}/thumbnail",
    response_model=None,
    response_class=Response,
    responses=_file_responses("A JPEG, its longest side at most 480 pixels.", "image/jpeg"),
)
async def get_media_thumbnail(wanted: WantedDep) -> Response:
    """The file's thumbnail; 404 says why there is none (yet)."""
    return await wanted.rendition(Rendition.THUMBNAIL)


@router.head("/{media_id}/poster", include_in_schema=False, response_model=None)
@router.get(
    "/{media_id}/poster",
    response_model=None,
    response_class=Response,
    responses=_file_responses("A JPEG, its longest side at most 1280 pixels.", "image/jpeg"),
)
async def get_media_poster(wanted: WantedDep) -> Response:
    """A large frame of a video, or the cover of a song; 404 says why there is none (yet)."""
    return await wanted.rendition(Rendition.POSTER)


@router.head("/{media_id}/preview", include_in_schema=False, response_model=None)
@router.get(
    "/{media_id}/preview",
    response_model=None,
    response_class=Response,
    responses=_file_responses(
        "H.264 and AAC in MP4 of a video, AAC in MP4 of sound, a JPEG of a picture.",
        *("video/mp4", "audio/mp4", "image/jpeg"),
    ),
)
async def get_media_preview(wanted: WantedDep) -> Response:
    """A light copy that every browser shows or plays, in ranges too; 404 says why there is none (yet)."""
    return await wanted.rendition(Rendition.PREVIEW)


@router.head("/{media_id}/waveform", include_in_schema=False, response_model=None)
@router.get(
    "/{media_id}/waveform",
    response_model=None,
    response_class=Response,
    responses=_file_responses(
        "JSON as BBC audiowaveform writes it (version 2): in `data` the lowest and the highest of each "
        "`samples_per_pixel` samples, -128 to 127.",
        "application/json",
    ),
)
async def get_media_waveform(wanted: WantedDep) -> Response:
    """The shape of the file's sound, as players draw it; 404 says why there is none (yet)."""
    return await wanted.rendition(Rendition.WAVEFORM)


class RawFile:
    """A file that is the whole body of a request."""

    def __init__(self, body: AsyncIterator[bytes], filename: str | None) -> None:
        self.filename = filename
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body
