"""What this installation is and offers."""

from app.core.config import Environment
from app.schemas.base import BaseSchema


class PingResponse(BaseSchema):
    """The API version answers."""

    ping: str = "pong"


class LimitsResponse(BaseSchema):
    """What a client may send."""

    max_body_size: int
    max_upload_size: int
    media_quota: int
    max_page_size: int
    max_link_seconds: int


class InfoResponse(BaseSchema):
    """Name, version, environment, the features that are on, and the limits."""

    name: str
    version: str
    environment: Environment
    features: dict[str, bool]
    limits: LimitsResponse
