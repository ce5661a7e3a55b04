"""Whether this version of the API answers."""

from fastapi import APIRouter

from app.api.paths import V1
from app.schemas.info import PingResponse

router = APIRouter(prefix=V1, tags=["info"])


@router.get("/ping", summary="Does this version of the API answer?")
async def ping() -> PingResponse:
    """Answers, and touches nothing."""
    return PingResponse()
