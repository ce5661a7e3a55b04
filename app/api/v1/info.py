"""What this installation is and offers."""

from fastapi import APIRouter

from app.api.deps import MAX_PAGE_SIZE, SettingsDep
from app.api.paths import V1
from app.schemas.info import InfoResponse, LimitsResponse
from app.services.info import features

router = APIRouter(prefix=V1, tags=["info"])


@router.get("/info", summary="What is this, and what does it offer?")
async def info(settings: SettingsDep) -> InfoResponse:
    """Name, version, environment, the features that are switched on, and the limits of requests."""
    return InfoResponse(
        name=settings.app_name,
        version=settings.app_version,
        environment=settings.app_env,
        features=features(settings),
        limits=LimitsResponse(
            max_body_size=settings.server.max_body_size,
            max_upload_size=settings.media.max_upload_size,
            media_quota=settings.media.quota,
            max_page_size=MAX_PAGE_SIZE,
            max_link_seconds=settings.media.link_seconds,
        ),
    )
