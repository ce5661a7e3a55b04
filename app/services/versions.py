"""Versions of what is shown: a client changes what it has seen, or nothing (RFC 9110, section 13)."""

import hashlib

from app.exceptions.base import AppException
from app.schemas.base import BaseSchema


class PreconditionFailedException(AppException):
    """What the client wants to change is not what it has seen (RFC 9110, section 15.5.13)."""

    status_code = 412
    code = "precondition_failed"
    default_message = "This was changed meanwhile: read it again, and decide anew."


def entity_tag(shown: BaseSchema) -> str:
    """A strong validator: it changes with anything that is shown (RFC 9110, section 8.8.3)."""
    return f'"{hashlib.sha256(shown.model_dump_json().encode()).hexdigest()[:32]}"'


def is_current(shown: BaseSchema, if_none_match: str | None) -> bool:
    """Whether the client has this very version (RFC 9110, section 13.1.2)."""
    return if_none_match is not None and _names(if_none_match, shown)


def require_match(shown: BaseSchema, if_match: str | None) -> None:
    """See that the client, where it says which version it has seen, has seen this one (section 13.1.1).

    Raises:
        PreconditionFailedException: it has seen another.
    """
    if if_match is not None and not _names(if_match, shown):
        raise PreconditionFailedException


def _names(field: str, shown: BaseSchema) -> bool:
    # A proxy that compresses makes a tag weak; it is of the same version, and that is the question.
    tags = {tag.strip().removeprefix("W/") for tag in field.split(",")}
    return "*" in tags or entity_tag(shown) in tags
