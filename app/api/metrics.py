"""What Prometheus scrapes."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.deps import MetricsDep, SettingsDep
from app.api.local import require_local
from app.core.config import secret_text
from app.exceptions.base import UnauthorizedException

router = APIRouter(tags=["operations"])
bearer = HTTPBearer(auto_error=False, scheme_name="metrics", description="METRICS_TOKEN, where it is set.")


def require_scraper(
    request: Request,
    settings: SettingsDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> None:
    """Let in who knows ``METRICS_TOKEN``; where none is set, who is on this machine.

    Raises:
        UnauthorizedException: no token, or a wrong one.
        ForbiddenException: there is no token to know, and the client is elsewhere.
    """
    expected = secret_text(settings.server.metrics_token)
    if not expected:
        require_local(request)
        return
    given = credentials.credentials if credentials else ""
    if not secrets.compare_digest(given.encode(), expected.encode()):
        raise UnauthorizedException(
            "METRICS_TOKEN is needed as a bearer token.", headers={"WWW-Authenticate": "Bearer"}
        )


# Not async: the sum over all processes reads files, which a thread does better.
@router.get(
    "/metrics",
    summary="Numbers of all processes",
    dependencies=[Depends(require_scraper)],
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        401: {"description": "METRICS_TOKEN is set, and this is another."},
        403: {"description": "METRICS_TOKEN is not set, and the client is elsewhere."},
    },
)
def metrics(numbers: MetricsDep) -> Response:
    """Requests by method, route and status, with their durations, in Prometheus's text format."""
    return Response(numbers.exposition(), media_type=CONTENT_TYPE_LATEST)
