"""Versions in requests and answers: which one a client knows, which one it gets (RFC 9110, section 13)."""

from typing import Annotated, Any, Final

from fastapi import Header, Response, status

from app.schemas.base import BaseSchema, ErrorResponse
from app.services import versions

IfMatch = Annotated[str | None, Header(max_length=1000, description="The version that is to be changed.")]
IfNoneMatch = Annotated[str | None, Header(max_length=1000, description="The version that is known already.")]

_Responses = dict[int | str, dict[str, Any]]

_TAG: Final = {"ETag": {"schema": {"type": "string"}, "description": "The version of what is shown."}}

SHOWN: Final[_Responses] = {
    200: {"headers": _TAG},
    304: {"description": "The client's copy is current."},
}
"""Of routes that answer by ``answer``."""
CHANGED: Final[_Responses] = {
    200: {"headers": _TAG},
    412: {"model": ErrorResponse, "description": "It was changed since the version of `If-Match`."},
}
"""Of routes that ask for ``If-Match``."""


def answer(payload: BaseSchema, if_none_match: str | None) -> Response:
    """The payload with its version, or 304 where the client has that already."""
    shown = payload.model_dump_json()
    headers = {"ETag": versions.tag_of(shown)}
    if versions.names(if_none_match, headers["ETag"]):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    # As it was written for its tag: a framework would validate and write it once more.
    return Response(shown, headers=headers, media_type="application/json")
