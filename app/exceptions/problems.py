"""What each error says to the client, and never more than the client may know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.core.database import is_unavailable
from app.core.masking import is_secret_name
from app.exceptions.base import AppException, InternalServerException, ServiceUnavailableException
from app.exceptions.routes import allowed_methods, nearest_path

RETRY_AFTER: Final = "2"
"""Seconds after which a server that was away is worth another try."""
MOST_FAULTS: Final = 50
"""Faults of one request that are told; a hostile body could have as many as it has bytes."""
LONGEST: Final = 200
"""Characters that are repeated of what the client sent."""

VALIDATION: Final = "validation_error"
_CODES: Final = {413: "payload_too_large", 422: VALIDATION}
"""Codes of framework errors where the status's own name is not the one that this system uses."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the client sees it."""

    status: int
    code: str
    message: str
    details: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def describe(error: Exception, scope: Scope) -> Problem:
    """What to say about an error."""
    match error:
        case AppException():
            return Problem(error.status_code, error.code, error.message, error.details, error.headers)
        case RequestValidationError():
            return _validation(error.errors())
        case HTTPException():
            return _http(error, scope)
        case DataError():
            return Problem(422, VALIDATION, "A value is out of range, or holds what cannot be stored.")
        case _ if isinstance(error, RedisConnectionError | RedisTimeoutError) or is_unavailable(error):
            return _unavailable()
        case _:
            return describe(InternalServerException(), scope)


def _unavailable() -> Problem:
    away = ServiceUnavailableException
    return Problem(away.status_code, away.code, away.default_message, headers={"Retry-After": RETRY_AFTER})


def _validation(errors: Iterable[Mapping[str, Any]]) -> Problem:
    faults = [_fault(error) for error in errors]
    count = "1 value is" if len(faults) == 1 else f"{len(faults)} values are"
    message = f"{count} not valid: see details." if faults[0]["field"] else faults[0]["reason"]
    return Problem(422, VALIDATION, message, faults[:MOST_FAULTS])


def _fault(error: Mapping[str, Any]) -> dict[str, Any]:
    """One fault: which field, where it is, and why; its value never, for it may be a secret."""
    location, *path = (str(part)[:LONGEST] for part in error["loc"])
    if error["type"] == "json_invalid":
        reason = f"The body is not valid JSON: {error['ctx']['error']}, at character {path[0]}."
        return {"field": None, "location": location, "reason": reason}
    reason = _length(error) or str(error["msg"]).removeprefix("Value error, ")
    if not path and isinstance(error.get("input"), bytes):
        reason = "The body must be JSON: send it with `Content-Type: application/json`."
    if error["type"] in {"value_error", "assertion_error"} and any(map(is_secret_name, path)):
        reason = "is not valid"  # this text comes from a validator, which may have repeated the value
    return {"field": ".".join(path) or None, "location": location, "reason": reason}


def _length(error: Mapping[str, Any]) -> str | None:
    """What is said of a secret's length; pydantic, which does not know that it is text, tells of items."""
    limits = error.get("ctx", {})
    match error["type"], limits.get("field_type"):
        case "too_short", "Value":
            return f"Value should have at least {limits['min_length']} characters"
        case "too_long", "Value":
            return f"Value should have at most {limits['max_length']} characters"
    return None


def _http(error: HTTPException, scope: Scope) -> Problem:
    cause = error.__cause__
    if isinstance(cause, AppException):
        # FastAPI wraps whatever ends the reading of a body; what ended it is the answer.
        return describe(cause, scope)
    if isinstance(cause, ValueError | RecursionError):
        return _validation([_unreadable(cause)])
    if error.status_code == HTTPStatus.NOT_FOUND and "endpoint" not in scope:
        return _unknown_path(scope)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _wrong_method(scope)
    status = HTTPStatus(error.status_code)
    code = _CODES.get(status, status.name.lower())
    return Problem(status, code, str(error.detail), headers=error.headers or {})


def _unreadable(cause: ValueError | RecursionError) -> dict[str, Any]:
    why = {UnicodeDecodeError: "it is not UTF-8", RecursionError: "it is nested too deeply"}
    reason = why.get(type(cause), "it holds a number that is too long")
    return {"type": "body", "loc": ("body",), "msg": f"The body cannot be read: {reason}."}


def _unknown_path(scope: Scope) -> Problem:
    path = str(scope["path"])[:LONGEST]
    nearest = nearest_path(scope["app"], path)
    hint = f" Did you mean {nearest}?" if nearest else " The paths that exist are listed at /docs."
    details = {"path": path, "nearest": nearest}
    return Problem(404, "not_found", f"Nothing is at {path}.{hint}", details)


def _wrong_method(scope: Scope) -> Problem:
    allowed = allowed_methods(scope["app"], scope["path"])
    message = f"{scope['method']} is not possible here, only {', '.join(allowed)}."
    headers = {"Allow": ", ".join(allowed)}
    return Problem(405, "method_not_allowed", message, {"allowed": allowed}, headers)
