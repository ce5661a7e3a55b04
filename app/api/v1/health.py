"""The health paths of this version of the API."""

from fastapi import APIRouter

from app.api.health import UNREADY, ready
from app.api.paths import V1
from app.schemas.health import OkResponse

router = APIRouter(prefix=f"{V1}/health", tags=["health"])


@router.get("", summary="Is this version of the API served?")
async def health() -> OkResponse:
    """``ok`` while the process serves."""
    return OkResponse()


router.add_api_route("/ready", ready, responses=UNREADY, summary="Should requests of this version come here?")
