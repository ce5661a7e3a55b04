"""Signed links to files, for ``<video>``, ``<img>`` and ``<a download>``, which send no header."""

import uuid
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from pydantic import SecretStr

from app.api.credentials import MediaReader
from app.api.deps import ReadingDep, SettingsDep, state_of
from app.api.paths import V1
from app.api.uncached import uncached
from app.exceptions.base import BadRequestException
from app.schemas.links import Link, LinkCreate
from app.services.media import files
from app.services.media.links import PARAMETER, SignedLink

router = APIRouter(prefix=f"{V1}/media/{{media_id}}/links", tags=["media"])


@router.post("")
async def create_link(
    *,
    request: Request,
    response: Response,
    session: ReadingDep,
    principal: MediaReader,
    settings: SettingsDep,
    media_id: uuid.UUID,
    wanted: LinkCreate,
) -> Link:
    """Sign a link to the file or to what was made of it, which may not be there yet.

    It ends with its time, with the login or API key that made it, with the account and with the file.
    """
    longest = settings.media.link_seconds
    seconds = wanted.seconds or longest
    if seconds > longest:
        raise BadRequestException(
            f"A link may hold for {longest} seconds at most.", details={"max_link_seconds": longest}
        )
    await files.get(session, media_id, owner_id=principal.user_id)
    link = SignedLink.of(principal, disposition=wanted.disposition, seconds=seconds)
    signature = state_of(request)["links"].sign(link, media_id=media_id, rendition=wanted.rendition)
    path = request.url_for(f"get_media_{wanted.rendition}", media_id=str(media_id)).path
    uncached(response)
    return Link(
        url=SecretStr(f"{path}?{PARAMETER}={signature}"),
        expires_at=datetime.fromtimestamp(link.expires_at, UTC),
    )
