"""Versions of what is shown: a client changes what it has seen, or nothing (RFC 9110, section 13)."""

import hashlib

from app.exceptions.base import AppException
from app.schemas.base import BaseSchema


class PreconditionFailedException(AppException):
    """What the client wants to change is not what it has seen (RFC 9110, section 15.5.13)."""

    status_code = 412
    code = "precondition_failed"
    default_message = "This was changed meanwhile: read it again, and decide anew."


def tag_of(shown: str) -> str:
    """A strong validator of what is shown: it changes with anything in it (RFC 9110, section 8.8.3)."""
    return f'"{hashlib.sha256(shown.encode()).hexdigest()[:32]}"'


def entity_tag(shown: BaseSchema) -> str:
    """The validator of a payload."""
    return tag_of(shown.model_dump_json())


def names(field: str | None, tag: str) -> bool:
    """Whether ``If-Match`` or ``If-None-Match`` names a version (RFC 9110, sections 13.1.1 and 13.1.2).

    A proxy that compresses makes a tag weak; it is of the same version, and that is the question.
    """
    tags = {given.strip().removeprefix("W/") for given in (field or "").split(",")}
    return "*" in tags or tag in tags


def require_match(shown: BaseSchema, if_match: str | None) -> None:
    """See that the client, where it says which version it has seen, has seen this one (section 13.1.1).

    Raises:
        PreconditionFailedException: it has seen another.
    """
    if if_match is not None and not names(if_match, entity_tag(shown)):
        raise PreconditionFailedException
